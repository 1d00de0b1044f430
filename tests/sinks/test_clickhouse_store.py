from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from sink_batches import START, Message, batches

from schemas.batch import VERDICT_COLUMNS
from schemas.catalog import Catalog, CatalogError, Dataset, DatasetField
from schemas.connection import ClickHouseConnection
from schemas.verdict import Violation
from sinks.base import MigrationError, SinkConfig, SinkError, SinkUnavailable, discover
from sinks.clickhouse.engine import ClientPool, fetch, hexed, open_client
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.sink import ClickHouseSink
from sinks.models import AuditRow
from sinks.read import CreditStore, HotCache
from sinks.redis.sink import RedisSink


def with_fields(catalog: Catalog, code: str, fields: tuple[DatasetField, ...]) -> Catalog:
    raw = catalog[code].model_dump(by_alias=True) | {"fields": [field.model_dump() for field in fields]}
    return Catalog({**{item.code: item for item in catalog}, code: Dataset.model_validate(raw)})


def extra(name: str, kind: str) -> DatasetField:
    return DatasetField(name=name, zh="新字段", en="New", type=kind)


def penalties(count: int, unit: str, subject: str) -> list[Message]:
    return [Message("administrative_penalty", unit, f"r{n}", 1, n, subject) for n in range(count)]


def test_sinks_are_found_by_their_files() -> None:
    assert set(discover()) >= {"clickhouse", "redis"}


def test_a_sink_without_its_connection_says_which_one_is_missing() -> None:
    with pytest.raises(SinkError, match="ClickHouse connection"):
        discover()["clickhouse"].create(SinkConfig())


def test_migrating_twice_does_nothing_the_second_time(empty_clickhouse: ClickHouseConnection, catalog: Catalog) -> None:
    client = open_client(empty_clickhouse)
    assert len(migrate(client, empty_clickhouse.database, catalog)) == 1 + 3 + len(catalog)
    assert migrate(client, empty_clickhouse.database, catalog) == []
    client.close()


def test_a_new_field_becomes_a_column_and_old_rows_and_batches_have_none(
    empty_clickhouse: ClickHouseConnection, catalog: Catalog
) -> None:
    sink = ClickHouseSink(empty_clickhouse)
    sink.setup(catalog)
    sink.write(batches(catalog, penalties(2, "u", "s")))
    old = catalog["administrative_penalty"]
    wider = with_fields(catalog, old.code, (*old.business_fields, extra("NEU", "decimal")))
    sink.setup(wider)
    late = batches(catalog, [Message(old.code, "u", "r1", 2, 9, "s")])  # decoded before the catalog grew
    sink.write([replace(one, dataset=wider[old.code]) for one in late])
    store = CreditStore.connect(empty_clickhouse, wider)
    assert [(record.version, record.fields["NEU"]) for record in store.subject_records("s")] == [(1, None), (2, None)]
    store.close()
    sink.close()


def test_a_changed_type_is_refused_by_table_and_column(
    empty_clickhouse: ClickHouseConnection, catalog: Catalog
) -> None:
    client = open_client(empty_clickhouse)
    migrate(client, empty_clickhouse.database, catalog)
    old = catalog["administrative_penalty"].business_fields
    changed = with_fields(
        catalog, "administrative_penalty", (*(f for f in old if f.name != "CF_NR_FK"), extra("CF_NR_FK", "string"))
    )
    with pytest.raises(MigrationError, match="records_administrative_penalty: column CF_NR_FK is stored as"):
        migrate(client, empty_clickhouse.database, changed)
    client.close()


def test_tables_of_another_layout_or_of_somebody_else_are_refused(
    empty_clickhouse: ClickHouseConnection, catalog: Catalog
) -> None:
    database = empty_clickhouse.database
    client = open_client(empty_clickhouse)
    migrate(client, database, catalog)
    client.command(f"ALTER TABLE {database}.verdicts MODIFY COMMENT 'zhida layout 99'")
    with pytest.raises(MigrationError, match="verdicts has zhida layout 99"):
        migrate(client, database, catalog)
    client.command(f"ALTER TABLE {database}.verdicts MODIFY COMMENT 'mine'")
    with pytest.raises(MigrationError, match="not made by Zhida"):
        migrate(client, database, catalog)
    client.close()


