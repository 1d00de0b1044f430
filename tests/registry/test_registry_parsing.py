"""The parser against anything: a schema, or a refusal of the protocol, and nothing else."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.registry import avro
from schemas.registry.canonical import canonical_text
from schemas.registry.errors import RegistryError

WORDS = (
    "type", "name", "fields", "items", "values", "symbols", "size", "default", "namespace", "aliases", "order", "doc",
    "record", "error", "enum", "fixed", "array", "map", "null", "boolean", "int", "long", "float", "double", "bytes",
    "string", "R", "a.b", "", "ignore", "logicalType",
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2**70), st.floats(), st.sampled_from(WORDS), st.text(max_size=3)
)
ANY_JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(WORDS), inner, max_size=6)),
    max_leaves=25,
)
NAMED = st.builds(
    lambda kind, rest: {**rest, "type": kind, "name": "R"},
    st.sampled_from(("record", "enum", "fixed", "array", "map")),
    st.dictionaries(st.sampled_from(WORDS), ANY_JSON, max_size=6),
)


@settings(max_examples=600, deadline=None)
@given(st.one_of(ANY_JSON, NAMED))
def test_any_json_is_a_schema_or_refused(value: Any) -> None:
    with contextlib.suppress(RegistryError):
        schema = avro.parse(json.dumps(value))
        assert canonical_text(avro.parse(canonical_text(schema))) == canonical_text(schema)


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text_is_a_schema_or_refused(text: str) -> None:
    with contextlib.suppress(RegistryError):
        avro.parse(text)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("string", '"string"'),
        ('{"type": "string"}', '"string"'),
        ('{"type":"string","logicalType":"uuid"}', '{"type":"string","logicalType":"uuid"}'),
        ('{"size":4,"name":"a.F","type":"fixed"}', '{"type":"fixed","name":"F","namespace":"a","size":4}'),
        (
            '{"type":"record","name":"R","namespace":"n","fields":[{"type":{"type":"enum","name":"E","namespace":"n",'
            '"symbols":["A"]},"name":"x"},{"name":"y","type":"n.E","default":"A"}]}',
            '{"type":"record","name":"R","namespace":"n","fields":[{"name":"x","type":{"type":"enum","name":"E",'
            '"symbols":["A"]}},{"name":"y","type":"E","default":"A"}]}',
        ),
        ('{"type":"array","items":{"type":"int"},"x":[1,2.5,null]}', '{"type":"array","items":"int","x":[1,2.5,null]}'),
    ],
)
def test_one_text_for_one_schema(written: str, canonical: str) -> None:
    assert canonical_text(avro.parse(written)) == canonical
    fastavro.parse_schema(json.loads(canonical))


def test_a_default_of_null_is_a_default_and_none_is_none() -> None:
    text = '{"type":"record","name":"R","fields":[{"name":"x","type":["null","int"],"default":null}]}'
    assert canonical_text(avro.parse(text)) == text
    without = '{"type":"record","name":"R","fields":[{"name":"x","type":["null","int"]}]}'
    assert canonical_text(avro.parse(without)) == without
