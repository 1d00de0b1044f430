"""The explanation of one verdict: the message, the verdict, and the rules by which it was given, as they were then.

Rule sets and releases stay on their topics for good, so the rules of a verdict can be compiled and evaluated again for
as long as the message or a copy of it is there; after that the verdict is explained by what it says itself. Where no
topic has the verdict any more, whoever keeps the history is asked. Nothing is changed, and no store is opened.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from rules.checks.base import JudgeContext
from rules.document import RULES_TOPIC, RuleDocument
from rules.errors import RuleError
from rules.explain import ExplainedRule, explain_rules, rule_texts
from rules.ruleset import RuleSet
from schemas.announcements import Announcements
from schemas.catalog import Dataset
from schemas.connection import KafkaConnection
from schemas.numbered import NumberedError
from schemas.numbered import decode as decode_numbered
from schemas.registry.client import RegistryClient
from schemas.release import RELEASES_TOPIC, Release, ReleaseError
from streams.decoding import BatchDecoder, CodecCache
from streams.governing import CHINA
from streams.learning import learn_and_decode
from zhida.errors import UserError
from zhida.tracing import VERDICT_HISTORY, Absence, Original, Place, Told, Tracer, newest

#: Releases to be tried for one verdict: more than one only where two were published close to it.
_TRIED = 3
#: Workers take a release on within seconds of the publisher's time, ms.
_TAKEN_ON = 60_000

#: Chinese and English.
Note = tuple[str, str]
#: What the verdict history has on a message, its topic VERDICT_HISTORY; raises UserError where it cannot be asked.
History = Callable[[Place], Told | None]


@dataclass(frozen=True, slots=True)
class RulesThen:
    """The rules of a verdict: their files, and compiled for the release that was in force, where that can be done."""

    document: RuleDocument
    release: Release
    rule_set: RuleSet


@dataclass(slots=True)
class Explanation:
    """All that is known of one message. ``told`` is the verdict that stands, ``earlier`` those that it has replaced.

    ``record`` is None where there is none to be read, ``broken`` then says why (reason and detail of a quarantine).
    ``rules`` are empty where the record or the rules are not there; ``texts`` are those of the rules that are named.
    ``unasked``: no topic has a verdict, and why the history could not be asked for it.
    """

    place: Place
    original: Original | Absence
    told: Told | None = None
    earlier: tuple[Told, ...] = ()
    value: bytes | None = None
    value_from: str = ""
    dataset: Dataset | None = None
    record: dict[str, Any] | None = None
    broken: tuple[str, str] | None = None
    today: date | None = None
    release: int | None = None
    compiled: str = ""
    rules: tuple[ExplainedRule, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)
    unasked: UserError | None = None
    notes: list[Note] = field(default_factory=list)

    @property
    def differing(self) -> tuple[ExplainedRule, ...]:
        """The rules of which the verdict says something else than the evaluation."""
        return tuple(rule for rule in self.rules if rule.differs)


class Explainer:
    """Explains verdicts. Blocking; raises UnreachableError, AnnouncementError or RegistryUnavailable."""

    def __init__(
        self,
        kafka: KafkaConnection,
        registry: RegistryClient,
        *,
        now_ms: int,
        max_record_bytes: int,
        history: History = lambda _: None,
    ) -> None:
        """*max_record_bytes* is govern's limit; *history* is asked for verdicts that no topic has."""
        self._kafka = kafka
        self._registry = registry
        self._now = now_ms
        self._limit = max_record_bytes
        self._history = history

    def explain(self, place: Place, unit: str = "") -> Explanation:
        """What is known of the message at *place*; *unit* is asked for its feedback where the message cannot say whose
        it is.
        """
        with Tracer(self._kafka, self._now) as tracer:
            original = tracer.original(place)
            since = original.timestamp if isinstance(original, Original) else None
            found = tracer.verdicts(place, since)
            asked = {unit, *(told.unit for told in found)}
            if isinstance(original, Original):
                asked.add(original.named_unit)
            self._ask(tracer, place, asked, found, since)
            explanation = self._explained(place, original, found)
            own = str((explanation.record or {}).get("unit") or "")
            # Feedback goes to the record's unit, which need not be the one in its key.
            if own not in asked and self._ask(tracer, place, {own}, found, since):
                explanation = self._explained(place, original, found)
            if explanation.told is None:
                explanation = self._from_history(tracer, explanation, asked | {own})
        return explanation

    def _from_history(self, tracer: Tracer, nothing: Explanation, asked: set[str]) -> Explanation:
        """What the verdict history says where no topic does; *nothing*, and why, where it cannot be asked."""
        place, original = nothing.place, nothing.original
        try:
            stored = self._history(place)
        except UserError as error:
            nothing.unasked = error
            zh = f"结论历史未能查询（{error.message_zh}），更早的结论不明"
            nothing.notes.append((zh, f"the verdict history could not be asked: {error.message_en}"))
            return nothing
        if stored is None:
            return nothing
        found = [stored]
        # It says whose the message is: that unit's feedback may still be there, with a copy.
        self._ask(tracer, place, {stored.unit} - asked, found, stored.governed_at)
        return self._explained(place, original, [*found[1:], stored])

    def _ask(self, tracer: Tracer, place: Place, units: set[str], found: list[Told], since: int | None) -> bool:
        """Add what *units* were told to *found*; True where there was anything."""
        # What replaces a verdict was told after it.
        after = max((told.governed_at for told in found), default=since)
        told = [one for unit in sorted(units) if unit for one in tracer.told(place, unit, after)]
        found += told
        return bool(told)

    def _explained(self, place: Place, original: Original | Absence, found: list[Told]) -> Explanation:
        verdicts = newest(found)
        explanation = Explanation(place, original)
        if verdicts:
            explanation.told, explanation.earlier = verdicts[0], tuple(verdicts[1:])
        copy = next((told for told in verdicts if told.value is not None), None)
        if isinstance(original, Original):
            explanation.value, explanation.value_from = original.value, place.topic
        elif copy is not None:
            explanation.value, explanation.value_from = copy.value, copy.topic
        _note_absence(explanation)
        if explanation.told is not None and explanation.told.topic == VERDICT_HISTORY:
            zh = "Kafka 上已没有这条结论；取自信用库的结论历史，经查询接口"
            en = "no topic has this verdict any more: it is from the credit store's history, by way of the query API"
            explanation.notes.append((zh, en))
        if explanation.told is not None:
            self._evaluate(explanation, explanation.told)
        return explanation

    def _evaluate(self, explanation: Explanation, told: Told) -> None:
        then = self._rules_then(explanation, told)
        if then is None:
            return
        code = explanation.place.dataset
        explanation.release, explanation.compiled = then.release.number, then.rule_set.version
        if code not in then.release.catalog:
            explanation.notes.append((f"目录 {then.release.number} 中没有数据集 {code}", f"no {code} in that catalog"))
            return
        explanation.dataset = dataset = then.release.catalog[code]
        self._decode(explanation, dataset)
        explanation.today = datetime.fromtimestamp(told.governed_at / 1000, UTC).astimezone(CHINA).date()
        if explanation.record is None:
            return
        context = JudgeContext(
            explanation.today, then.release.units.codes, then.release.assignments.units_for(code, explanation.today)
        )
        recorded = told.violations if told.verdict != "quarantined" else None
        explanation.rules = explain_rules(then.rule_set.dataset(code), explanation.record, context, recorded)
        explanation.texts |= _texts(then.document, code, (one.rule.id for one in explanation.rules))

    def _decode(self, explanation: Explanation, dataset: Dataset) -> None:
        if explanation.value is None and not isinstance(explanation.original, Original):
            return
        codecs = CodecCache(self._registry)
        decoder = BatchDecoder(dataset, codecs, max_record_bytes=self._limit)
        decoded = learn_and_decode(lambda refused: decoder.decode([explanation.value], refused), codecs, dataset)
        if decoded.records:
            explanation.record = decoded.records[0]
        elif decoded.broken:
            explanation.broken = (decoded.broken[0].reason, decoded.broken[0].detail)

    def _rules_then(self, explanation: Explanation, told: Told) -> RulesThen | None:
        """The rule set that the verdict names, compiled for the release that was in force; None, and notes, without."""
        number = told.rule_set.partition("-")[0]
        announced = Announcements(self._kafka, RULES_TOPIC).read()
        key = number.encode()
        if key not in announced:
            zh = f"主题 {RULES_TOPIC} 上没有第 {number} 号规则库，只能按结论中的记载说明"
            explanation.notes.append((zh, f"no rule set {number} on {RULES_TOPIC}; only the recorded verdict tells"))
            return None
        try:
            document = RuleDocument.decode(key, announced[key])
        except RuleError as error:
            explanation.notes.append((f"第 {number} 号规则库无法读取：{error}", "the rule set cannot be read"))
            return None
        named = (violation.rule for violation in told.violations)
        explanation.texts = _texts(document, explanation.place.dataset, named)
        then, trouble = self._compiled(document, told)
        if then is None:
            zh = f"现在的程序不能编译第 {number} 号规则库，只能按结论中的记载说明：{trouble}"
            en = f"rule set {number} does not compile in this program; only the recorded verdict tells"
            explanation.notes.append((zh, en))
        elif then.rule_set.version != told.rule_set:
            zh = f"结论由规则库 {told.rule_set} 作出，现在编译为 {then.rule_set.version}：程序或目录已不同，以记载为准"
            en = f"judged by {told.rule_set}, which compiles to {then.rule_set.version} now: program or catalog differ"
            explanation.notes.append((zh, en))
        return then

    def _compiled(self, document: RuleDocument, told: Told) -> tuple[RulesThen | None, str]:
        releases = Announcements(self._kafka, RELEASES_TOPIC).read()
        nearest: RulesThen | None = None
        trouble = "目录已不在 no catalog is left"
        for release in _candidates(releases, document, told.governed_at):
            try:
                then = RulesThen(document, release, RuleSet.from_document(document, release.catalog))
            except RuleError as error:
                trouble = str(error.problems[0])
                continue
            if then.rule_set.version == told.rule_set:
                return then, ""
            nearest = nearest or then
        return nearest, trouble