def test_a_field_with_a_name_of_the_store_is_refused(empty_clickhouse: ClickHouseConnection, catalog: Catalog) -> None:
    old = catalog["legal_person"]
    client = open_client(empty_clickhouse)
    with pytest.raises(MigrationError, match="the field name verdict"):
        migrate(
            client,
            empty_clickhouse.database,
            with_fields(catalog, old.code, (*old.business_fields, extra("verdict", "string"))),
        )
    client.close()


@pytest.mark.parametrize(
    "text", ["'", "\\", "\\'", "\0", "a\nb\tc", "{x:String}", "%s", "' OR 1=1 --", "中\u2028", "`"]
)
def test_subjects_with_special_characters_find_their_own_records_only(
    text: str, catalog: Catalog, clickhouse_sink: ClickHouseSink, store: CreditStore, token: Callable[[], str]
) -> None:
    unit = token()
    subject = unit + text
    ours, other = Message("legal_person", unit, text, 1, 0, subject), Message("legal_person", unit, "o", 1, 1, unit)
    clickhouse_sink.write(batches(catalog, [ours, other]))
    assert [record.record_id for record in store.subject_records(subject)] == [text]
    assert store.subject_records(f"{subject}' OR '1'='1") == []


def test_the_verdict_of_a_message_is_found_by_its_place_and_the_newest_stands(
    catalog: Catalog, clickhouse_sink: ClickHouseSink, store: CreditStore, token: Callable[[], str]
) -> None:
    tag = token()
    topics = [f"zhida.report.{tag}", f"{tag}' OR 1=1 --", f"{tag}\\' {{x:String}}\0"]
    told = [Message("legal_person", tag, f"r{n}", 1, n, "s", verdict="suspect", topic=t) for n, t in enumerate(topics)]
    clickhouse_sink.write(batches(catalog, told))
    (first,) = batches(catalog, [replace(told[0], verdict="accepted")])
    later = first.verdicts.with_columns(pl.col("governed_at") + timedelta(seconds=9), again=True)
    # The later one also where it comes first.
    clickhouse_sink.write([replace(first, verdicts=later)])
    clickhouse_sink.write(batches(catalog, told[:1]))
    found = store.verdict_of(topics[0], 0, 0)
    assert found is not None
    assert (found.verdict, found.again, found.violations, found.schema_id) == ("accepted", True, [], 7)
    assert found.governed_at == told[0].governed_at + timedelta(seconds=9)
    for message in told[1:]:
        found = store.verdict_of(message.topic, 0, message.offset)
        assert found is not None
        assert (found.unit, found.record_id, found.version, found.reported_at) == (
            message.unit,
            message.record_id,
            message.version,
            message.reported_at,
        )
        assert [one["rule"] for one in found.violations] == ["test.rule"]
        assert set(found.violations[0]) == {field.name for field in fields(Violation)}
    for place in ((topics[0], 0, 1), (topics[0], 1, 0), (topics[0], 2**31 - 1, 2**63 - 1), ("' OR 1=1 --", 0, 0)):
        assert store.verdict_of(*place) is None


def test_totals_rates_latency_and_freshness_count_each_message_once(
    empty_clickhouse: ClickHouseConnection, catalog: Catalog
) -> None:
    sink = ClickHouseSink(empty_clickhouse)
    sink.setup(catalog)
    messages = [
        Message("legal_person", "u", "a", 1, 0, "s", city="320100"),
        Message("legal_person", "u", "b", 1, 1, "s", city="320200", verdict="suspect"),
        Message("legal_person", "u", "c", 1, 2, "s", city="320200", verdict="rejected"),
        Message("legal_person", "", "", 0, 3, "", city="", verdict="quarantined"),
        Message("legal_person", "u", "d", 1, 100, "s", city="320200"),
    ]
    store = CreditStore.connect(empty_clickhouse, catalog, now=lambda: (START + timedelta(seconds=110)).timestamp())
    assert store.totals() == {"accepted": 0, "suspect": 0, "rejected": 0, "quarantined": 0}
    assert store.per_second(10**6) == []
    assert store.latency(10**6).p50 is None
    assert store.freshness() == []
    assert store.newest_rejects(5) == []
    for _ in range(2):
        sink.write(batches(catalog, messages))
        sink.write(batches(catalog, messages[2:]))
    assert store.totals() == {"accepted": 2, "suspect": 1, "rejected": 1, "quarantined": 1}
    second = int(START.timestamp())
    assert store.per_second(200) == [(second + n, 1) for n in (0, 1, 2, 3, 100)]
    assert store.per_second(60) == [(second + 100, 1)]
    latency = store.latency(60)
    assert (latency.p50, latency.p99, latency.max) == (20, 20, 20)
    assert [(row.city, row.accepted, row.reported_at) for row in store.freshness()] == [
        ("320100", 1, START),
        ("320200", 2, START + timedelta(seconds=100)),
    ]
    rejects = store.newest_rejects(5)
    assert [(row.verdict, row.record_id, row.city) for row in rejects] == [
        ("quarantined", "", ""),
        ("rejected", "c", "320200"),
    ]
    assert rejects[1].violations == [{"rule": "test.rule", "field": "X", "message_zh": "错误"}]
    assert rejects[1].time == messages[2].governed_at
    assert [row.verdict for row in store.newest_rejects(1)] == ["quarantined"]
    assert store.verdict_rows().schema == VERDICT_COLUMNS
    store.close()
    sink.close()


