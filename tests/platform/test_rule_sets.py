"""Rule sets on a running platform: published, compared, taken back, tried out in the shadow."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from running import until
from wire import Sent, Wire, header_list

from rules.ruleset import LIBRARY_DIR
from schemas.registry.client import RegistryClient
from schemas.topics import VERDICT_HEADER
from schemas.verdict import VerdictPrefix, parse_verdict_prefix
from zhida.cli import main
from zhida.following import Following
from zhida.in_force import read_known
from zhida.publishing.rule_sets import from_folder, plan_rules
from zhida.publishing.run import Outcome, carry_out

pytestmark = pytest.mark.real
CODE = "administrative_penalty"
RULE = f"{CODE}.version.range"


@pytest.fixture
def cli(wire: Wire, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs ``zhida rules …``; exit code, JSON lines of standard output, and standard error."""
    for name, value in wire.platform.settings.environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["rules", *arguments, "--json"])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), [json.loads(line) for line in out.splitlines()], err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped library with one rule in the shadow, under the number that it had."""
    place = tmp_path_factory.mktemp("library") / "rules"
    shutil.copytree(LIBRARY_DIR, place)
    path = place / f"{CODE}.yaml"
    head = f"- id: {RULE}\n"
    text = path.read_text("utf-8")
    assert head in text
    path.write_text(text.replace(head, f"{head}    status: shadow\n"), encoding="utf-8")
    return place


def _verdicts(wire: Wire, sent: list[Sent]) -> list[VerdictPrefix]:
    """The verdicts on *sent*, in the order in which the worker gave them on each partition."""
    wire.wait_judged(sent)
    accepted = wire.accepted(wire.catalog[CODE])
    found = []
    for one in sorted(sent, key=lambda one: one.place):
        header = dict(header_list(accepted[one.place]))[VERDICT_HEADER] or b""
        found.append(parse_verdict_prefix(header.rpartition(b"=")[0] + b"="))
    return found


def test_rules_whose_number_was_not_raised_or_that_do_not_compile_are_not_published(
    cli: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZHIDA_RULES_DIR", str(folder))
    code, (said,), _ = cli("publish", "--apply")
    assert (code, said["applied"]) == (1, False)
    assert "raise number in _library.yaml" in said["refused"][0]["en"]
    broken = shutil.copytree(folder, tmp_path / "broken")
    path = broken / f"{CODE}.yaml"
    path.write_text(path.read_text("utf-8").replace("kind: uscc", "kind: usc", 1), encoding="utf-8")
    monkeypatch.setenv("ZHIDA_RULES_DIR", str(broken))
    code, said, err = cli("publish", "--apply")
    assert (code, said) == (1, [])
    assert "did you mean 'uscc'?" in err


def test_a_published_rule_set_is_in_force_in_seconds_and_every_verdict_names_one_set(wire: Wire, folder: Path) -> None:
    settings, kafka = wire.platform.settings, wire.kafka
    known = read_known(kafka)
    before = known.in_force()
    assert before is not None
    path = folder / "_library.yaml"
    old, new = before.rules.number, before.rules.number + 1
    path.write_text(path.read_text("utf-8").replace(f"number: {old}", f"number: {new}"), encoding="utf-8")
    files = from_folder(folder, before.release)
    pairs = wire.pairs(wire.sound(400))
    done: dict[str, float] = {}
    sent = wire.send(pairs[:5], linger_ms=0)
    # The worker has its partitions, and judges.
    wire.wait_judged(sent)

    def publish() -> Outcome:
        with RegistryClient(settings.registry()) as registry:
            plan = plan_rules(settings, files, known, registry, time.time_ns() // 1_000_000)
            assert not plan.refused
            assert {step.kind for step in plan.steps} <= {"rules", "schema"}
            return carry_out(plan, kafka, patience=60, report=lambda step: done.update({step.kind: time.time()}))

    with ThreadPoolExecutor(1) as pool:
        published = pool.submit(publish)
        while not published.done() and len(sent) < len(pairs) - 5:
            sent += wire.send(pairs[len(sent) : len(sent) + 1], linger_ms=0)
        outcome = published.result()
    assert outcome.ok, (outcome.error, outcome.late)
    sent += wire.send(pairs[len(sent) : len(sent) + 5], linger_ms=0)
    verdicts = _verdicts(wire, sent)
    numbers = {verdict.rule_set.split("-")[0] for verdict in verdicts}
    assert numbers == {str(old), str(new)}
    assert {verdict.rule_set for verdict in verdicts if verdict.rule_set.startswith(f"{new}-")} == {
        files.rule_set.version
    }
    last_old = max(v.governed_at for v in verdicts if v.rule_set != files.rule_set.version)
    first_new = min(v.governed_at for v in verdicts if v.rule_set == files.rule_set.version)
    assert last_old <= first_new
    print(f"\n{first_new / 1000 - done['rules']:.2f} s from the announcement to the first verdict by the new set")


def test_numbers_are_compared_and_an_earlier_set_comes_back_under_a_new_number(cli: Any, wire: Wire) -> None:
    in_force = read_known(wire.kafka).in_force()
    assert in_force is not None
    new = in_force.rules.number
    code, changes, _ = cli("diff", str(new - 1), str(new))
    assert (code, [(change["rule"], change["kind"]) for change in changes]) == (0, [(RULE, "changed")])
    assert changes[0]["changes"] == ["status: — → shadow"]
    code, (said,), _ = cli("rollback", str(new - 1), "--apply")
    assert (code, said["ok"], said["after"]["rules"]) == (0, True, new + 1)
    assert cli("diff", str(new - 1), str(new + 1))[:2] == (0, [])
    (verdict,) = _verdicts(wire, wire.send(wire.pairs(wire.sound(1)), linger_ms=0))
    assert verdict.rule_set.startswith(f"{new + 1}-")
    code, _, err = cli("rollback", str(new + 1), "--apply")
    assert code == 1
    assert "zhida rules diff" in err
    code, _, err = cli("rollback", "99", "--apply")
    assert code == 1
    assert "99" in err


def test_what_workers_tell_of_shadow_rules_is_shown_beside_what_they_use(cli: Any, wire: Wire) -> None:
    in_force = read_known(wire.kafka).in_force()
    assert in_force is not None
    following = Following(wire.kafka)
    counts = {RULE: {"severity": "reject", "broken": 2, "samples": ["t-0-7", "t-0-9"]}}
    following.report("govern", "a-worker", in_force, None)
    following.add("a-worker", shadow={"rule_set": "9-x", "since": 1, "judged": {CODE: 40}, "counts": counts})
    # What it uses is told again and keeps the counts.
    following.report("govern", "a-worker", in_force, None)

    def told() -> list[dict[str, Any]]:
        # The running worker may have told of its own by now.
        return [one for one in cli("shadow")[1] if one["client"] == "a-worker"]

    until(lambda: bool(told()), 20, "the counts are on the topic")
    (said,) = told()
    assert (said["rule"], said["broken"], said["judged"]) == (RULE, 2, 40)
    following.leave("a-worker")
    until(lambda: not told(), 20, "the counts are gone with the worker")
    # The embedded broker waits five seconds for clients when it is asked to end.
    asyncio.run(following.stop())
