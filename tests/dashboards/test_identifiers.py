from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.identifiers import has_uscc_check, is_id_number, organisation_subject, person_number
from dashboards.problems import ApiError
from dashboards.text import plain
from schemas.units import Units

# Published examples: a company's code, and the specimen number of the standard for identity numbers.
TENCENT = "9144030071526726XG"
SPECIMEN = "11010519491231002X"


def test_a_published_code_has_a_right_check_character() -> None:
    assert has_uscc_check(TENCENT)


def test_every_reporting_unit_has_a_code_that_can_be_asked_for() -> None:
    codes = [unit.code for unit in Units.load()]
    assert [code for code in codes if organisation_subject(code) != code] == []


@given(position=st.integers(0, 17), replacement=st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"))
def test_any_single_wrong_character_is_noticed(position: int, replacement: str) -> None:
    changed = TENCENT[:position] + replacement + TENCENT[position + 1 :]
    assert has_uscc_check(changed) == (changed == TENCENT)


@pytest.mark.parametrize("typed", [TENCENT.lower(), f"  {TENCENT} ", "９１４４０３００７１５２６７２６ＸＧ"])
def test_lower_case_blanks_and_full_width_characters_are_forgiven(typed: str) -> None:
    assert organisation_subject(typed) == TENCENT


def test_a_registration_number_is_asked_for_with_its_prefix() -> None:
    assert organisation_subject("reg:320100000123456") == "reg:320100000123456"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_uscc_length"),
        ("91440300", "bad_uscc_length"),
        ("9144030071526726XI", "bad_uscc_character"),
        ("9144030071526726XH", "bad_uscc_check"),
        ("91440300715267' OR", "bad_uscc_character"),
        ("\x00" * 18, "bad_uscc_character"),
        ("reg:", "bad_registration_number"),
        ("reg:1234567890123456", "bad_registration_number"),
        ("p:" + "0" * 32, "person_in_url"),
        (SPECIMEN, "person_in_url"),
        (SPECIMEN.lower(), "person_in_url"),
    ],
)
def test_a_wrong_identifier_is_refused_with_its_reason(text: str, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        organisation_subject(text)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert refused.value.zh
    assert refused.value.en
    if len(text) > 4:
        assert text not in refused.value.zh + refused.value.en


@given(st.text(max_size=40))
def test_any_text_is_either_a_subject_or_refused(text: str) -> None:
    with suppress(ApiError):
        subject = organisation_subject(text)
        assert has_uscc_check(subject) or subject.startswith("reg:")


def test_the_specimen_identity_number_is_right_and_a_changed_one_is_not() -> None:
    assert is_id_number(SPECIMEN)
    assert person_number(f" {SPECIMEN.lower()} ") == SPECIMEN
    with pytest.raises(ApiError) as refused:
        person_number("110105194912310021")
    assert refused.value.code == "bad_id_number"


def test_other_documents_are_taken_as_they_are() -> None:
    assert person_number("E12345678") == "E12345678"


def test_text_that_hides_or_reorders_is_made_visible_and_long_text_is_cut() -> None:
    assert plain("a\u202eb\nc\x00", 10) == "a\ufffdb\ufffdc\ufffd"
    assert plain("长" * 50, 8) == "长" * 7 + "…"
    assert plain("<b>正常</b>", 20) == "<b>正常</b>"
