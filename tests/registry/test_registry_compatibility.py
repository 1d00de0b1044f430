"""Compatibility: the table of known answers, the seven levels, and a comparison with two Avro libraries' readers."""

from __future__ import annotations

import io
import itertools
import json
import warnings
from collections.abc import Iterator
from typing import Any

import avro.errors
import avro.io
import avro.schema
import fastavro
import pytest
from evolution_cases import CASES, NO_DEFAULT, Case, f, rec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from schemas.registry import avro as ours
from schemas.registry.canonical import canonical_text
from schemas.registry.compatibility import LEVELS, check, incompatibilities
from schemas.registry.errors import RegistryError


def parsed(schema: Any) -> ours.AvroSchema:
    return ours.parse(json.dumps(schema))


def test_the_table_has_a_hundred_cases_and_no_name_twice() -> None:
    assert len(CASES) >= 100
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_change_has_its_known_answer(case: Case) -> None:
    old, new = parsed(case.old), parsed(case.new)
    backward = check("BACKWARD", new, [(1, old)])
    forward = check("FORWARD", new, [(1, old)])
    assert (not backward, not forward) == (case.backward, case.forward), (backward, forward)
    assert bool(check("FULL", new, [(1, old)])) == (not (case.backward and case.forward))
    if case.names:
        assert any(case.names in message for message in backward + forward), (backward, forward)


def test_the_seven_levels_look_at_the_right_versions_in_the_right_direction() -> None:
    a = rec(f("a", "string"))
    ab = rec(f("a", "string"), f("b", "int", 0))
    # c reads ab, not a (b lost its default); a and ab both read c.
    c = rec(f("a", "string"), f("b", "int"))
    # d reads all; neither a nor ab can read it (a is gone).
    d = rec(f("b", "int", 0))
    earlier = [(1, parsed(a)), (2, parsed(ab))]
    answers = {level: (not check(level, parsed(c), earlier), not check(level, parsed(d), earlier)) for level in LEVELS}
    assert answers == {
        "NONE": (True, True),
        "BACKWARD": (True, True),
        "BACKWARD_TRANSITIVE": (False, True),
        "FORWARD": (True, False),
        "FORWARD_TRANSITIVE": (True, False),
        "FULL": (True, False),
        "FULL_TRANSITIVE": (False, False),
    }
    assert "version 1" in check("BACKWARD_TRANSITIVE", parsed(c), earlier)[0]
    assert check("FULL_TRANSITIVE", parsed(c), []) == []


def test_what_rests_on_a_recursion_that_fails_is_not_taken_for_compatible() -> None:
    # Whether S reads S depends on whether R reads R, which fails only later, at "z".
    def schema(last: str) -> dict[str, Any]:
        inner = rec(f("back", ["null", "R"]), name="S")
        return rec(f("s", inner), f("z", last), f("again", ["null", "S"]), name="R")

    assert incompatibilities(parsed(schema("string")).root, parsed(schema("int")).root)
    assert not incompatibilities(parsed(schema("long")).root, parsed(schema("int")).root)


def test_schemas_that_are_too_intertwined_are_refused_in_time() -> None:
    def schema(kind: str) -> ours.Node:
        # Of one name in many namespaces: any may stand for any.
        return parsed([rec(f("x", kind), name="R", namespace=f"n{at}") for at in range(500)]).root

    reader, writer = schema("int"), schema("string")
    with pytest.raises(RegistryError) as refused:
        incompatibilities(reader, writer)
    assert refused.value.code == 42209


def test_a_chain_of_types_too_long_to_follow_is_refused() -> None:
    def schema(prefix: str) -> ours.Node:
        chain = [f(f"{prefix}0", rec(f("x", "int"), name="T0"))]
        chain += [f(f"{prefix}{at}", rec(f("x", f"T{at - 1}"), name=f"T{at}")) for at in range(1, 2_000)]
        return parsed(rec(*(item | {"default": None} | {"type": ["null", item["type"]]} for item in chain),
                          f("last", "T1999"))).root  # fmt: skip

    with pytest.raises(RegistryError) as refused:
        incompatibilities(schema("a"), schema("b"))
    assert refused.value.code == 42209


