"""Collection assignments: whom an entry selects, what later entries change, and what is wrong said with its line."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from schemas.assignments import AssignmentError, Assignments
from schemas.catalog import Catalog
from schemas.units import Regions, Unit, Units

CATALOG, REGIONS = Catalog.load(), Regions.load()
TAX = "tax_arrears"  # reported monthly, says the catalog
DAY = date(2026, 6, 30)


def _unit(code: str, region: str, line: str) -> Unit:
    return Unit(code, f"单位{code}", region, REGIONS[region].level, line)


#: P the province's, A and B the cities', a and b of a district in each.
UNITS = Units(
    [
        _unit("P", "320000", "税务"),
        _unit("A", "320100", "税务"),
        _unit("a", "320102", "税务"),
        _unit("B", "320500", "税务"),
        _unit("b", "320583", "税务"),
        _unit("c", "320102", "市场监管"),
    ]
)


def load(folder: Path, entries: str, dataset: str = TAX) -> Assignments:
    (folder / f"{TAX}.yaml").write_text(f"dataset: {dataset}\nassignments:\n{entries}\n", encoding="utf-8")
    return Assignments.load(CATALOG, UNITS, REGIONS, folder)


def faults(folder: Path, entries: str, dataset: str = TAX) -> list[tuple[int, str]]:
    with pytest.raises(AssignmentError) as caught:
        load(folder, entries, dataset)
    assert all(problem.file == str(folder / f"{TAX}.yaml") and problem.zh for problem in caught.value.problems)
    return [(problem.line, problem.en) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("selectors", "selected"),
    [
        ("lines: [税务]", "PAaBb"),
        ("lines: [税务, 市场监管]", "PAaBbc"),
        ("levels: [city]", "AB"),
        ("levels: [province, city, county]", "PAaBbc"),
        ("regions: [320100]", "Aac"),
        ("regions: [320000]", "PAaBbc"),
        ("regions: [320102, 320500]", "acBb"),
        ("units: [a, B]", "aB"),
        ("lines: [税务], regions: [320100], levels: [county]", "a"),
        ("units: [a, c], lines: [市场监管]", "c"),
        ("lines: [税务], except: [A, a]", "PBb"),
    ],
)
def test_an_entry_selects_the_units_that_meet_all_it_asks_for(tmp_path: Path, selectors: str, selected: str) -> None:
    assignments = load(tmp_path, f"  - {{{selectors}, from: 2026-01-01}}")
    assert assignments.units_for(TAX, DAY) == frozenset(selected)


def test_an_assignment_is_in_force_from_its_day_on(tmp_path: Path) -> None:
    assignments = load(
        tmp_path, "  - {levels: [province], from: 2026-01-01}\n  - {levels: [city], from: 2026-07-01, cycle: daily}"
    )
    assert assignments.units_for(TAX, date(2025, 12, 31)) == frozenset()
    assert assignments.units_for(TAX, date(2026, 1, 1)) == frozenset("P")
    assert assignments.units_for(TAX, date(2026, 6, 30)) == frozenset("P")
    assert assignments.units_for(TAX, date(2026, 7, 1)) == frozenset("PAB")
    # Contexts of two days are compared, and compiled again where they differ.
    assert assignments.units_for(TAX, date(2026, 1, 2)) is assignments.units_for(TAX, date(2026, 6, 1))


def test_terms_are_those_of_the_dataset_unless_the_entry_says_others(tmp_path: Path) -> None:
    assignments = load(
        tmp_path, "  - {units: [A], from: 2026-01-01}\n  - {units: [B], from: 2026-01-01, cycle: weekly, signing: true}"
    )
    plain, own = (assignments.in_force(TAX, unit, DAY) for unit in "AB")
    assert plain is not None
    assert own is not None
    assert (plain.cycle, plain.signing) == (CATALOG[TAX].update_cycle, False)
    assert (own.cycle, own.signing) == ("weekly", True)


def terms(assignments: Assignments, unit: str) -> list[tuple[str, str, bool]]:
    return [(str(one.terms.since), one.terms.cycle, one.terms.signing) for one in assignments.of_unit(unit)]


@pytest.mark.parametrize(
    ("refinement", "expected"),
    [
        # without a day: always
        ("cycle: daily", [("2026-01-01", "daily", False)]),
        ("signing: true", [("2026-01-01", "monthly", True)]),
        # from a later day on, what was before stays
        ("from: 2026-07-01, signing: true", [("2026-01-01", "monthly", False), ("2026-07-01", "monthly", True)]),
        # an earlier beginning
        ("from: 2025-07-01", [("2025-07-01", "monthly", False)]),
        ("from: 2025-07-01, cycle: daily", [("2025-07-01", "daily", False)]),
    ],
)
def test_a_later_entry_refines_what_earlier_ones_say_of_the_unit(
    tmp_path: Path, refinement: str, expected: list[tuple[str, str, bool]]
) -> None:
    assignments = load(tmp_path, f"  - {{lines: [税务], from: 2026-01-01}}\n  - {{units: [A], {refinement}}}")
    assert terms(assignments, "A") == expected
    assert terms(assignments, "B") == [("2026-01-01", "monthly", False)]


def test_a_refinement_leaves_what_it_does_not_state(tmp_path: Path) -> None:
    assignments = load(
        tmp_path,
        """\
  - {lines: [税务], from: 2026-01-01, cycle: weekly}
  - {regions: [320100], from: 2026-07-01, signing: true}
  - {units: [a], from: 2026-04-01, cycle: daily}""",
    )
    assert terms(assignments, "a") == [
        ("2026-01-01", "weekly", False),
        ("2026-04-01", "daily", False),
        ("2026-07-01", "daily", True),
    ]
    assert assignments.in_force(TAX, "a", date(2026, 3, 31)) is not None
    assert assignments.in_force(TAX, "a", date(2025, 3, 31)) is None


def test_datasets_without_a_file_and_units_without_an_entry_are_assigned_nothing(tmp_path: Path) -> None:
    assignments = load(tmp_path, "  - {units: [A], from: 2026-01-01}")
    assert assignments.datasets == (TAX,)
    assert assignments.units_for("honour", DAY) == frozenset()
    assert assignments.of_dataset("honour") == assignments.of_unit("B") == ()
    assert assignments.in_force("honour", "A", DAY) is None


def test_assignments_survive_being_sent_as_json() -> None:
    units = Units.load()
    assignments = Assignments.load(CATALOG, units, REGIONS)
    text = json.dumps(assignments.to_data(), ensure_ascii=False)
    assert len(text) < 100_000
    again = Assignments.from_data(json.loads(text), CATALOG, units, REGIONS)
    assert again.to_data() == assignments.to_data()
    for dataset in assignments.datasets:
        assert again.of_dataset(dataset) == assignments.of_dataset(dataset)


@pytest.mark.parametrize("data", [None, 7, [1], [{"dataset": TAX}], [{"dataset": TAX, "assignments": [{"units": 1}]}]])
def test_data_that_are_no_assignments_are_refused(data: object) -> None:
    with pytest.raises(AssignmentError):
        Assignments.from_data(data, CATALOG, UNITS, REGIONS)


def test_data_for_units_that_no_longer_exist_are_refused(tmp_path: Path) -> None:
    data = load(tmp_path, "  - {units: [A], from: 2026-01-01}").to_data()
    with pytest.raises(AssignmentError, match="no unit is registered as 'A'"):
        Assignments.from_data(data, CATALOG, Units([]), REGIONS)


@pytest.mark.parametrize(
    ("entry", "line", "said"),
    [
        ("  - lines: [税务]\n    form: 2026-01-01", 4, "unknown key 'form'; did you mean 'from'?"),
        ("  - lines:\n      - 税务\n      - 市场监督\n    from: 2026-01-01", 5, "no unit is of the line '市场监督'"),
        ("  - regions: [320100, 320199]\n    from: 2026-01-01", 3, "no region '320199'; did you mean"),
        ("  - units: [A, Z]\n    from: 2026-01-01", 3, "no unit is registered as 'Z'"),
        ("  - lines: [税务]\n    except: [Z]\n    from: 2026-01-01", 4, "no unit is registered as 'Z'"),
        ("  - lines: [税务]\n    from: 2026-01-01\n    cycle: dayly", 5, "cycle: Input should be"),
        ("  - lines: [税务]\n    from: 2026-13-01", 4, "month must be in 1..12"),
        ("  - lines: [税务]\n    levels: [town]\n    from: 2026-01-01", 4, "levels: Input should be"),
        ("  - from: 2026-01-01", 3, "selects nobody: give lines"),
        ("  - lines: [税务]", 3, "states nothing"),
        ("  - lines: [市场监管]\n    levels: [city]\n    from: 2026-01-01", 3, "selects nobody: no unit meets"),
        ("  - lines: [税务]\n    cycle: daily", 3, "says no day: 'from' is needed"),
        ("  - {lines: [税务], from: 2026-01-01}\n  - {units: [A], from: 2027-01-01}", 4, "changes nothing"),
        ("  - {lines: [税务], from: 2026-01-01}\n  - {units: [A], signing: false}", 4, "changes nothing"),
        ("  []", 2, "at least 1 item"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line_and_a_suggestion(tmp_path: Path, entry: str, line: int, said: str) -> None:
    found = faults(tmp_path, entry)
    assert [at for at, message in found if said in message] == [line], found


def test_a_file_of_an_unknown_dataset_or_of_another_name_is_refused(tmp_path: Path) -> None:
    assert faults(tmp_path, "  - {units: [A], from: 2026-01-01}", "honour")[0] == (
        1,
        "dataset must be 'tax_arrears', as the file's name says",
    )
    (tmp_path / f"{TAX}.yaml").rename(tmp_path / "tax_arrear.yaml")
    (tmp_path / "tax_arrear.yaml").write_text("dataset: tax_arrear\nassignments: [{units: [A], from: 2026-01-01}]\n")
    with pytest.raises(AssignmentError, match="no dataset 'tax_arrear'; did you mean 'tax_arrears'"):
        Assignments.load(CATALOG, UNITS, REGIONS, tmp_path)


def test_every_fault_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "honour.yaml").write_text("dataset: honour\nassignments: [{units: [Y], from: 2026-01-01}]\n")
    with pytest.raises(AssignmentError) as caught:
        load(tmp_path, "  - {units: [Z], from: 2026-01-01}\n  - {lines: [无此条线], from: 2026-01-01}")
    assert len({problem.file for problem in caught.value.problems}) == 2
    assert len(caught.value.problems) >= 3


def test_every_dataset_of_the_shipped_catalog_is_assigned_to_somebody_and_none_to_all() -> None:
    units = Units.load()
    assignments = Assignments.load(CATALOG, units, REGIONS)
    assert set(assignments.datasets) == {dataset.code for dataset in CATALOG}
    for dataset in CATALOG:
        assert 0 < len(assignments.units_for(dataset.code, DAY)) < len(units)
