"""``zhida rules replay`` on a running platform: stored history judged by other rules, and nothing changed by it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from publisher import Publisher, own_settings, publishing
from wire import Sent, Wire, header_list

from connectors.kafka import watermarks
from rules.checks import kinds
from rules.checks.base import JudgeContext, StatefulCheck
from rules.ruleset import RuleSet
from schemas.assignments import Assignments
from schemas.registry.client import RegistryClient
from schemas.rowcodec import RowCodec
from schemas.topics import VERDICT_HEADER, VIOLATIONS_HEADER
from schemas.units import Regions, Units
from schemas.verdict import Violation, encode_violations, feedback_id, verdict_header_prefix
from zhida.cli import main
from zhida.in_force import read_known
from zhida.sample.generate import FaultShares, generate
from zhida.sample.message import SampleMessage
from zhida.stack.testing import chosen_stack, free_port

pytestmark = pytest.mark.real
CHINA = timedelta(hours=8)
#: Sent as of so many days ago, after what is of today.
LATE = timedelta(days=3)
TIGHTENED = "abnormal_operation.QYMC.length"
RELAXED = "administrative_penalty.CF_XDR_SHXYM.uscc"
REWORDED = "administrative_penalty.CF_XDR_SHXYM.absent"
ADDED = "administrative_licence.XK_XDR_MC.length.short"

#: Verdict and violations by rule.
Said = tuple[str, dict[str, Violation]]
Cli = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    """A platform without rules over several records: what they say is not to be worked out here."""
    settings = own_settings(tmp_path_factory.mktemp("replay"), registry_port=free_port())
    assert settings.rules_dir is not None
    stateful = {f"kind: {kind}" for kind, check in kinds().items() if issubclass(check, StatefulCheck)}
    for path in settings.rules_dir.glob("*.yaml"):
        head, *rules = path.read_text("utf-8").split("\n  - id: ")
        for number, rule in enumerate(rules):
            lines = rule.split("\n")
            if stateful & {line.strip() for line in lines} and "\n    status:" not in rule:
                rules[number] = "\n".join([lines[0], "    status: retired", *lines[1:]])
        path.write_text("\n  - id: ".join([head, *rules]), encoding="utf-8")
    with publishing(settings) as running:
        yield running


@pytest.fixture(scope="module")
def wire(publisher: Publisher) -> Wire:
    return publisher.wire


@dataclass
class History:
    """Judged messages of all kinds; ``base`` are the rules that judged them, ``folder`` changed ones."""

    wire: Wire
    base: Path
    sent: list[tuple[SampleMessage, Sent]]
    late: list[tuple[SampleMessage, Sent]]
    folder: Path
    now: datetime

    def answers(self, rules: RuleSet) -> dict[tuple[str, int, int], Said]:
        """What *rules* say of every message."""
        today = (self.now + CHINA).date()
        units, regions = Units.load(), Regions.load()
        assignments = Assignments.load(self.wire.catalog, units, regions)
        found: dict[tuple[str, int, int], Said] = {}
        with RegistryClient(self.wire.platform.settings.registry()) as registry:
            latest = {code: registry.latest(self.wire.catalog[code].subject_name) for code in self.wire.ids}
        for message, sent in [*self.sent, *self.late]:
            if message.record is None:
                found[sent.place] = ("quarantined", {})
                continue
            dataset = self.wire.catalog[message.dataset]
            codec = RowCodec(dataset, latest[dataset.code].id, latest[dataset.code].schema)
            context = JudgeContext(today, units.codes, assignments.units_for(dataset.code, today))
            broken = rules.dataset(dataset.code).judge_row(codec.decode(sent.value or b""), context)
            rejected = any(violation.severity == "reject" for violation in broken)
            verdict = "rejected" if rejected else "suspect" if broken else "accepted"
            found[sent.place] = (verdict, {violation.rule: violation for violation in broken})
        return found


@pytest.fixture(scope="module")
def history(publisher: Publisher, wire: Wire, tmp_path_factory: pytest.TempPathFactory) -> History:
    units, regions = Units.load(), Regions.load()
    assignments = Assignments.load(wire.catalog, units, regions)
    now = datetime.now(UTC)
    shares = FaultShares(rejected=0.2, suspect=0.1, quarantined=0.03, duplicates=0.05, corrections=0.1, too_large=0)
    made = list(generate(11, 700, wire.catalog, units, regions, assignments, (now + CHINA).date(), shares))
    late, early = made[::4], [message for number, message in enumerate(made) if number % 4]
    sent = _send(wire, early, 0)
    sent_late = _send(wire, late, round((now - LATE).timestamp() * 1000))
    wire.wait_judged([one for _, one in [*sent, *sent_late]])
    base, folder = (tmp_path_factory.mktemp("library") / name for name in ("base", "changed"))
    for copy in (base, folder):
        shutil.copytree(publisher.rules, copy)
    _edit(folder, "abnormal_operation", TIGHTENED, "    max: 200\n", "    max: 8\n")
    _edit(folder, "administrative_penalty", RELAXED, "    kind: uscc\n", "    kind: uscc\n    status: retired\n")
    _edit(folder, "administrative_penalty", REWORDED, "请", "请您")
    path = folder / "administrative_licence.yaml"
    rule = f"""
  - id: {ADDED}
    kind: length
    field: XK_XDR_MC
    max: 9
    dimension: conformity
    severity: suspect
    zh: "名称较长，请核对"
    en: "the name is long; please check it"
    pass: [{{XK_XDR_MC: "某店"}}]
    fail: [{{XK_XDR_MC: {{repeat: "某", times: 30}}}}]
