"""What ``zhida rules explain`` says of messages that nobody can read, and of values that are no text."""

from __future__ import annotations

import pytest

from schemas.topics import QUARANTINE_TOPIC
from zhida.cli._explanation import as_json, quarantined, visible
from zhida.explaining import Explanation
from zhida.tracing import Original, Place, Told

PLACE = Place("zhida.report.legal_person", 0, 7)
SECRET = "张三丰 320102199003070011"


def _explained(value: bytes | None, *, there: bool = True) -> tuple[Explanation, Told]:
    told = Told(
        QUARANTINE_TOPIC, "quarantined", "3-0", None, 1, 2, (), "", None, value=value, reason="bad_magic", detail="no"
    )
    original = Original(b"key", value, 1)
    return Explanation(PLACE, original if there else "gone", told=told, value=value if there else None), told


@pytest.mark.parametrize(
    ("value", "begins"),
    [
        (SECRET.encode(), ""),
        (SECRET.encode("gb18030"), ""),
        (b"\xef\xbb\xbf" + SECRET.encode(), "ef bb bf"),
        (SECRET.encode("utf-16"), "ff fe"),
        (f'{{"NAME": "{SECRET}"}}'.encode(), "7b"),
        (f"<NAME>{SECRET}</NAME>".encode(), "3c"),
        (b"PK\3\4" + SECRET.encode(), "50 4b 03 04"),
        (b"\0\0\0\0\x2a" + SECRET.encode(), "00 00 00 00 2a"),
        (b"\0\0", "00 00"),
        (b"", ""),
        (None, ""),
    ],
)
def test_of_an_unreadable_message_only_bytes_that_are_no_text_of_a_record_are_shown(
    value: bytes | None, begins: str
) -> None:
    explanation, told = _explained(value)
    about = quarantined(explanation, told)
    assert (about["begins_with"], about["bytes"]) == (begins, len(value or b""))
    assert about["kind"]
    assert "320102" not in repr(as_json(explanation, []))
    assert "张" not in repr(as_json(explanation, []))


def test_nothing_is_said_of_the_bytes_of_a_message_that_is_gone() -> None:
    about = quarantined(*_explained(b"{}", there=False))
    assert (about["bytes"], about["kind"], about["begins_with"]) == (None, "", "")
    assert about["zh"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("张三 a-1《》", "张三 a-1《》"), ("\x1b[2J", "\\x1b[2J"), ("\u202e倒", "\\u202e倒"), ("\ud800\n", "\\ud800\\n")],
)
def test_what_could_steer_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown
