from __future__ import annotations

import pytest

from dashboards.live import SumCheck

JUDGED = {"accepted": 90, "suspect": 3, "rejected": 6, "quarantined": 1}


@pytest.mark.parametrize(
    ("received", "state", "in_flight"),
    [(100, "balanced", 0), (112, "moving", 12), (99, "over", -1), (None, "unknown", None)],
)
def test_what_was_received_is_held_against_what_was_judged(
    received: int | None, state: str, in_flight: int | None
) -> None:
    shown = SumCheck().look(1000.0, received, JUDGED)
    assert shown == {
        "accepted": 93,
        "suspect": 3,
        "rejected": 6,
        "quarantined": 1,
        "received": received,
        "in_flight": in_flight,
        "state": state,
    }


def test_records_under_way_without_any_verdict_for_long_are_called_stuck() -> None:
    check = SumCheck(patience=30)
    assert check.look(1000.0, 110, JUDGED)["state"] == "moving"
    assert check.look(1029.0, 150, JUDGED)["state"] == "moving"
    assert check.look(1030.0, 150, JUDGED)["state"] == "stuck"
    assert check.look(1031.0, 150, {**JUDGED, "accepted": 91})["state"] == "moving"


def test_an_empty_province_is_balanced() -> None:
    assert SumCheck().look(1000.0, 0, {})["state"] == "balanced"