"""
    path.write_text(path.read_text("utf-8").rstrip("\n") + "\n" + rule, encoding="utf-8")
    return History(wire, base, sent, sent_late, folder, now)


def _edit(folder: Path, dataset: str, rule: str, old: str, new: str) -> None:
    """Change the first *old* behind the head of *rule*."""
    path = folder / f"{dataset}.yaml"
    before, head, after = path.read_text("utf-8").partition(f"- id: {rule}\n")
    assert head
    assert old in after
    path.write_text(before + head + after.replace(old, new, 1), encoding="utf-8")


def _send(wire: Wire, messages: list[SampleMessage], timestamp: int) -> list[tuple[SampleMessage, Sent]]:
    sent: list[tuple[SampleMessage, Sent]] = []
    for dataset in sorted({message.dataset for message in messages}):
        chosen = [message for message in messages if message.dataset == dataset]
        sent += zip(chosen, wire.send(wire.pairs(chosen), dataset=dataset, timestamp=timestamp), strict=True)
    return sent


@pytest.fixture
def cli(wire: Wire, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs ``zhida rules replay …``; exit code, JSON lines of standard output, and standard error."""
    for name, value in wire.platform.settings.environment().items():
        monkeypatch.setenv(name, value)

    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str, json_too: bool = True) -> tuple[int, list[dict[str, Any]], str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["rules", "replay", *arguments, *(["--json"] if json_too else [])])
        out, err = capsys.readouterr()
        return (
            int(ended.value.code or 0),
            [json.loads(line) for line in out.splitlines()] if json_too else [],
            out + err,
        )

    return run


def _days_ago(days: int) -> str:
    return (datetime.now(UTC) + CHINA - timedelta(days=days)).date().isoformat()


def _ends(wire: Wire) -> dict[tuple[str, int], tuple[int, int]]:
    """Where every topic that carries verdicts ends."""
    consumer = Consumer(wire.kafka.confluent() | {"group.id": "test-ends", "enable.partition.eof": True})
    try:
        topics = consumer.list_topics(timeout=10).topics
        prefixes = ("zhida.report.", "zhida.accepted.", "zhida.feedback.", "zhida.rejected", "zhida.quarantine")
        places = [(n, p) for n, topic in topics.items() if n.startswith(prefixes) for p in topic.partitions]
        busy = [place for place in places if not place[0].startswith("zhida.feedback.")]
        return watermarks(consumer, busy, 10) | {("feedback", 0): (0, len(places))}
    finally:
        consumer.close()