def test_wide_unions_are_compared_quickly() -> None:
    def schema(kind: str) -> ours.Node:
        wide = [rec(f("x", kind), name=f"T{at}") for at in range(500)]
        return parsed(rec(f("u", wide), *(f(f"f{at}", [f"T{n}" for n in range(500)]) for at in range(30)))).root

    assert not incompatibilities(schema("long"), schema("int"))


# --- against the readers of Apache Avro's own library and of fastavro

_PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "string", "bytes")
_SAMPLES: dict[str, list[Any]] = {
    "null": [None],
    "boolean": [True],
    "int": [-7],
    "long": [2**40],
    "float": [0.5],
    "double": [0.25],
    "string": ["é"],
    "bytes": [b"ok"],
}


class Shapes:
    """Random schemas, and readers that differ from them by random changes."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._names = itertools.count()

    def writer(self, depth: int = 0) -> Any:
        kind = self._draw(
            st.sampled_from(("primitive", "primitive", "enum", "fixed", "record", "array", "map", "union"))
        )
        return self._make(kind if depth < 3 else "primitive", depth)

    def _make(self, kind: str, depth: int) -> Any:
        match kind:
            case "enum":
                symbols = self._draw(st.lists(st.sampled_from("PQRS"), min_size=1, max_size=4, unique=True))
                return {"type": "enum", "name": f"N{next(self._names)}", "symbols": symbols}
            case "fixed":
                return {"type": "fixed", "name": f"N{next(self._names)}", "size": self._draw(st.integers(1, 3))}
            case "record":
                fields = [f(name, self.writer(depth + 1)) for name in "abc"[: self._draw(st.integers(0, 3))]]
                return rec(*fields, name=f"N{next(self._names)}")
            case "array":
                return {"type": "array", "items": self.writer(depth + 1)}
            case "map":
                return {"type": "map", "values": self.writer(depth + 1)}
            case "union":
                return self._draw(st.lists(st.sampled_from(_PRIMITIVES), min_size=1, max_size=3, unique=True))
            case _:
                return self._draw(st.sampled_from(_PRIMITIVES))

    def reader(self, schema: Any, depth: int = 0) -> Any:
        """*schema*, changed here and there."""
        if self._draw(st.integers(0, 9)) == 0:
            return self.writer(3)
        if isinstance(schema, list):
            return self._draw(
                st.lists(st.sampled_from([*schema, *_PRIMITIVES]), min_size=1, max_size=4, unique_by=json.dumps)
            )
        if isinstance(schema, str):
            return self._draw(st.sampled_from((schema, schema, schema, "long", "double", ["null", schema])
                                              if schema != "null" else (schema, ["null", "int"])))  # fmt: skip
        changed = dict(schema)
        match schema["type"]:
            case "enum":
                more = self._draw(st.lists(st.sampled_from("PQRS"), max_size=2))
                kept = schema["symbols"][self._draw(st.integers(0, 1)) :]
                changed["symbols"] = list(dict.fromkeys([*more, *kept])) or ["P"]
            case "fixed":
                changed["size"] = schema["size"] + self._draw(st.integers(0, 1))
            case "array":
                changed["items"] = self.reader(schema["items"], depth + 1)
            case "map":
                changed["values"] = self.reader(schema["values"], depth + 1)
            case _:
                changed["fields"] = self._fields(schema["fields"], depth)
        return changed

    def _fields(self, fields: list[dict[str, Any]], depth: int) -> list[dict[str, Any]]:
        made = [f(item["name"], self.reader(item["type"], depth + 1)) for item in fields]
        made = [item for item in made if self._draw(st.integers(0, 5))]
        if self._draw(st.booleans()):
            made.append(f("new", "int", self._draw(st.sampled_from((5, 5, NO_DEFAULT)))))
        return self._draw(st.permutations(made))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    shapes = Shapes(draw)
    writer = shapes.writer()
    return writer, shapes.reader(writer)


def samples(schema: Any, names: dict[str, Any]) -> list[Any]:
    """Values that between them take every branch of every union and every symbol of every enum."""
    if isinstance(schema, list):
        return [value for branch in schema for value in samples(branch, names)]
    if isinstance(schema, str):
        return _SAMPLES[schema]
    match schema["type"]:
        case "enum":
            return list(schema["symbols"])
        case "fixed":
            return [b"x" * schema["size"]]
        case "array":
            return [[value] for value in samples(schema["items"], names)]
        case "map":
            return [{"k": value} for value in samples(schema["values"], names)]
        case _:
            choices = [samples(item["type"], names) for item in schema["fields"]]
            longest = max((len(choice) for choice in choices), default=1)
            return [
                {item["name"]: choice[at % len(choice)] for item, choice in zip(schema["fields"], choices, strict=True)}
                for at in range(longest)
            ]


def encoded(schema: Any) -> Iterator[bytes]:
    made = fastavro.parse_schema(schema)
    for value in samples(schema, {}):
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, made, value)
        yield buffer.getvalue()


def reads_with_fastavro(writer: Any, reader: Any) -> bool:
    made, wanted = fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    try:
        for body in encoded(writer):
            fastavro.schemaless_reader(io.BytesIO(body), made, wanted)
    except Exception:
        return False
    return True


def reads_with_apache(writer: Any, reader: Any) -> bool:
    made, wanted = avro.schema.parse(json.dumps(writer)), avro.schema.parse(json.dumps(reader))
    try:
        for body in encoded(writer):
            avro.io.DatumReader(made, wanted).read(avro.io.BinaryDecoder(io.BytesIO(body)))
    except avro.errors.AvroException:
        return False
    return True


def beyond_apache(writer: Any, reader: Any) -> bool:
    """True where Apache's Python reader, known to be stricter than the specification, has no say.

    It does not read a union into anything but a union, promotes no string to bytes or back, and compares what arrays
    and maps hold by the name of the type alone, so that nothing in them is promoted or wrapped in a union.
    """
    if isinstance(writer, list) != isinstance(reader, list) and isinstance(writer, list):
        return True
    if isinstance(reader, list):
        branches = writer if isinstance(writer, list) else [writer]
        return any(beyond_apache(one, other) for one in branches for other in reader)
    if isinstance(writer, str) or isinstance(reader, str):
        return {str(writer), str(reader)} == {"string", "bytes"}
    if writer["type"] != reader["type"]:
        return False
    if writer["type"] in ("array", "map"):
        key = "items" if writer["type"] == "array" else "values"
        one, other = writer[key], reader[key]
        return _kind(one) != _kind(other) or beyond_apache(one, other)
    theirs = {item["name"]: item["type"] for item in writer.get("fields", ())}
    shared = [item for item in reader.get("fields", ()) if item["name"] in theirs]
    return any(beyond_apache(theirs[item["name"]], item["type"]) for item in shared)


def _kind(schema: Any) -> str:
    return "union" if isinstance(schema, list) else schema if isinstance(schema, str) else str(schema["type"])


EXAMPLES = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))


@EXAMPLES
@given(pairs())
def test_compatible_means_that_apache_avros_reader_reads_every_kind_of_value(pair: tuple[Any, Any]) -> None:
    writer, reader = pair
    assume(not beyond_apache(writer, reader))
    found = incompatibilities(reader=parsed(reader).root, writer=parsed(writer).root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert reads_with_apache(writer, reader) == (not found), found


@EXAMPLES
@given(pairs())
def test_compatible_means_that_fastavro_reads_every_kind_of_value(pair: tuple[Any, Any]) -> None:
    writer, reader = pair
    if not incompatibilities(reader=parsed(reader).root, writer=parsed(writer).root):
        assert reads_with_fastavro(writer, reader)


@EXAMPLES
@given(pairs())
def test_the_canonical_text_means_the_same_schema_and_is_its_own_canonical_text(pair: tuple[Any, Any]) -> None:
    for schema in pair:
        text = canonical_text(parsed(schema))
        again = ours.parse(text)
        assert canonical_text(again) == text
        assert not incompatibilities(again.root, parsed(schema).root)
        assert not incompatibilities(parsed(schema).root, again.root)
        assert fastavro.schema.to_parsing_canonical_form(json.loads(text)) == (
            fastavro.schema.to_parsing_canonical_form(schema)
        )
