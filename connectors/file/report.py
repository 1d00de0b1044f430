"""Reports one file: reader → encoder → sender, with every refused row told and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any

from connectors.base import UnreachableError, Wiring, known_unit
from connectors.file.config import FileReport
from connectors.file.csv_reader import CsvReader
from connectors.file.encoder import Encoder
from connectors.file.header import Names, check_required
from connectors.file.json_reader import JsonReader
from connectors.file.outcome import Outcome
from connectors.file.refused import RefusedRows
from connectors.file.rows import Problem, Refusal, Row
from connectors.file.sender import Sender
from connectors.file.source import OpenSource, Source, examine, open_text
from schemas.catalog import Dataset
from schemas.rowcodec import RowCodec
from schemas.verdict import Feedback

_PROGRESS_EVERY = 1000
#: Stands for the registered schema's id where nothing is sent.
_DRY_RUN_SCHEMA_ID = 0


@dataclass(slots=True)
class Counts:
    """What a report came to; ``read = sent + refused + unsent`` once it is over."""

    read: int = 0
    #: Confirmed by the broker (in a dry run: that could have been sent).
    sent: int = 0
    refused: int = 0
    blank: int = 0
    #: Encoded, but the broker was lost before it confirmed them.
    unsent: int = 0
    encoding: str = ""
    format: str = ""
    #: By verdict, of the feedback that came while waiting; None without --wait.
    feedback: dict[str, int] | None = None
    all_judged: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told what happens; every callback has a default that does nothing."""

    started: Callable[[Source], None] = lambda _source: None
    refused: Callable[[Refusal], None] = lambda _refusal: None
    #: (bytes of the file read so far, counts so far)
    progress: Callable[[int, Counts], None] = lambda _position, _counts: None
    feedback: Callable[[int, Feedback], None] = lambda _line, _feedback: None


@dataclass(slots=True)
class _Run:
    """One report under way."""

    config: FileReport
    watch: Watch
    counts: Counts
    errors: RefusedRows | None = None
    #: Lines sent and not yet confirmed: what the broker still owes an answer for.
    pending: dict[int, Row] = field(default_factory=dict)

    def refuse(self, refusal: Refusal) -> None:
        self.counts.refused += 1
        if self.errors is not None:
            self.errors.write(refusal)
        self.watch.refused(refusal)


def report_file(config: FileReport, wiring: Wiring, watch: Watch | None = None) -> Counts:
    """Report the file of *config* and return what it came to.

    Rows that cannot be encoded are told to *watch* and written to the errors file; all others are sent. Raises
    ConnectorError where the file, the dataset or the unit is wrong (nothing is sent then), and UnreachableError where
    the broker is lost on the way: its message says how many records were confirmed; reporting the file again is safe.
    """
    known_unit(wiring.units, config.unit)
    dataset = wiring.catalog[config.dataset]
    run = _Run(config, watch or Watch(), Counts())
    source = examine(config.path, config.format, config.encoding)
    run.counts.encoding, run.counts.format = source.encoding, source.format
    run.watch.started(source)
    with ExitStack() as stack:
        opened = stack.enter_context(open_text(source))
        reader, titles = _reader(source, opened, dataset, config)
        if config.errors is not None:
            run.errors = stack.enter_context(RefusedRows(config.errors, config.path, titles))
        encoder = _encoder(config, dataset, wiring)
        if config.dry_run:
            _drain(run, reader, encoder, opened, sender=None)
        else:
            _send_all(run, reader, encoder, opened, dataset, wiring)
        run.counts.blank = reader.blank_rows
    return run.counts


def _reader(
    source: Source, opened: OpenSource, dataset: Dataset, config: FileReport
) -> tuple[CsvReader | JsonReader, tuple[str, ...]]:
    names = Names(dataset)
    if source.format == "jsonl":
        return JsonReader(opened.text, names), ("#原文 raw",)
    reader = CsvReader(opened.text, names)
    if not config.allow_missing:
        check_required(reader.header, dataset)
    return reader, reader.header.titles


def _encoder(config: FileReport, dataset: Dataset, wiring: Wiring) -> Encoder:
    schema_id = _DRY_RUN_SCHEMA_ID
    if not config.dry_run:
        schema_id = wiring.registry.register(dataset.subject_name, dataset.avro_schema)
    codec = RowCodec(dataset, schema_id, dataset.avro_schema)
    return Encoder(dataset, codec, config.unit, wiring.now_ms(), config.max_record_bytes)


def _send_all(
    run: _Run,
    reader: CsvReader | JsonReader,
    encoder: Encoder,
    opened: OpenSource,
    dataset: Dataset,
    wiring: Wiring,
) -> None:
    config, counts = run.config, run.counts
    waits = config.wait_seconds > 0
    outcome = Outcome(wiring.kafka, config.unit, dataset.report_topic) if waits else None

    def delivered(line: int, partition: int, offset: int) -> None:
        counts.sent += 1
        run.pending.pop(line, None)
        if outcome is not None:
            outcome.delivered(line, partition, offset)

    def refused(line: int, reason: str) -> None:
        row = run.pending.pop(line, None)
        problem = Problem("", "", f"Kafka 没有接受：{reason}", f"Kafka did not take it: {reason}")
        run.refuse(Refusal(line, (problem,), row.original if row else ()))

    sender = Sender(
        wiring.kafka,
        dataset.report_topic,
        delivered,
        refused,
        delivery_timeout_seconds=config.delivery_timeout_seconds,
        max_record_bytes=config.max_record_bytes,
    )
    with nullcontext() if outcome is None else _Closing(outcome):
        sender.check()
        try:
            try:
                _drain(run, reader, encoder, opened, sender)
            finally:
                # Also on Ctrl-C: what is queued is on its way and must be counted right.
                sender.finish()
        except UnreachableError as error:
            counts.unsent = len(run.pending)
            raise _with_counts(error, counts) from error
        if outcome is not None:
            _await_feedback(run, outcome)


class _Closing:
    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._outcome.close()


def _drain(
    run: _Run, reader: CsvReader | JsonReader, encoder: Encoder, opened: OpenSource, sender: Sender | None
) -> None:
    counts = run.counts
    for message, row in _encoded(run, reader, encoder):
        if sender is None:
            counts.sent += 1
        else:
            run.pending[row.line] = row
            sender.send(message)
        if counts.read % _PROGRESS_EVERY == 0:
            run.watch.progress(opened.position(), counts)
    run.watch.progress(opened.position(), counts)


def _encoded(run: _Run, reader: CsvReader | JsonReader, encoder: Encoder) -> Iterator[tuple[Any, Row]]:
    for row in reader:
        run.counts.read += 1
        made = row if isinstance(row, Refusal) else encoder.encode(row)
        if isinstance(made, Refusal):
            run.refuse(made)
        elif isinstance(row, Row):
            yield made, row


def _await_feedback(run: _Run, outcome: Outcome) -> None:
    run.counts.feedback = {}
    for line, feedback in outcome.collect(run.config.wait_seconds):
        run.counts.feedback[feedback.verdict] = run.counts.feedback.get(feedback.verdict, 0) + 1
        run.watch.feedback(line, feedback)
    run.counts.all_judged = outcome.all_judged


def _with_counts(error: UnreachableError, counts: Counts) -> UnreachableError:
    return UnreachableError(
        f"{error.message_zh}；已确认 {counts.sent} 条，其余没有确认",
        f"{error.message_en}; {counts.sent} records were confirmed, the others were not",
        "Kafka 恢复后重新报送整个文件即可，不会重复 report the whole file again: nothing is doubled",
    )
