"""What the tests of the connectors share: a wiring without a broker, and a small valid file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reporting_samples import DryRun

from connectors.base import Wiring
from connectors.file import Counts, FileReport, Refusal, Watch, report_file
from schemas.catalog import Catalog
from schemas.connection import KafkaConnection
from schemas.units import Units

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
