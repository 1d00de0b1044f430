"""Personal data: the columns' way and the single record's way hide and find the same."""

from __future__ import annotations

import re
from random import Random
from typing import Any, get_args

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog import Catalog, Dataset, PiiClass, SubjectSpec
from schemas.protect import mask, person_key, protect, stored_masked, subject_of

SECRET = b"0123456789abcdef0123456789abcdef"
CATALOG = Catalog.load()
_TEXTS = (
    "", " ", "　", "  \t", "\x1f", "91320000MA1ABCDE1X", " 91320000MA1ABCDE1X ", "320102199001011234", "p:", "reg:1",
    "32010219900101123x", "32010219900101123X", "13812345678", "123456789", "12345678", "1", "320106000012345", "证",
)  # fmt: skip
values = st.one_of(st.none(), st.sampled_from(_TEXTS), st.text(max_size=20))


def _frame(dataset: Dataset, records: list[dict[str, Any]]) -> pl.DataFrame:
    blank = dict.fromkeys(dataset.by_name) | {"unit": "u", "record_id": "r", "version": 1, "deleted": False}
    return pl.DataFrame([blank | record for record in records], schema=dataset.polars_schema, orient="row")


def _twin(dataset: Dataset, record: dict[str, Any]) -> dict[str, Any]:
    """What :func:`protect` makes of one record, said in plain Python."""
    hidden = {}
    for field in dataset.business_fields:
        value = record.get(field.name)
        if stored_masked(field) and value is not None:
            hidden[field.name] = mask(value, field.pii) if value.strip() else None
    return record | hidden | {"subject": subject_of(record, dataset, SECRET)}


@pytest.mark.parametrize("dataset", CATALOG, ids=lambda dataset: dataset.code)
def test_columns_and_single_records_get_the_same_subject_and_the_same_masks(dataset: Dataset) -> None:
    random = Random(3)
    names = [field.name for field in dataset.business_fields if field.type == "string"]
    records = [{name: random.choice((None, *_TEXTS)) for name in names} for _ in range(2000)]
    frame = _frame(dataset, records)
    expected = [_twin(dataset, record) for record in frame.rows(named=True)]
    assert protect(frame, dataset, SECRET).rows(named=True) == expected
    one_by_one = [protect(frame[i], dataset, SECRET).row(0, named=True) for i in range(200)]
    assert one_by_one == expected[:200]


@given(st.lists(st.tuples(values, values, values), min_size=1, max_size=8))
def test_any_text_in_the_identifying_fields_gets_the_same_subject_both_ways(rows: list[tuple[str | None, ...]]) -> None:
    dataset = CATALOG["administrative_penalty"]
    spec = dataset.subject
    names = (spec.uscc, spec.registration_number, spec.id_number)
    frame = _frame(dataset, [dict(zip(names, row, strict=True)) for row in rows])
    expected = [_twin(dataset, record) for record in frame.rows(named=True)]
    assert protect(frame, dataset, SECRET).rows(named=True) == expected


def test_whatever_python_calls_a_blank_counts_as_one_in_columns() -> None:
    dataset = CATALOG["administrative_penalty"]
    blanks = [chr(code) for code in range(0x110000) if chr(code).isspace()]
    frame = _frame(dataset, [{dataset.subject.uscc: blank, dataset.subject.id_number: blank} for blank in blanks])
    assert set(protect(frame, dataset, SECRET)["subject"]) == {""}


@given(st.from_regex(r"\A[0-9]{17}[0-9Xx]\Z"))
def test_an_identity_number_is_found_by_either_spelling_of_x_and_never_shown(number: str) -> None:
    key = person_key(number, SECRET)
    assert re.fullmatch(r"p:[0-9a-f]{32}", key)
    assert key == person_key(number.lower(), SECRET) == person_key(f" {number} ", SECRET)
    assert key != person_key(number, SECRET[::-1])
    shown = mask(number, "id_number")
    assert len(shown) == 18
    assert shown == number[:4] + "*" * 12 + number[-2:]


def test_a_dataset_about_persons_finds_them_by_the_number_alone() -> None:
    penalty = CATALOG["administrative_penalty"]
    only_number = {"uscc": None, "registration_number": None}
    dataset = penalty.model_copy(update={"subject": penalty.subject.model_copy(update=only_number)})
    records = [
        {"CF_XDR_ZJHM": "320102199001011234", "CF_XDR_SHXYM": "91320000MA1ABCDE1X"},
        {"CF_XDR_ZJHM": None, "CF_XDR_SHXYM": "91320000MA1ABCDE1X"},
    ]
    subjects = protect(_frame(dataset, records), dataset, SECRET)["subject"].to_list()
    assert subjects == [person_key("320102199001011234", SECRET), ""]
    assert subjects == [subject_of(record, dataset, SECRET) for record in records]


def test_a_subject_that_names_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="names nobody"):
        SubjectSpec(name="JGMC")


@pytest.mark.parametrize("pii", sorted(set(get_args(PiiClass)) - {"none"}))
def test_no_mask_shows_a_whole_value_however_short_it_is(pii: PiiClass) -> None:
    for length in range(2, 40):
        value = "0123456789"[:length].ljust(length, "市")
        assert value not in mask(value, pii)
        assert "*" in mask(value, pii)


def test_a_batch_of_nothing_but_nulls_is_protected_too() -> None:
    for dataset in CATALOG:
        frame = protect(_frame(dataset, [{}, {}]), dataset, SECRET)
        assert frame["subject"].to_list() == ["", ""]
        assert protect(_frame(dataset, []), dataset, SECRET).height == 0