def _candidates(releases: Mapping[bytes, bytes], document: RuleDocument, governed_at: int) -> Iterator[Release]:
    """Releases that may have been in force with *document* at *governed_at* (ms), the likeliest first."""
    numbers = sorted(int(key) for key in releases if key.isdigit() and int(key) >= document.catalog)

    def published(number: int) -> int:
        try:
            return decode_numbered(b"%d" % number, releases[b"%d" % number]).published_at_ms
        except NumberedError:
            return 0

    after = bisect_right(numbers, governed_at, key=published)
    likely = [
        *reversed(numbers[:after]),
        *(number for number in numbers[after:] if published(number) <= governed_at + _TAKEN_ON),
    ]
    tried = 0
    for number in likely or numbers:
        try:
            release = Release.decode(b"%d" % number, releases[b"%d" % number])
        except ReleaseError:
            continue
        if release.rules <= document.number:
            yield release
            tried += 1
        if tried == _TRIED:
            return


def _texts(document: RuleDocument, dataset: str, rules: Iterator[str]) -> dict[str, str]:
    written = rule_texts(document.files.get(f"{dataset}.yaml", ""))
    return {rule: written[rule] for rule in rules if rule in written}


def _note_absence(explanation: Explanation) -> None:
    if isinstance(explanation.original, Original):
        return
    there = explanation.told is not None
    if explanation.original == "missing" and not there:
        explanation.notes.append(("报送主题上没有这条消息", "there is no such message on the report topic"))
    elif explanation.value_from:
        zh = f"原始消息已超过保留期；以下为 {explanation.value_from} 上的副本"
        en = f"the message itself is no longer kept; this is its copy on {explanation.value_from}"
        explanation.notes.append((zh, en))
    elif there:
        zh = "原始消息已超过保留期，也没有副本：记录本身已不可查，只能按结论中的记载说明"
        en = "the message is no longer kept and there is no copy of it: the record is missing, only the verdict tells"
        explanation.notes.append((zh, en))
    else:
        explanation.notes.append(("原始消息已超过保留期", "the message is no longer kept"))
