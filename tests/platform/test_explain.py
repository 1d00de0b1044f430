"""``zhida rules explain`` on a running platform: every verdict, old rules, and what is left when messages are gone."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_END, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from wire import Sent, Wire

from rules.ruleset import LIBRARY_DIR
from schemas.registry.client import RegistryClient
from schemas.topics import REJECTED_TOPIC, feedback_topic
from schemas.verdict import Feedback, encode_feedback, feedback_id
from zhida.cli import main
from zhida.cli._verdict_history import stored_verdict
from zhida.errors import ExitCode, UserError
from zhida.in_force import InForce, read_known
from zhida.publishing.rule_sets import from_folder, plan_rules
from zhida.publishing.run import carry_out
from zhida.sample.message import SampleMessage
from zhida.stack.testing import chosen_stack, free_port
from zhida.tracing import VERDICT_HISTORY, Place, Told

pytestmark = pytest.mark.real
CODE = "administrative_penalty"
OUTLIER, VERSION = f"{CODE}.CF_NR_FK.range.outlier", f"{CODE}.version.range"
#: Nobody reports so many records to a partition here.
FAR = 1 << 40


@dataclass(frozen=True, slots=True)
class Judged:
    """One message of each verdict, sent and judged, with the rule set that was in force."""

    accepted: Sent
    suspect: Sent
    rejected: Sent
    quarantined: Sent
    unit: str
    rules: int


@pytest.fixture(scope="module")
def judged(wire: Wire) -> Judged:
    sound = [message for message in wire.sound(60) if message.record and message.record["CF_NR_FK"]][:3]
    fine = {"CF_NR_FK": Decimal("100000.500000")}
    messages = [sound[0], _changed(sound[1], **fine), _changed(sound[2], version=0)]
    pairs = wire.pairs(messages)
    unreadable = (pairs[0][0], '{"CF_XDR_MC": "张三丰"}'.encode())
    sent = wire.send([*pairs, unreadable], linger_ms=0)
    wire.wait_judged(sent)
    return Judged(*sent, unit=_unit(sound[0]), rules=_in_force(wire).rules.number)


@pytest.fixture
def explain(wire: Wire, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs ``zhida rules explain``: exit code, standard output (parsed where it is JSON), standard error."""
    for name, value in wire.platform.settings.environment().items():
        monkeypatch.setenv(name, value)

    def run(place: Sent | str, *options: str, as_json: bool = True) -> tuple[int, Any, str]:
        capsys.readouterr()
        name = place if isinstance(place, str) else feedback_id(*place.place)
        with pytest.raises(SystemExit) as ended:
            main(["rules", "explain", name, *options, *(["--json"] if as_json else [])])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), json.loads(out) if as_json and out else out, err

    return run


def _changed(message: SampleMessage, **values: Any) -> SampleMessage:
    return replace(message, record={**(message.record or {}), **values})


def _in_force(wire: Wire) -> InForce:
    found = read_known(wire.kafka).in_force()
    assert found is not None
    return found


def _unit(message: SampleMessage) -> str:
    assert message.record is not None
    return str(message.record["unit"])


def _rule(said: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in said["rules"] if one["id"] == name)


def test_an_accepted_record_is_explained_by_every_rule_and_the_read_is_noted(explain: Any, judged: Judged) -> None:
    code, said, err = explain(judged.accepted, "--all", "--purpose", "异议核查")
    assert code == 0, said
    assert (said["verdict"]["verdict"], said["verdict"]["topic"]) == ("accepted", f"zhida.accepted.{CODE}")
    assert said["compiled"] == said["verdict"]["rule_set"]
    assert said["verdict"]["governed_at"] >= judged.accepted.timestamp
    assert {one["outcome"] for one in said["rules"] if one["counts"]} == {"passes", "does_not_apply"}
    assert {one["why"] for one in said["rules"]} >= {"", "blank", "condition"}
    assert _rule(said, OUTLIER)["inputs"]["CF_NR_FK"] == said["record"]["CF_NR_FK"] != ""
    assert said["today"] == _rule(said, f"{CODE}.CF_JDRQ.not_future")["inputs"]["today"]
    (noted,) = (json.loads(line) for line in err.splitlines() if "audit" in line)
    assert (noted["what"], noted["why"]) == (f"rules.explain {feedback_id(*judged.accepted.place)}", "异议核查")
    assert noted["who"]
    _assert_stored(judged.accepted.place, said)


