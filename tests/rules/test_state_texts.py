"""What the state is told of a record is the same whether it came in a batch of columns or alone."""

from __future__ import annotations

import sys
import unicodedata
from datetime import date
from random import Random

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rules_tables import make_columns
from shipped import CATALOG, RULES

from rules.state import normal
from rules.state.definitions import Index, Question, StatePlan
from rules.state.normal import LONGEST, STABLE, loose, loose_series
from rules.state.texts import TextMaker

TODAY = date(2026, 6, 30)


@pytest.mark.parametrize("code", [dataset.code for dataset in CATALOG])
def test_columns_and_rows_make_the_same_texts(code: str) -> None:
    dataset, rows = CATALOG[code], 300
    table = make_columns(RULES.dataset(code), rows, Random(f"texts {code}"))
    frame = pl.DataFrame(table, schema=dataset.polars_schema)
    names = tuple(field.name for field in dataset.business_fields)
    # Every field as a key of its own, loosely and exactly, beside what the library asks.
    plan = RULES.plan(code)
    more = [
        index
        for name in names
        for index in (Index(code, (name,), value=name), Index(code, (name, "record_id"), loose=True))
    ]
    more.append(Index(code, names, blanks=True))
    questions = tuple(Question(index, "first", index.keys, index.value) for index in more)
    plan = StatePlan(dataset, (*plan.indexes, *more), (*plan.questions, *questions))
    maker, offsets = TextMaker(plan), [2**40 + row for row in range(rows)]
    by_column = maker.columns(frame, offsets, TODAY)
    by_row = maker.rows(frame.rows(named=True), offsets, TODAY)
    assert list(by_column.rows()) == list(by_row.rows())
    assert max(len(text.encode()) for row in by_row.rows() for text in row) <= LONGEST


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("江苏（某某）店", "江苏(某某)店"),
        ("苏市监罚〔2026〕1号", "苏市监罚[２０２６] 1 号"),
        ("Ａ１\u3000店", "A1店"),
        ("【甲】「乙」", "(甲)(乙)"),
    ],
)
def test_width_brackets_and_spaces_make_no_difference(one: str, other: str) -> None:
    assert loose(one) == loose(other)
    assert loose_series(pl.Series("text", [one, other])).n_unique() == 1


@given(text=st.from_regex(f"[{STABLE}]{{0,20}}", fullmatch=True))
def test_text_that_is_not_looked_at_closely_is_in_nfkc_already(text: str) -> None:
    assert unicodedata.normalize("NFKC", text) == text


@example(texts=["\U0001ccd6"])  # a letter of Unicode 16
@given(texts=st.lists(st.none() | st.text(max_size=30)))
def test_the_normal_form_of_a_column_is_that_of_its_texts(texts: list[str | None]) -> None:
    column = pl.Series("text", texts, dtype=pl.String())
    assert loose_series(column).to_list() == [None if text is None else loose(text) for text in texts]
    assert column.to_list() == texts


def test_text_is_left_as_it_is_only_where_its_normal_form_is_the_same() -> None:
    left = [character for character in map(chr, range(sys.maxunicode + 1)) if normal.is_normal(character)]
    assert len(left) > 20_000
    # Any of them may stand beside any other: none combines with what is before it.
    together = "".join(left)
    assert unicodedata.normalize("NFKC", together + together[::-1]) == together + together[::-1]
    assert not set(left) & {*normal._BRACKETS, *normal.WHITESPACE}
