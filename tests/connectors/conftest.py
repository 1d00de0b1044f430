"""What the tests of the connectors share: a wiring without a broker, and a small valid file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from platform_support import Platform, running_registry
from reporting_samples import DryRun

from connectors.base import Wiring
from connectors.file import Counts, FileReport, Refusal, Watch, report_file
from schemas.catalog import Catalog
from schemas.connection import KafkaConnection, RegistryConnection
from schemas.registry.client import RegistryClient
from schemas.units import Units
from zhida.stack.testing import create_topic, running_stack

NOW_MS = 1_764_000_000_000


class NoRegistry:
    """For dry runs, which register nothing."""

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        raise AssertionError("a dry run registers nothing")


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog.load()


@pytest.fixture(scope="session")
def units() -> Units:
    return Units.load()


@pytest.fixture(scope="session")
def unit(units: Units) -> str:
    return next(iter(units)).code


@pytest.fixture
def dry_wiring(catalog: Catalog, units: Units) -> Wiring:
    return Wiring(KafkaConnection("127.0.0.1:1"), NoRegistry(), catalog, units, lambda: NOW_MS)


@pytest.fixture
def dry_run(dry_wiring: Wiring, unit: str, tmp_path: Path) -> DryRun:
    """``dry_run(content, name="a.csv", **config)`` → counts and refusals of a file with this content."""

    def run(content: str | bytes, name: str = "report.csv", **config: Any) -> tuple[Counts, list[Refusal]]:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        refused: list[Refusal] = []
        settings = {"dataset": "administrative_penalty", "unit": unit, "path": path, "dry_run": True} | config
        counts = report_file(FileReport(**settings), dry_wiring, Watch(refused=refused.append))
        return counts, refused

    return run


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A broker of its own (the topic names are the platform's), a registry on it, and the topic of penalties."""
    with running_stack(tmp_path_factory.mktemp("connectors") / "var") as stack:
        kafka = stack.settings.kafka()
        for dataset in Catalog.load():
            create_topic(kafka, dataset.report_topic, partitions=4)
        with running_registry(kafka) as url:
            yield Platform(kafka, url, stack.settings)


@pytest.fixture
def wiring(platform: Platform, catalog: Catalog, units: Units) -> Iterator[Wiring]:
    with RegistryClient(RegistryConnection(platform.registry_url)) as registry:
        yield Wiring(platform.kafka, registry, catalog, units, lambda: NOW_MS)


@pytest.fixture
def own_unit(units: Units, platform: Platform) -> str:
    """A unit that no other test reports for."""
    return platform.next_unit(units)