def test_an_empty_write_and_an_empty_audit_do_nothing(clickhouse_sink: ClickHouseSink, store: CreditStore) -> None:
    clickhouse_sink.write([])
    store.write_audit([])


def test_an_unknown_dataset_is_named(store: CreditStore) -> None:
    with pytest.raises(CatalogError, match="no dataset 'x'"):
        store.current_records("x")


def test_audit_rows_are_kept_as_given(store: CreditStore, pool: ClientPool, clickhouse: ClickHouseConnection) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    row = AuditRow(at, "o'brien", "subject.read x", "授权 1", "::1", "ok:cache")
    store.write_audit([row])
    with pool.lend("test") as client:
        found = fetch(
            client,
            f"SELECT at, who, what, why, source, outcome FROM {clickhouse.database}.audit "
            "WHERE who = unhex({who:String})",
            {"who": hexed(row.who)},
        )
    assert found.rows() == [(at, row.who, row.what, row.why, row.source, row.outcome)]


def test_threads_read_and_write_side_by_side_without_mixing_answers(
    catalog: Catalog, clickhouse_sink: ClickHouseSink, store: CreditStore, token: Callable[[], str]
) -> None:
    unit = token()
    subjects = [f"{unit}-{n}" for n in range(6)]
    messages = [Message("legal_person", unit, f"r{n}", 1, n, subject) for n, subject in enumerate(subjects)]
    clickhouse_sink.write(batches(catalog, messages))
    wrong: list[object] = []

    def read(subject: str, record_id: str) -> None:
        try:
            for _ in range(40):
                found = [record.record_id for record in store.subject_records(subject)]
                if found != [record_id]:
                    wrong.append((subject, found))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=read, args=(subject, f"r{n}")) for n, subject in enumerate(subjects)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        clickhouse_sink.write(batches(catalog, penalties(50, unit, subjects[0] + "x")))
    assert wrong == []


def test_a_server_that_is_not_there_is_unavailable_and_its_password_not_told() -> None:
    connection = ClickHouseConnection(host="127.0.0.1", port=1, password="geheim")
    with pytest.raises(SinkUnavailable, match=r"127\.0\.0\.1:1") as caught:
        ClickHouseSink(connection).check()
    assert "geheim" not in str(caught.value)


def test_a_closed_store_says_so(clickhouse: ClickHouseConnection) -> None:
    sink = ClickHouseSink(clickhouse)
    sink.check()
    sink.close()
    with pytest.raises(SinkError, match="closed"):
        sink.write([])


def test_times_and_days_beyond_what_can_be_stored_are_brought_to_the_nearest(
    catalog: Catalog,
    clickhouse_sink: ClickHouseSink,
    redis_sink: RedisSink,
    store: CreditStore,
    cache: HotCache,
    token: Callable[[], str],
) -> None:
    name = token()
    (one,) = batches(catalog, [Message("legal_person", name, "r", 1, 0, name)])
    assert one.records is not None
    beyond = replace(
        one,
        records=one.records.with_columns(CLRQ=pl.lit(2**30, pl.Int32).cast(pl.Date)),
        verdicts=one.verdicts.with_columns(reported_at=pl.lit(-(2**60)).cast(pl.Datetime("ms", "UTC"))),
    )
    clickhouse_sink.write([beyond])
    redis_sink.write([beyond])
    (record,) = store.subject_records(name)
    assert record.fields["CLRQ"] == "2299-12-31"
    assert record.reported_at == datetime(1900, 1, 1, tzinfo=UTC)
    assert cache.many([name]) == [[record]]