def _rules(wire: Wire, folder: Path) -> RuleSet:
    return RuleSet.load(wire.catalog, folder)


def test_the_rules_that_judged_would_say_the_same(cli: Cli, history: History) -> None:
    code, (said,), err = cli("--from", _days_ago(5), "--purpose", "核对 规则")
    everything = len(history.sent) + len(history.late)
    assert (code, said["read"], said["compared"], said["changed"]) == (0, everything, everything, 0), said
    assert (said["waiting"], said["unknown"], said["samples"], said["gone"]) == (0, 0, [], [])
    (line,) = [line for line in err.splitlines() if "audit" in line]
    assert "purpose='核对 规则'" in line or "核对 规则" in line


def test_changed_rules_are_counted_as_one_by_one_and_nothing_live_changes(cli: Cli, history: History) -> None:
    wire = history.wire
    before = _ends(wire)
    code, (said,), _ = cli("--from", _days_ago(5), "--rules", str(history.folder), "--samples", "2")
    assert _ends(wire) == before
    old = history.answers(_rules(wire, history.base))
    new = history.answers(_rules(wire, history.folder))
    changes: Counter[tuple[str, str, str]] = Counter()
    rules: dict[str, Counter[str]] = {}
    units: Counter[str] = Counter()
    registered = Units.load()
    told = {sent.place: message.unit or "" for message, sent in [*history.sent, *history.late]}
    for place, (was, broken) in old.items():
        now, breaks = new[place]
        if (was, broken) == (now, breaks):
            continue
        kind = "verdict" if was != now else "rules" if broken.keys() != breaks.keys() else "wording"
        changes[kind, was, now] += 1
        key = next(s.key for _, s in [*history.sent, *history.late] if s.place == place) or b""
        unit = told[place] or key.decode().partition("|")[0]
        units[unit if unit in registered else ""] += 1
        for rule in broken.keys() | breaks.keys():
            change = "mended" if rule not in breaks else "broken" if rule not in broken else "reworded"
            if change != "reworded" or broken[rule] != breaks[rule]:
                rules.setdefault(rule, Counter())[change] += 1
    assert {(one["kind"], one["was"], one["now"]): one["records"] for one in said["changes"]} == changes
    found = {one["rule"]: Counter({n: one[n] for n in ("broken", "mended", "reworded")}) for one in said["by_rule"]}
    assert found == {rule: Counter(counts) for rule, counts in rules.items()}
    assert {one["rule"]: one["how"] for one in said["by_rule"]} == {
        TIGHTENED: "changed",
        RELAXED: "removed",
        REWORDED: "changed",
        ADDED: "added",
    }
    kinds = ("verdict", "rules", "wording")
    assert {one["unit"]: sum(one[kind] for kind in kinds) for one in said["by_unit"]} == units
    cities: Counter[str] = Counter()
    for unit, count in units.items():
        cities[known.city if (known := registered.get(unit)) else ""] += count
    assert {one["city"]: sum(one[kind] for kind in kinds) for one in said["by_city"]} == cities
    assert (code, said["changed"], said["same"]) == (6, changes.total(), len(old) - changes.total())
    assert {kind for kind, _, _ in changes} == set(kinds)
    for sample in said["samples"]:
        place = next(place for place in old if feedback_id(*place) == sample["feedback_id"])
        assert (sample["was"], sample["now"]) == (old[place][0], new[place][0])
        violation = (new if sample["change"] != "mended" else old)[place][1][sample["rule"]]
        assert (sample["value"], sample["message_zh"]) == (violation.value, violation.message_zh)
    assert all(count <= 2 for count in Counter((one["rule"], one["change"]) for one in said["samples"]).values())
    _, _, shown = cli("--from", _days_ago(5), "--rules", str(history.folder), json_too=False)
    assert RELAXED in shown
    assert "按设区市" in shown


