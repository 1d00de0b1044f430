"""The second half of a judgement: rules that look at other records, judged on what the state has found.

The state is asked once for a batch, about its records that are not rejected, and told of them at the same time; only
for the few about which something was found are rules judged, one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import structlog

from rules.checks.base import JudgeContext
from rules.ruleset import DatasetRules, Found
from rules.state.definitions import Ask, Distribution, Replies, StatePlan, StateSource
from rules.state.texts import TextMaker, buckets
from schemas.verdict import Violation
from streams.decoding import Decoded, others

log = structlog.get_logger("govern")

#: So many numbers in each bucket.
Buckets = Mapping[int, int]
_Places = npt.NDArray[np.int64]
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Request:
    """What the state is asked about a batch: text i is of row ``rows[i]``."""

    ask: Ask
    rows: Sequence[int]
    today: date

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the state says to *request*; *limits* are those of its day."""

    request: Request
    replies: Replies
    limits: Mapping[Distribution, float]


@dataclass(slots=True)
class Answers:
    """What was found: row -> question -> found. ``stale`` rows are of versions that newer ones have replaced."""

    found: dict[int, dict[str, Found]] = field(default_factory=dict)
    stale: frozenset[int] = frozenset()
    #: The records about which something was found, by row.
    records: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    #: What the batch adds to the day's histograms.
    counts: list[tuple[Distribution, date, Buckets]] = field(default_factory=list)


class StateStep:
    """Asks and judges for one dataset. ``bool`` says whether there is anything to ask."""

    def __init__(self, rules: DatasetRules, plan: StatePlan) -> None:
        self._rules = rules
        self.plan = plan
        self._maker = TextMaker(plan)

    def __bool__(self) -> bool:
        return bool(self.plan)

    def request(
        self,
        decoded: Decoded,
        place: tuple[str, int],
        offsets: Sequence[int],
        out: Collection[int],
        today: date,
        withdraw: bool = False,
    ) -> Request:
        """What to ask about the rows of *decoded*; row i is the message at ``offsets[i]`` of topic and partition.

        Rows in *out* are not accepted: the state is not told of them, or, with *withdraw*, told that they are gone.
        """
        rows: Sequence[int] = range(len(offsets))
        gone = set(out) if withdraw else set()
        if out and not withdraw:
            rows = others(list(out), len(offsets))
        if decoded.frame is None:
            records = [
                decoded.records[row] | {"deleted": True} if row in gone else decoded.records[row] for row in rows
            ]
            texts = self._maker.rows(records, [offsets[row] for row in rows], today)
        else:
            frame = decoded.frame
            if gone:
                withdrawn = pl.Series([row in gone for row in rows])
                frame = frame.with_columns(deleted=pl.col("deleted") | withdrawn)
            texts = self._maker.columns(frame, offsets, today)
            if len(rows) < len(offsets):
                texts = texts[np.array(rows)]
        return Request(Ask(self.plan, *place, texts), rows, today)

    def reply(self, request: Request, replies: Replies, state: StateSource) -> Reply:
        """*replies* to *request*, with the day's limits. Blocking where these are new; raises what *state* raises."""
        wanted = self.plan.distributions
        return Reply(request, replies, state.limits(wanted, request.today) if wanted else {})

    def answers(self, decoded: Decoded, reply: Reply) -> Answers:
        """What the state has found, by row of *decoded*.

        Records are fetched here and not where they are judged, which may be on a loop: beside a thread that computes,
        each call that a loop makes into Polars costs it a wait for the interpreter.
        """
        plan, rows, replies = self.plan, reply.request.rows, reply.replies
        answers = Answers(stale=frozenset(rows[place] for place in replies.stale))
        for place, found in replies.found.items():
            answers.found[rows[place]] = {plan.question_names[number]: what for number, what in found.items()}
        for distribution in plan.distributions:
            places, numbers = _numbers(distribution, decoded, rows)
            if (limit := reply.limits.get(distribution)) is not None:
                for place in places[numbers > limit].tolist():
                    answers.found.setdefault(rows[place], {})[distribution.name] = (f"{limit:.6g}",)
            answers.counts.append((distribution, reply.request.today, buckets(numbers)))
        current = sorted(answers.found.keys() - answers.stale)
        answers.records = dict(zip(current, decoded.some(current), strict=True))
        return answers

    def judge(self, answers: Answers, context: JudgeContext) -> dict[int, tuple[Violation, ...]]:
        """The violations by row; a rule that fails is logged, and breaks nothing."""
        judged: dict[int, tuple[Violation, ...]] = {}
        for row, record, found in self.answered(answers):
            try:
                violations = self._rules.judge_answers(record, found, context)
            except Exception as error:
                dataset = self.plan.dataset.code
                log.error("rules failed on what the state has found", dataset=dataset, error=type(error).__name__)
                continue
            if violations:
                judged[row] = violations
        return judged

    def answered(self, answers: Answers) -> Iterator[tuple[int, Mapping[str, Any], Mapping[str, Found]]]:
        """Row, record and what was found, for each row about which something was."""
        for row, record in answers.records.items():
            yield row, record, answers.found[row]


def _numbers(distribution: Distribution, decoded: Decoded, rows: Sequence[int]) -> tuple[_Places, _Numbers]:
    """Places and numbers of the records that have one."""
    name = distribution.field
    if decoded.frame is None:
        values = ((place, decoded.records[row]) for place, row in enumerate(rows))
        found = [(place, float(record[name])) for place, record in values if _counts(record, name)]
        return np.array([place for place, _ in found], np.int64), np.array([number for _, number in found], np.float64)
    column = pl.when(~pl.col("deleted")).then(pl.col(name).cast(pl.Float64))
    numbers = decoded.frame.select(column.alias(name)).to_series()
    chosen = (numbers if len(rows) == len(numbers) else numbers[rows]).to_numpy()
    places = np.flatnonzero(~np.isnan(chosen))
    return places, chosen[places]


def _counts(record: Mapping[str, Any], name: str) -> bool:
    return record[name] is not None and not record["deleted"]
