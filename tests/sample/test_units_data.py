"""The regions and units of the sample province, and identifiers in general."""

from __future__ import annotations

from collections import Counter
from datetime import date
from random import Random

import pytest

from schemas.units import DATA_DIR, Regions, Units
from zhida.sample.identifiers import break_id_number, break_uscc, is_id_number, is_uscc, make_id_number, make_uscc
from zhida.sample.units import units_csv

REGIONS = Regions.load()
UNITS = Units.load()


def test_units_file_is_what_its_generator_makes() -> None:
    assert (DATA_DIR / "units.csv").read_text(encoding="utf-8") == units_csv(REGIONS)


def test_regions_are_a_province_with_13_cities_and_95_counties_below_them() -> None:
    assert Counter(region.level for region in REGIONS) == {"province": 1, "city": 13, "county": 95}
    assert [city.code for city in REGIONS.cities] == [f"32{number:02d}00" for number in range(1, 14)]
    for region in REGIONS:
        if region.level == "county":
            assert REGIONS[region.parent].level == "city"
            assert region.parent == region.code[:4] + "00"
    assert {REGIONS[code].name for code in ("320102", "320583", "320614", "321324")} == {
        "玄武区",
        "昆山市",
        "海门区",
        "泗洪县",
    }


def test_there_are_more_than_2000_units_and_no_code_or_name_twice() -> None:
    units = list(UNITS)
    assert len(units) >= 2000
    assert len({unit.code for unit in units}) == len(units)
    assert len({unit.name for unit in units}) == len(units)


def test_unit_codes_are_valid_and_carry_the_region_of_the_unit() -> None:
    for unit in UNITS:
        assert is_uscc(unit.code), unit
        assert unit.code.startswith(f"11{unit.region}")
        assert unit.level == REGIONS[unit.region].level


def test_units_have_contacts_that_cannot_be_mistaken_for_real_ones_and_a_principal_each() -> None:
    assert all(unit.contact_name.endswith("示例") and unit.contact_phone.startswith("000-") for unit in UNITS)
    assert len({unit.principal for unit in UNITS}) == len(UNITS)
    assert all(unit.principal == f"User:u-{unit.code}" and not unit.public_key for unit in UNITS)


def test_every_region_has_units() -> None:
    assert {unit.region for unit in UNITS} == {region.code for region in REGIONS}


@pytest.mark.parametrize(
    ("code", "valid"),
    [
        ("91440300708461136T", True),  # two real companies
        ("914403001922038216", True),
        ("91440300708461136t", False),
        ("91440300780461136T", False),
        ("9144030070846113", False),
        ("I1440300708461136T", False),
        ("", False),
    ],
)
def test_unified_codes_are_checked_as_the_standard_says(code: str, valid: bool) -> None:
    assert is_uscc(code) is valid


@pytest.mark.parametrize(
    ("number", "valid"),
    [
        ("11010519491231002X", True),  # the example of GB 11643-1999
        ("440524188001010014", True),  # the other example
        ("11010519491231002x", False),
        ("110105194912310029", False),
        ("11010519490230002X", False),
        ("110105491231002", False),
    ],
)
def test_identity_numbers_are_checked_as_the_standard_says(number: str, valid: bool) -> None:
    assert is_id_number(number) is valid


def test_made_identifiers_are_valid_and_broken_ones_never_are() -> None:
    random = Random(1)
    for _ in range(3000):
        uscc = make_uscc("9", "1", "320102", f"MA{random.randrange(10**6):06d}")
        number = make_id_number("320102", date(1985, 5, random.randint(1, 28)), random.randrange(1000))
        assert is_uscc(uscc)
        assert is_id_number(number)
        assert not is_uscc(broken := break_uscc(uscc, random)), broken
        assert not is_id_number(broken := break_id_number(number, random)), broken
