"""For tests that publish: the catalog and the rules in a folder of their own, and a platform that goes by them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from wire import Wire

from rules.ruleset import LIBRARY_DIR
from schemas.catalog import CATALOG_DIR
from schemas.registry.client import RegistryClient
from streams.topic_admin import TopicAdmin
from zhida.in_force import InForce, read_known
from zhida.platform import start_platform
from zhida.publishing.plan import Plan, Step, make_plan
from zhida.publishing.run import Outcome, carry_out
from zhida.sample.message import SampleMessage
from zhida.settings import Settings
from zhida.source import load_files
from zhida.stack.testing import chosen_stack, free_port

#: A dataset of the sample that new ones are made after.
MODEL = "abnormal_operation"


@dataclass
class Publisher:
    """Somebody who edits the files of the catalog in a folder, and publishes them. Each test leaves them published."""

    wire: Wire
    settings: Settings
    registry: RegistryClient
    catalog: Path
    rules: Path

    def add_dataset(self, code: str) -> None:
        """A new dataset like MODEL, with its rules and assignments."""
        for folder in (self.catalog / "datasets", self.catalog / "assignments", self.rules):
            text = (folder / f"{MODEL}.yaml").read_text(encoding="utf-8")
            (folder / f"{code}.yaml").write_text(text.replace(MODEL, code), encoding="utf-8")
        self.raise_number()

    def raise_number(self, to: int | None = None) -> None:
        """Give the rule library its next number."""
        path = self.rules / "_library.yaml"
        number = to or self.in_force().rules.number + 1
        path.write_text(re.sub(r"(?m)^number: \d+", f"number: {number}", path.read_text("utf-8")), encoding="utf-8")

    def edit(self, code: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change a dataset's file."""
        path = self.catalog / "datasets" / f"{code}.yaml"
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(data)
        path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")

    def run(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Exit code and JSON of ``zhida catalog publish``."""
        return self.command("catalog", "publish", *options)

    def command(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit code and last line of JSON of a command of ``zhida``."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ZHIDA_")}
        done = subprocess.run(
            [sys.executable, "-m", "zhida", *words, "--json"],
            env=environment | self.settings.environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    def plan(self, *, allow_removal: bool = False) -> Plan:
        """The plan for the files as they are now."""
        files, known = load_files(self.settings), read_known(self.wire.kafka)
        return make_plan(self.settings, files, known, self.registry, 1, allow_removal=allow_removal)

    def carry_out(self, plan: Plan, report: Callable[[Step], None] = lambda _: None) -> Outcome:
        return carry_out(plan, self.wire.kafka, patience=60, report=report)

    def publish(self) -> Plan:
        """Publish the files as they are; returns the plan that was carried out."""
        plan = self.plan()
        assert not plan.refused
        outcome = self.carry_out(plan)
        assert outcome.ok, (outcome.failed, outcome.error, outcome.late)
        return plan

    def in_force(self) -> InForce:
        found = read_known(self.wire.kafka).in_force()
        assert found is not None
        return found

    def state(self) -> dict[str, Any]:
        """All that a publish can change."""
        admin = TopicAdmin(self.wire.kafka, replication=1)
        known = read_known(self.wire.kafka)
        names = sorted(name for name in admin.names() if name.startswith("zhida."))
        versions = {subject: self.registry.latest(subject) for subject in self.registry.subjects()}
        return {
            "topics": admin.describe(names),
            "subjects": versions,
            "announced": (known.highest_release, known.highest_rules),
        }

    def records(self, count: int) -> list[SampleMessage]:
        """Sound records of MODEL whose subject has a unified social credit code."""
        made = self.wire.sound(20, MODEL)
        return [message for message in made if message.record and message.record["TYSHXYDM"]][:count]


def own_settings(folder: Path, **more: Any) -> Settings:
    """Settings for a platform in *folder* whose catalog and rules are files there, to be edited."""
    for name in ("datasets", "extensions", "assignments", "data"):
        shutil.copytree(CATALOG_DIR / name, folder / "catalog" / name)
    shutil.copytree(LIBRARY_DIR, folder / "rules")
    return Settings.load(
        data_dir=folder / "var",
        api_port=free_port(),
        catalog_dir=folder / "catalog",
        rules_dir=folder / "rules",
        # The embedded broker takes half of it for each change of topics.
        govern_session_timeout_s=3.0,
        partitions=2,
        **more,
    )


@contextmanager
def publishing(settings: Settings) -> Iterator[Publisher]:
    """A platform of the chosen stack with these settings, and who publishes to it."""
    assert settings.catalog_dir is not None
    assert settings.rules_dir is not None
    with (
        start_platform(settings, real=chosen_stack() == "real", report=print) as platform,
        RegistryClient(platform.settings.registry()) as registry,
    ):
        yield Publisher(Wire(platform), platform.settings, registry, settings.catalog_dir, settings.rules_dir)
