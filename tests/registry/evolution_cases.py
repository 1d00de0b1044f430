"""A hundred ways to change a schema, each with its known answer: may new read old (backward), old read new (forward).

The answers are those of the Avro specification's schema resolution, written down by hand; where the specification
leaves room, those of Avro's own compatibility checker in Java, which Confluent's registry uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NO_DEFAULT = object()


@dataclass(frozen=True)
class Case:
    name: str
    old: Any
    new: Any
    backward: bool
    forward: bool
    #: What the message of a refusal must name.
    names: str = ""


def f(name: str, kind: Any, default: Any = NO_DEFAULT, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind} | ({} if default is NO_DEFAULT else {"default": default}) | more


def rec(*fields: dict[str, Any], name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)} | more


def enum(*symbols: str, name: str = "E", **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": list(symbols)} | more


def fixed(size: int, name: str = "F", **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size} | more


def arr(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def mp(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name} | more


A = f("a", "string")
YES, NO = True, False

# --- records and their fields
RECORDS = [
    Case("nothing changes", rec(A), rec(A), YES, YES),
    Case("a field with a default is added", rec(A), rec(A, f("b", "int", 0)), YES, YES),
    Case("a field without a default is added", rec(A), rec(A, f("b", "int")), NO, YES, "'b'"),
    Case("a field with a default is removed", rec(A, f("b", "int", 0)), rec(A), YES, YES),
    Case("a field without a default is removed", rec(A, f("b", "int")), rec(A), YES, NO, "'b'"),
    Case("fields change places", rec(A, f("b", "int")), rec(f("b", "int"), A), YES, YES),
    Case("a field gains a default", rec(A), rec(f("a", "string", "")), YES, YES),
    Case("a field loses its default", rec(f("a", "string", "")), rec(A), YES, YES),
    Case("a field changes its default", rec(f("a", "string", "x")), rec(f("a", "string", "y")), YES, YES),
    Case("a nullable field is added, default null", rec(A), rec(A, f("b", ["null", "int"], None)), YES, YES),
    Case("a nullable field is added without a default", rec(A), rec(A, f("b", ["null", "int"])), NO, YES, "'b'"),
    Case("a field is renamed", rec(A), rec(f("b", "string")), NO, NO, "'b'"),
    Case("a field is renamed with an alias", rec(A), rec(f("b", "string", aliases=["a"])), YES, NO, "'a'"),
    Case("a renamed field with alias and default", rec(A), rec(f("b", "string", "", aliases=["a"])), YES, NO, "'a'"),
    Case("an alias is added", rec(A), rec(f("a", "string", aliases=["z"])), YES, YES),
    Case("an alias of another type", rec(A), rec(f("b", "int", aliases=["a"])), NO, NO, "'b'"),
    Case("doc changes", rec(A, doc="x"), rec(A, doc="y"), YES, YES),
    Case("a field's doc and order change", rec(A), rec(f("a", "string", doc="d", order="descending")), YES, YES),
    Case("a custom attribute is added", rec(A), rec(A, owner="us"), YES, YES),
    Case("the record is renamed", rec(A), rec(A, name="S"), NO, NO, "S"),
    Case("the record is renamed with an alias", rec(A), rec(A, name="S", aliases=["R"]), YES, NO, "S"),
    Case("only the namespace changes", rec(A, namespace="a"), rec(A, namespace="b"), YES, YES),
    Case("the last field goes", rec(A), rec(), YES, NO, "'a'"),
    Case("both are empty", rec(), rec(), YES, YES),
    Case("a record becomes an error", rec(A), {**rec(A), "type": "error"}, YES, YES),
    Case("a record becomes a map", rec(A), mp("string"), NO, NO, "map"),
    Case("an enum field is added, the enum has a default", rec(A),
         rec(A, f("b", enum("X", default="X"))), NO, YES, "'b'"),
]  # fmt: skip

# --- primitives and promotions
_PROMOTED = {
    ("int", "long"), ("int", "float"), ("int", "double"), ("long", "float"), ("long", "double"), ("float", "double"),
    ("string", "bytes"), ("bytes", "string"),
}  # fmt: skip
_PAIRS = [
    ("int", "long"), ("int", "float"), ("int", "double"), ("long", "float"), ("long", "double"), ("float", "double"),
    ("string", "bytes"), ("int", "string"), ("long", "string"), ("boolean", "int"), ("boolean", "string"),
    ("null", "string"), ("null", "int"), ("double", "string"), ("bytes", "int"), ("boolean", "null"),
]  # fmt: skip
PRIMITIVES = [
    Case(f"{old} becomes {new}", rec(f("a", old)), rec(f("a", new)), (old, new) in _PROMOTED, (new, old) in _PROMOTED,
         "" if {old, new} == {"string", "bytes"} else "'a'")
    for old, new in _PAIRS
] + [
    Case("the root is promoted", "int", "long", YES, NO),
    Case("the root changes its type", "string", "int", NO, NO, "string"),
    Case("a primitive written at length", "string", {"type": "string"}, YES, YES),
    Case("a primitive gains an attribute", "string", {"type": "string", "avro.java.string": "String"}, YES, YES),
]  # fmt: skip

# --- unions
UNIONS = [
    Case("a field becomes nullable", rec(A), rec(f("a", ["null", "string"])), YES, NO, "'a'"),
    Case("a field becomes nullable, string first", rec(A), rec(f("a", ["string", "null"])), YES, NO, "'a'"),
    Case("a field is no longer nullable", rec(f("a", ["null", "string"])), rec(A), NO, YES, "'a'"),
    Case("a branch is added", rec(f("a", ["null", "string"])), rec(f("a", ["null", "string", "int"])), YES, NO, "int"),
    Case(
        "a branch is removed", rec(f("a", ["null", "string", "int"])), rec(f("a", ["null", "string"])), NO, YES, "int"
    ),
    Case("branches change places", rec(f("a", ["null", "string"])), rec(f("a", ["string", "null"])), YES, YES),
    Case("a branch is promoted", rec(f("a", ["null", "int"])), rec(f("a", ["null", "long"])), YES, NO, "long"),
    Case("a branch changes its type", rec(f("a", ["null", "int"])), rec(f("a", ["null", "string"])), NO, NO, "int"),
    Case("a union of one type is unwrapped", ["string"], "string", YES, YES),
    Case("a union of one type is promoted", ["int"], "long", YES, NO),
    Case("int into a union of long and string", "int", ["long", "string"], YES, NO),
    Case("int into a union of strings", "int", ["null", "string"], NO, NO, "int"),
    Case("a union of numbers becomes double", ["int", "long", "float"], "double", YES, NO),
    Case("a union with a string becomes double", ["int", "string"], "double", NO, NO, "string"),
    Case("string and bytes stand in for one another", ["null", "string"], ["null", "bytes"], YES, YES),
    Case("an empty union is read by anything", [], "string", YES, NO),
    Case(
        "a record branch gains a field with a default", ["null", rec(A)], ["null", rec(A, f("b", "int", 0))], YES, YES
    ),
    Case("a record branch gains a field", ["null", rec(A)], ["null", rec(A, f("b", "int"))], NO, YES, "'b'"),
    Case("a record branch is renamed", ["null", rec(A)], ["null", rec(A, name="S")], NO, NO, "R"),
    Case("a second record branch is added", [rec(A)], [rec(A), rec(A, name="S")], YES, NO, "S"),
    Case("a record branch is replaced", [rec(A), rec(A, name="S")], [rec(A), rec(A, name="T")], NO, NO, "S"),
    Case("an enum branch gains a symbol", ["null", enum("X")], ["null", enum("X", "Y")], YES, NO, "Y"),
    Case("an array branch's items are promoted", ["null", arr("int")], ["null", arr("long")], YES, NO),
    Case("a map branch's values change", ["null", mp("int")], ["null", mp("string")], NO, NO),
    Case("a record becomes a branch", rec(A), ["null", rec(A)], YES, NO),
]

# --- enums, fixed, arrays, maps
CONTAINERS = [
    Case("an enum gains a symbol", enum("X"), enum("X", "Y"), YES, NO, "Y"),
    Case("an enum loses a symbol", enum("X", "Y"), enum("X"), NO, YES, "Y"),
    Case("an enum's symbols change places", enum("X", "Y"), enum("Y", "X"), YES, YES),
    Case("an enum with a default gains a symbol", enum("X", default="X"), enum("X", "Y", default="X"), YES, YES),
    Case("an enum with a default loses a symbol", enum("X", "Y", default="X"), enum("X", default="X"), YES, YES),
    Case("an enum gains a default and loses a symbol", enum("X", "Y"), enum("X", default="X"), YES, YES),
    Case("an enum loses its default", enum("X", default="X"), enum("X"), YES, YES),
    Case("an enum is renamed", enum("X"), enum("X", name="G"), NO, NO, "G"),
    Case("an enum is renamed with an alias", enum("X"), enum("X", name="G", aliases=["E"]), YES, NO, "G"),
    Case("an enum moves to another namespace", enum("X"), enum("X", namespace="n"), YES, YES),
    Case("an enum becomes a string", enum("X"), "string", NO, NO, "string"),
    Case("an enum field loses a symbol", rec(f("a", enum("X", "Y"))), rec(f("a", enum("X"))), NO, YES, "'a'"),
    Case("a fixed grows", fixed(4), fixed(8), NO, NO, "8"),
    Case("a fixed stays", fixed(4), fixed(4), YES, YES),
    Case("a fixed is renamed", fixed(4), fixed(4, name="G"), NO, NO, "G"),
    Case("a fixed is renamed with an alias", fixed(4), fixed(4, name="G", aliases=["F"]), YES, NO, "G"),
    Case("a fixed becomes bytes", fixed(4), "bytes", NO, NO, "bytes"),
    Case("a fixed field grows", rec(f("a", fixed(4))), rec(f("a", fixed(5))), NO, NO, "'a'"),
    Case("items are promoted", arr("int"), arr("long"), YES, NO, "long"),
    Case("items change their type", rec(f("a", arr("int"))), rec(f("a", arr("string"))), NO, NO, "'a[]'"),
    Case("items become nullable", arr("int"), arr(["null", "int"]), YES, NO),
    Case("items of items are promoted", arr(arr("int")), arr(arr("double")), YES, NO),
    Case("record items gain a field", arr(rec(A)), arr(rec(A, f("b", "int"))), NO, YES, "'[].b'"),
    Case("record items gain a field with a default", arr(rec(A)), arr(rec(A, f("b", "int", 1))), YES, YES),
    Case("an array becomes a map", arr("int"), mp("int"), NO, NO, "map"),
    Case("an array becomes its items", arr("int"), "int", NO, NO),
    Case("values are promoted", mp("float"), mp("double"), YES, NO, "double"),
    Case("values change their type", rec(f("a", mp("int"))), rec(f("a", mp("boolean"))), NO, NO, "'a{}'"),
    Case("values become nullable", mp("int"), mp(["int", "null"]), YES, NO),
    Case("record values lose a field", mp(rec(A, f("b", "int"))), mp(rec(A)), YES, NO, "'{}.b'"),
]

# --- nesting, recursion, logical types
_LIST = rec(f("v", "int"), f("next", ["null", "L"], None), name="L")
NESTED = [
    Case("a nested field is added", rec(f("i", rec(A, name="I"))), rec(f("i", rec(A, f("b", "int"), name="I"))),
         NO, YES, "'i.b'"),
    Case("a nested field with a default is added", rec(f("i", rec(A, name="I"))),
         rec(f("i", rec(A, f("b", "int", 0), name="I"))), YES, YES),
    Case("a nested field changes its type", rec(f("i", rec(A, name="I"))), rec(f("i", rec(f("a", "int"), name="I"))),
         NO, NO, "'i.a'"),
    Case("three levels down", rec(f("x", arr(rec(f("y", mp(rec(f("z", "int"), name="Z"))), name="Y")))),
         rec(f("x", arr(rec(f("y", mp(rec(f("z", "string"), name="Z"))), name="Y")))), NO, NO, "'x[].y{}.z'"),
    Case("a nested record is renamed", rec(f("i", rec(A, name="I"))), rec(f("i", rec(A, name="J"))), NO, NO, "'i'"),
    Case("a recursive record stays", _LIST, _LIST, YES, YES),
    Case("a recursive record is promoted", _LIST, rec(f("v", "long"), f("next", ["null", "L"], None), name="L"),
         YES, NO, "'v'"),
    Case("a recursive record gains a field", _LIST,
         rec(f("v", "int"), f("next", ["null", "L"], None), f("w", "int"), name="L"), NO, YES, "'w'"),
    Case("a recursive record gains a field with a default", _LIST,
         rec(f("v", "int"), f("next", ["null", "L"], None), f("w", "int", 7), name="L"), YES, YES),
    Case("a recursive record loses its end", _LIST, rec(f("v", "int"), f("next", "L"), name="L"), NO, YES, "'next'"),
    Case("a type used twice changes", rec(f("x", enum("P", "Q")), f("y", "E")), rec(f("x", enum("P")), f("y", "E")),
         NO, YES, "'x'"),
    Case("a type moves to its second use", rec(f("x", enum("P")), f("y", "E")), rec(f("y", enum("P")), f("x", "E")),
         YES, YES),
    Case("a date becomes an int", rec(f("d", logical("int", "date"))), rec(f("d", "int")), YES, YES),
    Case("an int becomes a date", rec(f("d", "int")), rec(f("d", logical("int", "date"))), YES, YES),
    Case("a decimal gains precision", rec(f("d", logical("bytes", "decimal", precision=9, scale=2))),
         rec(f("d", logical("bytes", "decimal", precision=18, scale=2))), YES, YES),
    Case("a date becomes a timestamp", rec(f("d", logical("int", "date"))),
         rec(f("d", logical("long", "timestamp-millis"))), YES, NO, "'d'"),
    Case("a timestamp becomes a string", rec(f("d", logical("long", "timestamp-millis"))), rec(f("d", "string")),
         NO, NO, "'d'"),
]  # fmt: skip

CASES = [*RECORDS, *PRIMITIVES, *UNIONS, *CONTAINERS, *NESTED]
