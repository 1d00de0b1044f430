from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from conftest import TOKEN, Province, new_uscc, penalty, served

from dashboards.app import ApiDeps, create_app
from dashboards.live import Live
from schemas.units import Regions

pytestmark = pytest.mark.anyio
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WRONG_CODE = {
    "rule": "penalty.uscc.check",
    "dimension": "accuracy",
    "severity": "reject",
    "field": "CF_XDR_SHXYM",
    "value": "9132…",
    "message_zh": "统一社会信用代码校验码不正确",
    "message_en": "the check character of the USCC is wrong",
}


@asynccontextmanager
async def polling(live: Live) -> AsyncIterator[Live]:
    task = asyncio.create_task(live.run())
    try:
        yield live
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def first_state(live: Live) -> dict[str, Any]:
    async with aclosing(live.snapshots(None)) as states:
        _, body = await anext(states)
    return dict(orjson.loads(body))


async def test_a_snapshot_holds_the_whole_page(empty_deps: ApiDeps, empty_province: Province) -> None:
    province = empty_province
    province.send(12)
    province.judge("accepted", [penalty(f"A-{number}", new_uscc()) for number in range(6)], city="320100")
    province.judge("suspect", [penalty("S-1", new_uscc())], city="320500", age=120)
    province.judge("rejected", [penalty("R-1", "x")], city="320900", violations=[WRONG_CODE, WRONG_CODE])
    province.judge("quarantined", [penalty("Q-1", "x")], city="320900", age=1)
    async with polling(Live(empty_deps)) as live:
        state = await first_state(live)
    assert state["problems"] == []
    assert state["totals"] == {
        "received": 12,
        "accepted": 7,
        "suspect": 1,
        "rejected": 1,
        "quarantined": 1,
        "in_flight": 3,
        "state": "moving",
    }
    assert sum(state["rate"]["values"]) <= 9
    assert len(state["rate"]["values"]) == 180
    cities = {city["name"]: city for city in state["cities"]}
    assert len(cities) == len(Regions.load().cities) == 13
    assert (cities["南京市"]["level"], cities["南京市"]["accepted"]) == ("fresh", 6)
    assert (cities["苏州市"]["level"], cities["苏州市"]["accepted"]) == ("late", 1)
    assert (cities["盐城市"]["level"], cities["盐城市"]["age"]) == ("none", None)
    newest = state["rejects"][0]
    assert newest["unit"] == province.unit("320900").name
    assert newest["city"] == "盐城市"
    assert newest["dataset"] == "行政处罚"
    assert (newest["rule"], newest["zh"], newest["more"]) == ("penalty.uscc.check", "统一社会信用代码校验码不正确", 1)
    assert [reject["verdict"] for reject in state["rejects"]] == ["rejected", "quarantined"]


async def test_one_poller_serves_all_viewers_and_a_slow_one_holds_nobody_up(deps: ApiDeps) -> None:
    async with polling(Live(deps, interval=0.01)) as live:
        slow = live.snapshots(None)
        first_id, _ = await anext(slow)
        seen: list[str] = []
        async with aclosing(live.snapshots(None)) as quick:
            async for number, _ in quick:
                seen.append(number)
                if len(seen) == 5:
                    break
        assert live.viewers == 1
        assert len(set(seen)) == 5
        polls = live.polls
        # The slow viewer has missed states in between and is given the newest one.
        next_id, _ = await anext(slow)
        numbers = [int(identity.split("-")[1]) for identity in (first_id, seen[-1], next_id)]
        assert numbers[0] < numbers[1] <= numbers[2]
        assert polls <= numbers[2] + 1
        await slow.aclose()
        assert live.viewers == 0


async def test_a_viewer_that_comes_back_is_not_sent_what_it_has_seen(deps: ApiDeps) -> None:
    async with polling(Live(deps, interval=3600)) as live:
        async with aclosing(live.snapshots(None)) as states:
            seen, _ = await anext(states)
        for unknown in (None, "", "nonsense", "0-1", seen + "x", "-1", seen.split("-")[0] + "-²"):
            async with aclosing(live.snapshots(unknown)) as states:
                assert (await anext(states))[0] == seen
        async with aclosing(live.snapshots(seen)) as states:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(states), timeout=0.2)


async def test_nobody_looking_means_nobody_asking(deps: ApiDeps) -> None:
    async with polling(Live(deps, interval=0.01, linger=0.0)) as live:
        await asyncio.sleep(0.1)
        assert live.polls == 0
        await first_state(live)
        await asyncio.sleep(0.3)
        polls = live.polls
        await asyncio.sleep(0.2)
        assert live.polls == polls
        # Whoever comes is shown the last state at once, and the next one as soon as it is there.
        async with aclosing(live.snapshots(None)) as states:
            await anext(states)
            await asyncio.wait_for(anext(states), timeout=30)
        assert live.polls > polls


async def test_a_store_that_fails_is_said_and_the_stream_goes_on(deps: ApiDeps) -> None:
    async with polling(Live(deps, interval=0.01)) as live, aclosing(live.snapshots(None)) as states:
        assert orjson.loads((await anext(states))[1])["problems"] == []
        deps.store.close()
        async for _, body in states:
            state = orjson.loads(body)
            if state["problems"]:
                assert state["problems"] == ["store"]
                assert "totals" not in state
                break


async def test_a_silent_broker_leaves_the_sum_open(deps: ApiDeps) -> None:
    class Silent:
        def received(self) -> int:
            raise TimeoutError

    async with polling(Live(replace(deps, broker=Silent()))) as live:
        state = await first_state(live)
    assert state["problems"] == ["broker"]
    assert (state["totals"]["received"], state["totals"]["state"]) == (None, "unknown")


def events(response: httpx.Response) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif event:
            yield event
            event = {}


def test_the_stream_follows_the_store_and_ends_with_the_server(empty_deps: ApiDeps, empty_province: Province) -> None:
    with httpx.Client(headers=BEARER, timeout=30) as client:
        with served(create_app(empty_deps)) as address:
            with client.stream("GET", f"{address}/live/events") as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                assert response.headers["cache-control"] == "no-store"
                stream = events(response)
                first = next(stream)
                assert first["event"] == "state"
                assert first["retry"] == "2000"
                assert orjson.loads(first["data"])["totals"]["state"] == "balanced"
                empty_province.send(2)
                deadline = time.monotonic() + 30
                states = iter(orjson.loads(event["data"])["totals"]["state"] for event in stream)
                while next(states) != "moving":
                    assert time.monotonic() < deadline
                empty_province.judge("accepted", [penalty("A-1", new_uscc()), penalty("A-2", new_uscc())])
                while next(states) != "balanced":
                    assert time.monotonic() < deadline
            head = client.head(f"{address}/live/events")
            assert head.status_code == 200
            # A stream is open while the server is told to stop; it must stop all the same.
            held = client.send(client.build_request("GET", f"{address}/live/events"), stream=True)
            next(events(held))
        held.close()
