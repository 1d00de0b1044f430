"""One publish: the running platform follows the files, at once and as a whole, whatever happens on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import yaml
from publisher import MODEL, Publisher, own_settings, publishing
from running import until
from wire import Sent, Wire

from rules.document import RuleDocument
from schemas.announcements import Announcements
from schemas.release import RELEASES_TOPIC
from schemas.rowcodec import RowCodec
from sinks.read import HotCache
from zhida.in_force import RULES_TOPIC, read_known
from zhida.platform import start_platform
from zhida.publishing.announce import ConflictError
from zhida.publishing.followers import FollowerWatch
from zhida.publishing.plan import Step
from zhida.sample.identifiers import make_uscc
from zhida.settings import Settings
from zhida.stack.testing import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]
#: Seconds in which a record must have come all the way; the figure itself is printed.
GENEROUS = 15.0


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    settings = own_settings(tmp_path_factory.mktemp("publish"), registry_port=free_port())
    with publishing(settings) as running:
        yield running


class Reporter:
    """Reports penalties all the while."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._enough = threading.Event()
        self._pairs = wire.pairs(wire.sound(400))
        self._thread = threading.Thread(target=self._run)
        self.sent: list[Sent] = []

    def __enter__(self) -> Reporter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        at = 0
        while not self._enough.wait(0.05):
            self.sent += self._wire.send(self._pairs[at : at + 10], linger_ms=1)
            at = (at + 10) % len(self._pairs)


def test_a_new_dataset_takes_records_the_moment_it_is_published_and_no_other_record_is_lost(
    publisher: Publisher,
) -> None:
    wire = publisher.wire
    code = "wholly_new"
    publisher.add_dataset(code)
    sound, faulty = publisher.records(2)
    with Reporter(wire) as reporter:
        until(lambda: len(reporter.sent) > 50, 20, "records flow")
        began = time.monotonic()
        exit_code, said = publisher.run("--apply")
        published = time.monotonic()
        assert exit_code == 0, said
        assert said["ok"]
        wire.catalog = publisher.in_force().release.catalog
        dataset = wire.catalog[code]
        latest = publisher.registry.latest(dataset.subject_name)
        codec = RowCodec(dataset, latest.id, latest.schema)
        assert sound.record is not None
        assert faulty.record is not None
        values = [codec.encode(sound.record), codec.encode(faulty.record | {"LRYY": None})]
        first = time.monotonic()
        sent = wire.send([(sound.key, values[0]), (faulty.key, values[1])], dataset=code, linger_ms=0)
        _wait_stored(publisher, code, sound.record["TYSHXYDM"])
        stored = time.monotonic()
        until(lambda: sent[1].place in wire.feedback(faulty.unit or ""), GENEROUS, "the faulty record is answered")
        answered = time.monotonic()
    print(
        f"published in {published - began:.2f} s; the first record was stored {stored - first:.2f} s and the faulty "
        f"one answered {answered - first:.2f} s after it was sent, {answered - began:.2f} s after the command"
    )
    assert stored - published < GENEROUS
    feedback = wire.feedback(faulty.unit or "")[sent[1].place]
    assert feedback.verdict == "rejected"
    assert feedback.rule_set.startswith(f"{said['after']['rules']}-")
    wire.wait_judged(reporter.sent)
    assert {one.place for one in reporter.sent} <= wire.accepted(wire.catalog["administrative_penalty"]).keys()
    assert latest.rule_set is not None
    assert latest.rule_set["domainRules"][0]["params"]["zhida.rule"].startswith(f"{code}.")


def _wait_stored(publisher: Publisher, code: str, subject: str) -> None:
    """Return when the subject's record of that dataset is in Redis, and in ClickHouse, and the API knows its labels."""
    settings = publisher.settings
    headers = {"authorization": f"Bearer {settings.api_token()}"}
    address = f"http://127.0.0.1:{settings.api_port}"
    cache = HotCache.connect(settings.redis())

    def cached() -> bool:
        return any(record.dataset == code for record in cache.many([subject])[0])

    until(cached, GENEROUS, "the record is in Redis")
    cache.close()
    with (
        redis.Redis.from_url(settings.redis().url) as server,
        httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=10) as client,
    ):

        def stored() -> bool:
            # Only ClickHouse can know of it then.
            server.flushdb()
            datasets = client.get(f"/v1/subjects/{subject}").json().get("datasets", [])
            return any(found["dataset"] == code and "LRYY" in found["labels"] for found in datasets)

        until(stored, GENEROUS, "the record is in ClickHouse")


