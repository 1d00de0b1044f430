from __future__ import annotations

from dataclasses import replace

from rules.document import RuleDocument
from rules.ruleset import LIBRARY_DIR
from schemas.assignments import Assignments
from schemas.catalog import Catalog
from schemas.release import Release
from schemas.units import Regions, Units
from zhida.in_force import InForce
from zhida.timed import TimedDatasets


def test_timeliness_is_measured_where_the_rules_in_force_have_an_active_deadline() -> None:
    release = Release(Catalog.load(), Regions.load(), Units.load(), Assignments((), {}))
    now = InForce(release, RuleDocument.read(LIBRARY_DIR))
    timed = TimedDatasets(lambda: now)
    first = timed()
    assert {"administrative_licence", "administrative_penalty"} <= first
    assert timed() is first
    files = dict(now.rules.files)
    text = files["administrative_penalty.yaml"]
    files["administrative_penalty.yaml"] = text.replace(
        "    kind: workday_deadline\n", "    kind: workday_deadline\n    status: shadow\n"
    )
    now = InForce(release, replace(now.rules, number=now.rules.number + 1, files=files))
    assert timed() == first - {"administrative_penalty"}
