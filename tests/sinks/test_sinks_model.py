"""Whatever reaches the sinks in whatever order, ClickHouse and Redis end where a model of ten lines ends."""

from __future__ import annotations

import secrets
from dataclasses import replace

import hypothesis.strategies as st
import polars as pl
from hypothesis import HealthCheck, given, settings
from sink_batches import TOPIC_PREFIX, Message, batches, current, rendered

from schemas.catalog import Catalog
from sinks.clickhouse.sink import ClickHouseSink
from sinks.models import StoredRecord
from sinks.read import CreditStore, HotCache
from sinks.redis.sink import RedisSink

DATASETS = ("administrative_penalty", "legal_person")
HOSTILE = ("a", "a|b", "|", "%7C", "'; DROP TABLE x --", "\0", "\\", "{}", "中文 \u2028\t\n", "}")

_names = st.sampled_from(HOSTILE) | st.text(st.characters(codec="utf-8"), max_size=5)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Message], list[list[Message]]]:
    """Messages as they stand in the topics, and how they reach the sinks: cut anywhere, replayed, out of order."""
    token = secrets.token_hex(5)
    units = [token + name for name in draw(st.lists(_names, min_size=1, max_size=2, unique=True))]
    subjects = ["", *(token + name for name in draw(st.lists(_names, min_size=1, max_size=3, unique=True)))]
    record_ids = draw(st.lists(_names, min_size=1, max_size=3, unique=True))
    one = st.builds(
        Message,
        dataset=st.sampled_from(DATASETS),
        unit=st.sampled_from(units),
        record_id=st.sampled_from(record_ids),
        version=st.sampled_from([1, 2, 3, -1, 2**63 - 1, -(2**63)]),
        offset=st.just(0),
        subject=st.sampled_from(subjects),
        deleted=st.sampled_from([False, False, True]),
        verdict=st.sampled_from(["accepted", "accepted", "suspect", "rejected", "quarantined"]),
        text=st.none() | _names,
        topic=st.just(""),
    )
    drawn = draw(st.lists(one, min_size=1, max_size=14))
    topic = {code: f"{TOPIC_PREFIX}{code}.{token}" for code in DATASETS}
    messages = [replace(message, offset=n, topic=topic[message.dataset]) for n, message in enumerate(drawn)]
    order = draw(st.permutations(messages)) if draw(st.booleans()) else messages
    parts: list[list[Message]] = []
    rest = list(order)
    while rest:
        size = draw(st.integers(1, len(rest)))
        parts.append(rest[:size])
        rest = rest[size:]
        if draw(st.booleans()):
            start = draw(st.integers(0, len(messages) - 1))
            parts.append(messages[start : start + draw(st.integers(1, 6))])
    return messages, parts


def expected_records(catalog: Catalog, messages: list[Message], subject: str) -> list[StoredRecord]:
    mine = [message for message in current(messages).values() if message.subject == subject]
    return [
        StoredRecord(
            dataset=message.dataset,
            unit=message.unit,
            record_id=message.record_id,
            version=message.version,
            verdict=message.verdict,
            reported_at=message.reported_at,
            fields=rendered(catalog[message.dataset], message),
            source_offset=message.offset,
        )
        for message in sorted(mine, key=lambda message: message.identity)
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(deliveries())
def test_any_order_of_delivery_ends_in_the_state_of_the_model(
    catalog: Catalog,
    clickhouse_sink: ClickHouseSink,
    redis_sink: RedisSink,
    store: CreditStore,
    cache: HotCache,
    delivered: tuple[list[Message], list[list[Message]]],
) -> None:
    messages, parts = delivered
    for part in parts:
        clickhouse_sink.write(batches(catalog, part))
        redis_sink.write(batches(catalog, part))

    subjects = sorted({message.subject for message in messages} - {""})
    wanted = [expected_records(catalog, messages, subject) for subject in subjects]
    assert [store.subject_records(subject) for subject in subjects] == wanted
    assert cache.many(subjects) == wanted

    units = {message.unit for message in messages}
    for code in DATASETS:
        rows = store.current_records(code).filter(pl.col("unit").is_in(units))
        found = {(code, row["unit"], row["record_id"]): row["source_offset"] for row in rows.iter_rows(named=True)}
        model = {identity: message.offset for identity, message in current(messages).items() if identity[0] == code}
        assert found == model
        assert rows.height == len(model)

    verdicts = store.verdict_rows().filter(pl.col("source_topic").is_in({message.topic for message in messages}))
    judged = {(row["source_topic"], row["source_offset"]): row["verdict"] for row in verdicts.iter_rows(named=True)}
    assert judged == {(message.topic, message.offset): message.verdict for message in messages}
    assert verdicts.height == len(messages)
