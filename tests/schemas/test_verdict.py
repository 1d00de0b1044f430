"""Verdict headers and feedback come back as they went out."""

from __future__ import annotations

from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.framing import frame_header
from schemas.verdict import (
    QUARANTINE_REASONS,
    Feedback,
    Severity,
    Verdict,
    VerdictPrefix,
    Violation,
    decode_feedback,
    encode_feedback,
    encode_violations,
    feedback_id,
    parse_feedback_id,
    parse_verdict_prefix,
    verdict_header_prefix,
)

HEADER = frame_header(3)
#: What UTF-8 can carry: no lone surrogates.
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
numbers = st.integers(-(2**63), 2**63 - 1)
ints = st.integers(-(2**31), 2**31 - 1)
verdicts = st.sampled_from(get_args(Verdict))
violations = st.builds(
    Violation,
    rule=text,
    dimension=text,
    severity=st.sampled_from(get_args(Severity)),
    field=text,
    value=text,
    message_zh=text,
    message_en=text,
)
feedback = st.builds(
    Feedback,
    feedback_id=text,
    unit=text,
    dataset=text,
    record_id=st.none() | text,
    version=st.none() | numbers,
    verdict=verdicts,
    rule_set=text,
    schema_id=st.none() | ints,
    source_topic=text,
    source_partition=ints,
    source_offset=numbers,
    reported_at=numbers,
    governed_at=numbers,
    violations=st.lists(violations, max_size=4).map(tuple),
    record=st.none() | st.binary(max_size=50),
)


@given(feedback)
def test_feedback_comes_back_as_it_was_written(item: Feedback) -> None:
    assert decode_feedback(encode_feedback(item, HEADER)) == item


@given(st.binary(max_size=100))
def test_what_is_no_feedback_is_refused_with_a_value_error(value: bytes) -> None:
    for candidate in (value, HEADER + value):
        try:
            decode_feedback(candidate)
        except ValueError:
            continue


@given(feedback, st.data())
def test_feedback_cut_short_is_refused_with_a_value_error(item: Feedback, data: st.DataObject) -> None:
    whole = encode_feedback(item, HEADER)
    with pytest.raises(ValueError, match="not a"):
        decode_feedback(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(
    verdict=verdicts,
    rule_set=st.from_regex(r"\A[0-9]{1,6}-[0-9a-f]{8}\Z"),
    schema_id=st.integers(-1, 2**31 - 1),
    governed_at=st.integers(0, 2**50),
    topic=st.from_regex(r"\A[a-z][a-z0-9._]{1,60}\Z"),
    partition=st.integers(0, 1023),
    offset=st.integers(0, 2**63 - 1),
)
def test_a_verdict_header_comes_back_as_it_was_written(offset: int, **parts: Any) -> None:
    header = verdict_header_prefix(**parts) + b"%d" % offset
    prefix, _, found = header.rpartition(b"=")
    assert int(found) == offset
    expected = VerdictPrefix(
        parts["verdict"],
        parts["rule_set"],
        parts["schema_id"],
        parts["governed_at"],
        parts["topic"],
        parts["partition"],
    )
    assert parse_verdict_prefix(prefix + b"=") == expected


@given(st.binary(max_size=80))
def test_what_is_no_verdict_header_is_refused_with_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError, match="not a verdict header"):
        parse_verdict_prefix(value)


@given(st.lists(violations, max_size=4).map(tuple))
def test_violations_come_back_from_their_header(items: tuple[Violation, ...]) -> None:
    assert tuple(Violation(**item) for item in orjson.loads(encode_violations(items))) == items


def test_feedback_has_one_id_for_one_place() -> None:
    places = {feedback_id(topic, p, o) for topic in ("a", "b") for p in range(3) for o in range(30)}
    assert len(places) == 180


@given(st.from_regex(r"[A-Za-z0-9._-]{1,249}", fullmatch=True), st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
def test_a_feedback_id_says_again_which_place_it_is_of(topic: str, partition: int, offset: int) -> None:
    assert parse_feedback_id(feedback_id(topic, partition, offset)) == (topic, partition, offset)


@pytest.mark.parametrize(
    "text", ["", "a", "a-1", "a-1-", "-1-2", "a--1-2x", "a-1-2\n", "a b-1-2", "a-1-٣", "a-2147483648-1", f"a-1-{2**63}"]
)
def test_what_is_no_feedback_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no feedback id"):
        parse_feedback_id(text)


def test_every_quarantine_reason_is_explained_in_both_languages() -> None:
    for reason, (zh, en) in QUARANTINE_REASONS.items():
        assert reason.islower()
        assert any("一" <= letter <= "鿿" for letter in zh)
        assert en.isascii()