def test_the_range_is_by_the_time_of_each_message_whatever_their_order(cli: Cli, history: History) -> None:
    late = (history.now - LATE + CHINA).date().isoformat()
    assert cli("--from", late, "--to", late)[1][0]["read"] == len(history.late)
    moment = (history.now - LATE + CHINA).replace(tzinfo=None).isoformat(timespec="milliseconds")
    after = (history.now - LATE + timedelta(milliseconds=2)).isoformat(timespec="milliseconds")
    assert cli("--from", moment, "--to", after)[1][0]["read"] == len(history.late)
    one = "abnormal_operation"
    of_one = [sent for message, sent in history.sent if message.dataset == one]
    in_force = read_known(history.wire.kafka).in_force()
    assert in_force is not None
    code, (said,), _ = cli("--from", _days_ago(1), "--dataset", "经营异常名录", "--rules", f"{in_force.rules.number}")
    assert (code, said["datasets"], said["read"]) == (0, [one], len(of_one))


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--from", "yesterday"], 2, "2026-01-31"),
        (["--from", "2026-02-01", "--to", "2026-01-01"], 2, "--from"),
        (["--from", "2026-02-01", "--dataset", "abnormal"], 2, "abnormal_operation"),
        (["--from", "2026-02-01", "--rules", "/no/such/folder"], 4, "/no/such/folder"),
        (["--from", "2026-02-01", "--rules", "999"], 1, "999"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_remedy(cli: Cli, arguments: list[str], code: int, word: str) -> None:
    found, said, err = cli(*arguments)
    assert (found, said) == (code, [])
    assert word in err


def test_of_several_verdicts_on_one_record_the_newest_is_the_live_one(cli: Cli, history: History) -> None:
    wire = history.wire
    answers = history.answers(_rules(wire, history.base))
    suspect = next(sent for _, sent in history.sent if answers[sent.place][0] == "suspect")
    sound = next(sent for _, sent in history.sent if answers[sent.place][0] == "accepted")
    old, new = 1_000_000, round(datetime.now(UTC).timestamp() * 1000) + 1
    _say(wire, suspect, "accepted", old)
    _say(wire, suspect, "accepted", new)
    _say(wire, suspect, "suspect", old + 1)
    _say(wire, sound, "rejected", old)
    code, (said,), _ = cli("--from", _days_ago(5))
    assert code == 6
    (change,) = said["changes"]
    assert change == {"kind": "verdict", "was": "accepted", "now": "suspect", "records": 1}
    assert said["samples"][0]["feedback_id"] == feedback_id(*suspect.place)
    assert {one["how"] for one in said["by_rule"]} == {"same"}
    # Back to what it was, for those that come after.
    _say(wire, suspect, "suspect", new + 1, tuple(answers[suspect.place][1].values()))
    assert cli("--from", _days_ago(5))[0] == 0


def _say(wire: Wire, sent: Sent, verdict: Any, governed_at: int, violations: tuple[Violation, ...] = ()) -> None:
    """Another verdict on a message, as govern gives it when it judges again."""
    topic, partition, offset = sent.place
    prefix = verdict_header_prefix(
        verdict=verdict, rule_set="1-0", schema_id=1, governed_at=governed_at, topic=topic, partition=partition
    )
    headers = [(VERDICT_HEADER, prefix + b"%d" % offset)]
    if verdict != "accepted":
        headers.append((VIOLATIONS_HEADER, encode_violations(violations)))
    producer = Producer(wire.kafka.confluent())
    dataset = next(one for one in wire.catalog if one.report_topic == topic)
    producer.produce(dataset.accepted_topic, sent.value, sent.key, partition, timestamp=sent.timestamp, headers=headers)
    assert producer.flush(20) == 0


def test_differences_are_put_right_only_by_the_rules_in_force_and_only_when_that_is_meant(
    cli: Cli, history: History, publisher: Publisher
) -> None:
    wire, since = history.wire, ("--from", _days_ago(5))
    before = _ends(wire)
    code, nothing, err = cli(*since, "--rules", str(history.folder), "--apply", "--yes")
    assert (code, nothing) == (1, [])
    assert "zhida rules publish --apply" in err
    assert cli(*since, "--yes")[0] == 2
    old, new = (history.answers(_rules(wire, folder)) for folder in (history.base, history.folder))
    differing = [place for place in old if old[place] != new[place]]
    shutil.copytree(history.folder, publisher.rules, dirs_exist_ok=True)
    publisher.raise_number()
    publisher.publish()
    code, _, shown = cli(*since, "--apply", json_too=False)
    count = len(differing)
    assert code == 6
    assert f"{count} records would be judged again" in shown
    assert _ends(wire) == before
    code, (said,), err = cli(*since, "--apply", "--yes", "--wait", "60", "--purpose", "规则更正")
    assert (code, said["changed"]) == (0, count)
    assert said["applied"] == {
        "due": count, "expected": count, "otherwise": 0, "kept": 0, "left": 0, "differing": [], "samples": [],
    }  # fmt: skip
    assert "规则更正" in err
    datasets = {dataset.report_topic: dataset for dataset in wire.catalog}
    accepted = {
        place: message
        for topic in sorted({place[0] for place in differing})
        for place, message in wire.accepted(datasets[topic]).items()
    }
    rejected = wire.rejected()
    for place in differing:
        verdict, reasons = new[place]
        if verdict == "rejected":
            assert {one.rule for one in rejected[place].violations} == set(reasons)
        if verdict != "rejected" or old[place][0] != "rejected":
            header = dict(header_list(accepted[place]))[VERDICT_HEADER] or b""
            assert header.startswith(f"verdict={verdict};".encode())
            assert b";again=1;" in header
    assert cli(*since)[0] == 0


def test_records_that_nobody_has_judged_yet_are_left_out_and_counted(cli: Cli, history: History) -> None:
    wire = history.wire
    platform = wire.platform
    for name in [name for name in platform.workers if name.startswith("govern")]:
        platform.stop_worker(name)
    waiting = wire.send(wire.pairs(wire.sound(7)))
    code, (said,), _ = cli("--from", _days_ago(5))
    everything = len(history.sent) + len(history.late)
    assert (code, said["waiting"], said["compared"], said["read"]) == (0, len(waiting), everything, everything + 7)


def test_a_range_that_begins_before_what_is_kept_is_said_so(cli: Cli, history: History) -> None:
    if chosen_stack() != "real":
        pytest.skip("the embedded broker cannot drop records: DeleteRecords is not among what it answers")
    wire = history.wire
    topic = wire.catalog["administrative_penalty"].report_topic
    place, end = max((place, end) for place, (_, end) in _ends(wire).items() if place[0] == topic)
    client = AdminClient(wire.kafka.confluent())
    for future in client.delete_records([TopicPartition(*place, end // 2)]).values():
        future.result(20)
    _, (said,), _ = cli("--from", _days_ago(5), "--dataset", "administrative_penalty")
    (gone,) = said["gone"]
    assert (gone["topic"], gone["partition"], gone["dropped"]) == (*place, end // 2)
    assert gone["since"] is not None
    _, _, shown = cli("--from", _days_ago(5), "--dataset", "administrative_penalty", json_too=False)
    assert "超过保留期" in shown
    # What lies behind the part that is gone is whole.
    assert cli("--from", datetime.now(UTC).isoformat())[1][0]["gone"] == []
