"""Random expressions over the toy dataset, as text of a wanted type, and random records to ask them about."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from rules_toys import TODAY, UNIT

_TEXTS = ["甲", "乙", "a", "ab;c", "a;甲", "罚款;警告", "91440300708461136T", "320102199003075619", "𠮷店", "x.y", " a"]
_DAYS = ["2026-06-30", "2026-02-17", "2004-01-01", "2003-12-31", "2027-01-01", "9999-12-31", "0001-01-01", "2024-02-29"]
_NUMBERS = ["0", "1", "2", "7", "1000000", "999999999999", "9223372036854775807"]
_AMOUNTS = ["0.5", "3.500000", "0.000001", "999999999999.999999", "1000.0"]
_PATTERNS = ["^a", "a$", "^[0-9]{3}", "甲|乙", "[^;]+;", r"x\\.y", "^(?:a|b)*$", "."]


_LEAVES = {
    "text": [*(f'"{text}"' for text in _TEXTS), "NAME", "CODE", "TAGS", "PAPER", "NAME", "CODE", "TAGS", "PAPER"],
    "day": ["DAY", "END", "today", "DAY", "END", *(f'date("{day}")' for day in _DAYS)],
    "int": ["version", "version", *_NUMBERS],
    "decimal": ["SUM", "SUM", *_AMOUNTS],
    "bool": [
        "deleted",
        "true",
        "has(NAME)",
        "has(DAY)",
        "has(SUM)",
        "KIND == '甲'",
        'KIND in ["甲", "乙"]',
        "null != SEEN",
    ],
}
_COMPARISONS = ["==", "!=", "<", "<=", ">", ">="]
#: By type, what an expression can be made of: a template, and the types of what is put in.
_MADE = {
    "text": [("{} + {}", "text text"), ("region({})", "text"), ("{} ? {} : {}", "bool text text")],
    "day": [
        *((f"{{}} {sign} {{}}", "day int") for sign in "+-"),
        *((f"plus_months({{}}, {months})", "day") for months in (1, -13, 36, 1200, 0)),
        ("date(SEEN)", ""),
        ("{} ? {} : null", "bool day"),
    ],
    "int": [
        *((f"{{}} {sign} {{}}", "int int") for sign in "+-*/%"),
        ("{} - {}", "day day"),
        ("workdays({}, {})", "day day"),
        ("workdays({}, {})", "day day"),
        ("size({})", "text"),
        ("size({}.split(';'))", "text"),
        ("-{}", "int"),
        *((f"{name}({{}})", "day") for name in ("year", "month", "day")),
    ],
    "decimal": [
        *((f"{{}} {sign} {{}}", "decimal int") for sign in "+-*/"),
        *((f"{{}} {sign} {{}}", "decimal decimal") for sign in "+-*/"),
        ("-{}", "decimal"),
        ("{} ? {} : {}", "bool decimal int"),
    ],
    "bool": [
        *(
            (f"{{}} {sign} {{}}", f"{kind} {kind}")
            for sign in _COMPARISONS
            for kind in ("text", "day", "int", "decimal")
        ),
        *((f"{{}} {sign} {{}}", "int decimal") for sign in _COMPARISONS),
        *[("{} && {}", "bool bool"), ("{} || {}", "bool bool"), ("!{}", "bool"), ("{} ? {} : {}", "bool bool bool")]
        * 6,
        *((f"{{}} {sign} null", kind) for sign in ("==", "!=") for kind in _LEAVES),
        *[("{} in [{}, 'a']", "text text-constant"), ("{} in {}.split(';')", "text text"), ("uscc({})", "text")] * 2,
        ("{} in [7, 2.5]", "decimal"),
        ("{} in [date('2026-06-30')]", "day"),
        *[("id_number({})", "text"), ("{}.startsWith({})", "text text"), ("{}.endsWith({})", "text text")],
        ("{}.contains({})", "text text"),
        *((f'{{}}.matches("{pattern.replace("{", "{{").replace("}", "}}")}")', "text") for pattern in _PATTERNS),
    ],
}


#: What can be said to clients of the registry as well.
_PORTABLE_LEAVES = {
    "text": ["NAME", "CODE", "TAGS", *(f'"{text}"' for text in _TEXTS)],
    "day": ["DAY", "END", "DAY", 'date("2026-06-30")'],
    "int": ["version", "0", "1", "7", "12"],
    "bool": ["true", "has(NAME)", "has(DAY)", "null != DAY", "KIND == '甲'", 'KIND in ["甲", "乙"]', "END == null"],
}
_PORTABLE = {
    "text": [],
    "day": [("{} + 3", "day"), ("{} - 1000000", "day")],
    "int": [("{} - {}", "day day"), ("size({})", "text")],
    "bool": [
        *((f"{{}} {sign} {{}}", f"{kind} {kind}") for sign in _COMPARISONS for kind in ("day", "int")),
        *[("{} == {}", "text text"), ("{} != {}", "text text"), ("{} in [{}, 'a']", "text text-constant")] * 3,
        *[("{} && {}", "bool bool"), ("{} || {}", "bool bool"), ("!{}", "bool"), ("{} ? {} : {}", "bool bool bool")]
        * 3,
        *((f"{{}}.{name}({{}})", "text text") for name in ("startsWith", "endsWith", "contains")),
    ],
}


@st.composite
def conditions(draw: st.DrawFn, depth: int = 4, *, portable: bool = False) -> str:
    """Expressions that are true or false; *portable* ones have words in every client's CEL."""
    leaves, made = (_PORTABLE_LEAVES, _PORTABLE) if portable else (_LEAVES, _MADE)

    def written(kind: str, depth: int) -> str:
        if kind == "text-constant":
            return f'"{draw(st.sampled_from(_TEXTS))}"'
        if depth == 0 or not made[kind] or draw(st.integers(0, 5)) == 0:
            return f"({draw(st.sampled_from(leaves[kind]))})"
        template, parts = draw(st.sampled_from(made[kind]))
        return f"({template.format(*(written(part, depth - 1) for part in parts.split()))})"

    return written("bool", depth)


def records() -> st.SearchStrategy[dict[str, Any]]:
    """Records of the toy dataset, nulls and blanks included."""
    blank = st.sampled_from([None, "", " ", "\u3000\t"])
    text = st.sampled_from(_TEXTS) | blank | st.text(max_size=4)
    day = st.sampled_from([date.fromisoformat(day) for day in _DAYS]) | st.none() | st.just(TODAY)
    amounts = st.sampled_from([Decimal(amount) for amount in _AMOUNTS]) | st.none()
    moments = [
        datetime(2026, 6, 30, 16, tzinfo=UTC),
        datetime(9999, 12, 31, 23, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
    ]
    return st.fixed_dictionaries(
        {
            "unit": st.just(UNIT),
            "record_id": st.just("1"),
            "version": st.sampled_from([1, 2, 0, -7, 2**63 - 1, -(2**63)]),
            "deleted": st.booleans(),
            **dict.fromkeys(("NAME", "CODE", "TAGS", "PAPER", "PHONE"), text),
            "KIND": st.sampled_from(["甲", "乙", "丙", None, " "]),
            **dict.fromkeys(("DAY", "END"), day),
            "SUM": amounts | amounts.map(lambda amount: None if amount is None else -amount),
            "SEEN": st.sampled_from(moments) | st.none(),
        }
    )