def test_a_suspects_broken_rule_is_told_with_inputs_and_text_and_only_rules_that_matter_with_it(
    explain: Any, judged: Judged
) -> None:
    code, said, _ = explain(judged.suspect)
    assert (code, said["verdict"]["verdict"], said["differing"]) == (0, "suspect", [])
    assert (said["original"], said["record_from"]) == ("there", f"zhida.report.{CODE}")
    broken = _rule(said, OUTLIER)
    assert (broken["outcome"], broken["counts"], broken["inputs"]) == ("broken", True, {"CF_NR_FK": "100000.5"})
    assert [one["rule"] for one in said["verdict"]["violations"]] == [OUTLIER]
    assert broken["text"].lstrip().startswith(f"- id: {OUTLIER}")
    assert broken["rule"]["check"]["max"]
    assert {one["outcome"] for one in said["rules"]} == {"broken", "passes"}
    _assert_stored(judged.suspect.place, said)


def test_a_rejection_is_shown_with_its_message_and_the_text_of_the_rule(
    explain: Any, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The API may be away: what topics tell, needs nobody else.
    monkeypatch.setenv("ZHIDA_API_PORT", str(free_port()))
    code, shown, _ = explain(judged.rejected, as_json=False)
    assert code == 0
    assert "退回 rejected" in shown
    assert "版本号必须是正整数" in shown
    assert f"- id: {VERSION}" in shown


def test_an_unreadable_message_is_explained_without_its_text(explain: Any, judged: Judged) -> None:
    code, said, _ = explain(judged.quarantined)
    assert (code, said["verdict"]["verdict"]) == (0, "quarantined")
    about = said["quarantine"]
    assert (about["reason"], about["kind"], about["begins_with"]) == ("bad_magic", "JSON", "7b")
    assert about["bytes"] == len(judged.quarantined.value or b"")
    assert about["zh"]
    assert "张" not in json.dumps(said, ensure_ascii=False)
    _assert_stored(judged.quarantined.place, said)


@pytest.mark.parametrize(
    ("name", "code", "word"),
    [
        ("abc", 2, "<topic>-<partition>-<offset>"),
        (f"zhida.accepted.{CODE}-0-1", 2, "report topic"),
        ("zhida.report.-0-1", 2, "report topic"),
        (f"zhida.report.{CODE}-0-{'9' * 19}", 2, "too large"),
        (f"zhida.report.{CODE}-0-٣", 2, "no feedback id"),
        (f"zhida.report.{CODE}-999-1", 4, "no verdict"),
        (f"zhida.report.{CODE}-0-{FAR - 1}", 4, "no verdict"),
        ("zhida.report.no_such_dataset-0-1", 4, "no verdict"),
    ],
)
def test_an_id_of_nothing_says_so(explain: Any, name: str, code: int, word: str) -> None:
    found, _, err = explain(name)
    assert found == code
    assert word in err


def test_a_rule_that_was_not_there_is_an_error(explain: Any, judged: Judged) -> None:
    code, _, err = explain(judged.accepted, "--rule", OUTLIER[:-1])
    assert code == 4
    assert f"did you mean {OUTLIER}?" in err


def test_a_verdict_that_the_store_alone_knows_is_explained_without_its_record(
    explain: Any, wire: Wire, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspect = wire.feedback(_unit_of(judged.suspect))[judged.suspect.place]
    alone = replace(suspect, source_offset=FAR + 2, feedback_id=feedback_id(*_place(suspect, FAR + 2)))
    # Sinks read all partitions; a verdict is looked for in that of its message alone.
    elsewhere = (alone.source_partition + 1) % wire.platform.settings.partitions
    _put(wire, REJECTED_TOPIC, alone, elsewhere)
    _stored(Place.parse(alone.feedback_id))
    code, said, _ = explain(alone.feedback_id)
    assert (code, said["verdict"]["topic"]) == (0, VERDICT_HISTORY)
    for name in ("verdict", "rule_set", "schema_id", "reported_at", "governed_at", "unit", "record_id", "version"):
        assert said["verdict"][name] == getattr(alone, name)
    assert said["verdict"]["violations"] == [asdict(violation) for violation in alone.violations]
    assert (said["record"], said["rules"], said["compiled"]) == ({}, [], alone.rule_set)
    assert said["texts"][OUTLIER].lstrip().startswith(f"- id: {OUTLIER}")
    shown = " ".join(explain(alone.feedback_id, as_json=False)[1].split())
    assert "结论历史 the verdict history" in shown
    assert "the record is missing" in shown
    assert alone.violations[0].message_zh in shown
    # It says whose the message is: what that unit was told is found without being asked for.
    _put(wire, feedback_topic(alone.unit), alone, 0)
    assert explain(alone.feedback_id)[1]["verdict"]["topic"] == feedback_topic(alone.unit)
    monkeypatch.setenv("ZHIDA_API_TOKEN", "x" * 32)
    with pytest.raises(UserError) as refused:
        stored_verdict(Place.parse(alone.feedback_id))
    assert refused.value.exit_code == ExitCode.DENIED


def test_where_nobody_can_ask_the_history_that_is_said(explain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIDA_API_PORT", str(free_port()))
    code, said, err = explain(f"zhida.report.{CODE}-0-{FAR - 2}")
    assert (code, said["verdict"], said["original"]) == (3, None, "missing")
    assert any("could not be asked" in note["en"] for note in said["notes"])
    assert "could not be asked" in " ".join(err.split())


def test_where_the_message_is_gone_its_copy_and_its_verdict_explain_it(
    explain: Any, wire: Wire, judged: Judged
) -> None:
    rejected = next(one for place, one in wire.rejected().items() if place == judged.rejected.place)
    elsewhere = replace(rejected, source_offset=FAR, feedback_id=feedback_id(*_place(rejected, FAR)))
    _put(wire, REJECTED_TOPIC, elsewhere, rejected.source_partition)
    code, said, _ = explain(elsewhere.feedback_id)
    assert code == 0
    assert (said["original"], said["record_from"]) == ("missing", REJECTED_TOPIC)
    assert said["record"]["record_id"] == rejected.record_id
    assert _rule(said, VERSION)["outcome"] == "broken"
    _assert_stored(_place(rejected, FAR), said)
    # A suspect's feedback has no copy: what the verdict says is left, and the text of the rules that it names.
    suspect = next(
        one for place, one in wire.feedback(_unit_of(judged.suspect)).items() if place == judged.suspect.place
    )
    alone = replace(suspect, source_offset=FAR + 1, feedback_id=feedback_id(*_place(suspect, FAR + 1)))
    _put(wire, feedback_topic(suspect.unit), alone, 0)
    assert explain(alone.feedback_id)[0] == 4
    code, shown, _ = explain(alone.feedback_id, "--unit", suspect.unit, as_json=False)
    assert code == 0
    assert "no copy" in shown
    assert alone.violations[0].message_zh in shown
    assert f"- id: {OUTLIER}" in shown


def test_a_later_verdict_replaces_an_earlier_one_wherever_it_stands(explain: Any, wire: Wire, judged: Judged) -> None:
    """As a record that is judged again, because another one came, is told of on the feedback topic."""
    place = judged.suspect.place
    first = wire.feedback(_unit_of(judged.suspect))[place]
    again = replace(first, verdict="accepted", violations=(), governed_at=first.governed_at + 1)
    _put(wire, feedback_topic(first.unit), again, 0)
    code, said, _ = explain(judged.suspect)
    assert (said["verdict"]["verdict"], said["verdict"]["governed_at"]) == ("accepted", again.governed_at)
    assert [one["verdict"] for one in said["earlier"]] == ["suspect"]
    # It is said to have broken nothing, but does: whoever explains it must hear of that.
    assert (code, said["differing"]) == (1, [OUTLIER])
    assert said["reasons"]


def test_a_message_that_the_broker_has_dropped_is_explained_by_its_accepted_copy(
    explain: Any, wire: Wire, judged: Judged
) -> None:
    if chosen_stack() != "real":
        pytest.skip("the embedded broker drops no records on request")
    topic, partition, offset = judged.accepted.place
    admin = AdminClient(wire.kafka.confluent())
    for future in admin.delete_records([TopicPartition(topic, partition, offset + 1)]).values():
        future.result(30)
    code, said, _ = explain(judged.accepted)
    assert (code, said["original"], said["record_from"]) == (0, "gone", f"zhida.accepted.{CODE}")
    assert said["record"]["record_id"]


def test_a_verdict_by_rules_of_before_is_explained_by_those(
    explain: Any, wire: Wire, judged: Judged, tmp_path: Path
) -> None:
    place = shutil.copytree(LIBRARY_DIR, tmp_path / "rules")
    path = place / f"{CODE}.yaml"
    head = f"  - id: {VERSION}\n"
    text = path.read_text("utf-8")
    assert head in text
    path.write_text(text.replace(head, f"  # Tried out now.\n{head}    status: shadow\n"), encoding="utf-8")
    new = judged.rules + 1
    _publish(wire, place, new)
    (fresh,) = wire.send([(judged.rejected.key, judged.rejected.value)], linger_ms=0)
    wire.wait_judged([fresh])
    _, said, _ = explain(fresh)
    assert said["verdict"]["rule_set"].startswith(f"{new}-")
    assert said["verdict"]["verdict"] == "accepted"
    tried = _rule(said, VERSION)
    assert (tried["outcome"], tried["counts"], tried["differs"]) == ("broken", False, False)
    assert tried["text"].startswith("  # Tried out now.")
    code, said, _ = explain(judged.rejected, "--rule", VERSION)
    assert [one["id"] for one in said["rules"]] == [VERSION]
    assert (code, said["verdict"]["rule_set"].split("-")[0]) == (0, str(judged.rules))
    assert said["compiled"] == said["verdict"]["rule_set"]
    assert "shadow" not in _rule(said, VERSION)["text"]


def test_when_the_broker_has_dropped_all_that_it_had_the_store_tells_the_same(
    explain: Any, wire: Wire, judged: Judged
) -> None:
    if chosen_stack() != "real":
        pytest.skip("the embedded broker drops no records on request")
    before = explain(judged.rejected)[1]["verdict"]
    _stored(Place(*judged.rejected.place))
    topic, partition, _ = judged.rejected.place
    everything = [(topic, partition), (REJECTED_TOPIC, partition), (feedback_topic(_unit_of(judged.rejected)), 0)]
    admin = AdminClient(wire.kafka.confluent())
    for future in admin.delete_records([TopicPartition(*place, OFFSET_END) for place in everything]).values():
        future.result(30)
    code, said, _ = explain(judged.rejected)
    assert (code, said["original"], said["record"]) == (0, "gone", {})
    assert said["verdict"].pop("topic") == VERDICT_HISTORY != before.pop("topic")
    assert said["verdict"] == before
    assert VERSION in said["texts"]


def _assert_stored(place: tuple[str, int, int], said: dict[str, Any]) -> None:
    """The history has on *place* what topics have *said*; not all of them tell all."""
    found, told = asdict(_stored(Place(*place))), said["verdict"]
    for name in ("verdict", "rule_set", "schema_id", "reported_at", "governed_at", "unit", "reason", "detail"):
        assert found[name] == told[name], name
    assert told["version"] in (None, found["version"])
    if told["verdict"] != "quarantined":
        assert (found["record_id"], list(found["violations"])) == (told["record_id"], told["violations"])


def _stored(place: Place) -> Told:
    """What the API has on *place*, once the sink has written it."""
    deadline = time.monotonic() + 30
    while (found := stored_verdict(place)) is None:
        assert time.monotonic() < deadline, f"{place.id} does not reach the store"
        time.sleep(0.05)
    return found


def _publish(wire: Wire, place: Path, number: int) -> None:
    library = place / "_library.yaml"
    old = _in_force(wire).rules.number
    library.write_text(library.read_text("utf-8").replace(f"number: {old}", f"number: {number}"), encoding="utf-8")
    settings, known = wire.platform.settings, read_known(wire.kafka)
    files = from_folder(place, _in_force(wire).release)
    with RegistryClient(settings.registry()) as registry:
        plan = plan_rules(settings, files, known, registry, time.time_ns() // 1_000_000)
        outcome = carry_out(plan, wire.kafka, patience=60, report=lambda _: None)
    assert outcome.ok, (outcome.error, outcome.late)


def _unit_of(sent: Sent) -> str:
    return (sent.key or b"").decode().partition("|")[0]


def _place(feedback: Feedback, offset: int) -> tuple[str, int, int]:
    return feedback.source_topic, feedback.source_partition, offset


def _put(wire: Wire, topic: str, feedback: Feedback, partition: int) -> None:
    """Write feedback as govern does."""
    header = wire.read(feedback_topic(feedback.unit))[0].value() or b""
    producer = Producer(wire.kafka.confluent() | {"linger.ms": 0})
    value = encode_feedback(feedback, header[:5])
    producer.produce(topic, value, feedback.feedback_id.encode(), partition=partition)
    assert producer.flush(30) == 0