def test_a_unit_that_is_added_and_published_may_report_and_before_is_told_whom_to_ask(publisher: Publisher) -> None:
    wire = publisher.wire
    new = make_uscc("1", "2", "320100", "01999993")
    (message,) = publisher.records(1)
    assert message.record is not None
    latest = publisher.registry.latest(wire.catalog[MODEL].subject_name)
    codec = RowCodec(publisher.in_force().release.catalog[MODEL], latest.id, latest.schema)
    pair = (f"{new}|{message.record['record_id']}".encode(), codec.encode(message.record | {"unit": new}))
    (early,) = wire.send([pair], dataset=MODEL, linger_ms=0)
    wire.wait_judged([early])
    (reason,) = wire.rejected()[early.place].violations
    assert reason.rule == f"{MODEL}.unit.known_unit"
    assert "联系省信用中心登记" in reason.message_zh
    added, _ = publisher.command("unit", "add", new, "南京市示例中心", "--region", "320100", "--line", "市场监管")
    published, report = publisher.run("--apply")
    assert (added, published) == (0, 0), report
    (late,) = wire.send([pair], dataset=MODEL, linger_ms=0)
    wire.wait_judged([late])
    assert late.place in wire.accepted(wire.catalog[MODEL])


def test_publishing_the_same_files_again_changes_nothing(publisher: Publisher) -> None:
    before = publisher.state()
    exit_code, said = publisher.run("--apply")
    assert (exit_code, said["steps"], said["applied"]) == (0, [], False)
    assert publisher.state() == before
    # What changes no verdict is no new rule set.
    path = publisher.rules / "legal_person.yaml"
    path.write_text("# 说明\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert publisher.plan().steps == []


def test_a_plan_alone_changes_nothing(publisher: Publisher) -> None:
    before = publisher.state()
    publisher.add_dataset("only_planned")
    exit_code, said = publisher.run()
    assert (exit_code, said["applied"]) == (0, False)
    assert {step["kind"] for step in said["steps"]} == {"topic", "schema", "clickhouse", "rules", "catalog"}
    assert publisher.state() == before
    for folder in (publisher.catalog, publisher.rules):
        for path in folder.rglob("only_planned.yaml"):
            path.unlink()
    publisher.raise_number(publisher.in_force().rules.number)


def test_what_is_refused_changes_nothing_at_all(publisher: Publisher) -> None:
    before = publisher.state()
    folders = (publisher.catalog, publisher.rules)
    files = {path: path.read_bytes() for folder in folders for path in folder.rglob("*.yaml")}
    publisher.add_dataset("beside_the_wrong_one")

    def another_type(data: dict[str, Any]) -> None:
        field = next(field for field in data["fields"] if field["name"] == "BZ")
        field["type"] = "long"
        del field["length"]

    publisher.edit(MODEL, another_type)
    rules = publisher.rules / f"{MODEL}.yaml"
    data = yaml.safe_load(rules.read_text(encoding="utf-8"))
    data["rules"] = [rule for rule in data["rules"] if rule["field"] != "BZ"]
    rules.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    exit_code, said = publisher.run("--apply")
    assert (exit_code, said["applied"], said["done"]) == (1, False, [])
    reasons = [refused["en"] for refused in said["refused"]]
    assert any(MODEL in reason and "BZ" in reason for reason in reasons)
    assert any("ClickHouse" in reason and "BZ" in reason for reason in reasons)
    assert publisher.state() == before
    for path in (path for folder in folders for path in folder.rglob("beside_the_wrong_one.yaml")):
        path.unlink()
    for path, content in files.items():
        path.write_bytes(content)
    assert publisher.plan().steps == []


class _KilledError(BaseException):
    """Stands for the death of the publisher."""


@pytest.mark.parametrize("after", ["rules", "catalog"])
def test_a_publisher_that_dies_half_way_is_completed_by_the_next_run(publisher: Publisher, after: str) -> None:
    before = publisher.in_force().numbers
    code = f"half_{after}"
    publisher.add_dataset(code)

    def die(step: Step) -> None:
        if step.kind == after:
            raise _KilledError

    with pytest.raises(_KilledError):
        publisher.carry_out(publisher.plan(), die)
    if after != "catalog":
        # A rule set whose catalog never came is nobody's.
        assert publisher.in_force().numbers == before
    plan = publisher.publish()
    assert (before[0] + 1, before[1] + 1) == plan.after
    assert publisher.in_force().numbers == plan.after
    assert publisher.plan().steps == []
    with FollowerWatch(publisher.wire.kafka) as watch:
        following = watch.wait(plan.after, 30)
    assert len(following) >= 3
    assert all(one.uses(plan.after) for one in following)


def test_a_dataset_that_is_no_longer_in_the_files_ends_only_when_that_is_meant(publisher: Publisher) -> None:
    code = "half_rules"
    assert code in publisher.in_force().release.catalog
    for folder in (publisher.catalog / "datasets", publisher.catalog / "assignments", publisher.rules):
        (folder / f"{code}.yaml").unlink()
    publisher.raise_number()
    assert [en for _, en in publisher.plan().refused if code in en]
    plan = publisher.plan(allow_removal=True)
    assert not plan.refused
    assert publisher.carry_out(plan).ok
    assert code not in publisher.in_force().release.catalog


def test_of_two_publishers_at_once_the_second_is_told_and_changes_nothing(publisher: Publisher) -> None:
    publisher.edit(MODEL, lambda data: data.update(en="Abnormal-operation list, first"))
    first = publisher.plan()
    publisher.edit(MODEL, lambda data: data.update(en="Abnormal-operation list, second"))
    second = publisher.plan()
    assert publisher.carry_out(first).ok
    before = publisher.in_force()
    outcome = publisher.carry_out(second)
    assert isinstance(outcome.error, ConflictError)
    assert not outcome.ok
    assert publisher.in_force().numbers == before.numbers
    assert publisher.in_force().release.digest == before.release.digest


def test_a_field_that_is_published_is_stored_from_the_first_record_on(publisher: Publisher) -> None:
    wire = publisher.wire
    publisher.edit(
        MODEL,
        lambda data: data["fields"].append(
            {"name": "XINZENG", "zh": "新增", "en": "New", "type": "string", "length": 9}
        ),
    )
    plan = publisher.publish()
    assert [step.stage for step in plan.steps if step.kind == "schema"] == ["complete"]
    wire.catalog = publisher.in_force().release.catalog
    dataset = wire.catalog[MODEL]
    latest = publisher.registry.latest(dataset.subject_name)
    (message,) = publisher.records(1)
    assert message.record is not None
    value = RowCodec(dataset, latest.id, latest.schema).encode(message.record | {"XINZENG": "有"})
    wire.send([(message.key, value)], dataset=MODEL, linger_ms=0)
    cache = HotCache.connect(publisher.settings.redis())

    def stored() -> bool:
        records = cache.many([message.record["TYSHXYDM"]])[0]  # type: ignore[index]
        return any(record.fields.get("XINZENG") == "有" for record in records)

    until(stored, GENEROUS, "the new field is stored")
    cache.close()


def test_an_announcement_that_cannot_be_used_reaches_no_worker(publisher: Publisher) -> None:
    wire = publisher.wire
    before = publisher.in_force()
    broken = before.release.number + 5
    Announcements(wire.kafka, RELEASES_TOPIC).publish(lambda _: [(b"%d" % broken, b"not a release")])
    rules = before.rules
    unusable = RuleDocument(
        rules.number + 5,
        {**rules.files, f"{MODEL}.yaml": rules.files[f"{MODEL}.yaml"].replace("kind: uscc", "kind: no_such_kind")},
    )
    Announcements(wire.kafka, RULES_TOPIC).publish(lambda _: [unusable.encode()])
    with FollowerWatch(wire.kafka) as watch:
        until(lambda: any(one.role == "govern" and one.error for one in watch.all()), 20, "govern tells its trouble")
        until(lambda: all(one.broken for one in watch.all()), 20, "all tell of the broken release")
        (govern,) = [one for one in watch.all() if one.role == "govern"]
    assert (govern.catalog, govern.rules) == before.numbers
    assert "no_such_kind" in govern.error
    sent = wire.send(wire.pairs(wire.sound(20)))
    wire.wait_judged(sent)
    assert {one.place for one in sent} <= wire.accepted(wire.catalog["administrative_penalty"]).keys()
    # The next publish passes over both.
    publisher.raise_number(unusable.number + 1)
    path = publisher.rules / f"{MODEL}.yaml"
    path.write_text(path.read_text("utf-8").replace("请按原始文书补填后重新报送", "请补填后重新报送"), encoding="utf-8")
    publisher.edit(MODEL, lambda data: data.update(en="Abnormal-operation list, mended"))
    plan = publisher.publish()
    assert plan.after == (broken + 1, unusable.number + 1)


@pytest.mark.real_only
def test_a_later_start_goes_by_what_was_published_and_says_that_the_files_differ(
    tmp_path: Path, publisher: Publisher
) -> None:
    settings = publisher.settings
    own = Settings.load(
        data_dir=tmp_path / "var",
        registry_port=free_port(),
        api_port=free_port(),
        catalog_dir=settings.catalog_dir,
        rules_dir=settings.rules_dir,
    )
    said: list[str] = []
    with start_platform(own, real=True):
        pass
    code = "after_the_first_start"
    publisher.add_dataset(code)
    with start_platform(own, real=True, report=said.append) as again:
        known = read_known(again.settings.kafka())
        in_force = known.in_force()
        assert in_force is not None
        assert (in_force.release.number, known.highest_release) == (1, 1)
        assert code not in in_force.release.catalog
    assert any("zhida catalog publish" in line for line in said)
    publisher.publish()
