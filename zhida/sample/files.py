"""A sample in a folder: messages that can be sent again, the oracle's answers, and the records for people to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.catalog import Catalog
from schemas.verdict import Verdict
from zhida.errors import ExitCode, UserError
from zhida.sample.generate import FaultShares
from zhida.sample.message import BodyEncoder, Expected, RawValue, SampleMessage
from zhida.sample.oracle import Answers, Oracle

MESSAGES_FILE = "messages.parquet"
#: How the sample was made, and counts.
SUMMARY_FILE = "sample.json"
_MESSAGES = pa.schema(
    [
        ("seq", pa.int64()),
        ("dataset", pa.string()),
        ("unit", pa.string()),
        ("key", pa.binary()),
        ("schema", pa.string()),  # whose schema id goes in front of the body: see RawValue
        ("body", pa.binary()),
        ("verdict", pa.string()),
    ]
)
_CHUNK = 5000


def shares_from_text(text: str) -> FaultShares:
    """Shares from ``rejected=0.1,suspect=0.05``; what is not named keeps its default. Raises UserError."""
    values: dict[str, Any] = asdict(FaultShares())
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = part.partition("=")
        try:
            values[name] = type(values[name])(number)
        except (KeyError, ValueError) as error:
            raise UserError(
                f"无法识别的错误比例 {part}",
                f"not a share of faults: {part}",
                f"可用 available: {', '.join(f'{known}={value}' for known, value in asdict(FaultShares()).items())}",
                ExitCode.USAGE,
            ) from error
    return FaultShares(**values)


def write_sample(
    folder: Path, messages: Iterable[SampleMessage], catalog: Catalog, pii_key: bytes, made_with: Mapping[str, Any]
) -> dict[str, Any]:
    """Write everything about *messages* to *folder*, which is made, and return the summary.

    Files: ``messages.parquet``, ``<dataset>.jsonl``, ``oracle-*.parquet`` and ``sample.json``, which also holds
    *made_with*. Existing files are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    oracle = Oracle(catalog, pii_key)
    bodies = BodyEncoder(catalog)
    rows: list[tuple[Any, ...]] = []
    with ExitStack() as stack:
        table = stack.enter_context(pq.ParquetWriter(folder / MESSAGES_FILE, _MESSAGES, compression="zstd"))
        lines = {
            dataset.code: stack.enter_context((folder / f"{dataset.code}.jsonl").open("wb")) for dataset in catalog
        }
        for message in oracle.watch(messages):
            lines[message.dataset].write(_line(message))
            rows.append(_row(message, bodies))
            if len(rows) == _CHUNK:
                table.write_table(_table(rows))
                rows.clear()
        if rows:
            table.write_table(_table(rows))
    answers = oracle.answers()
    answers.write(folder)
    summary = {"made_with": dict(made_with)} | summarise(answers)
    (folder / SUMMARY_FILE).write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    return summary


def read_messages(folder: Path) -> Iterator[SampleMessage]:
    """The messages of a written sample, ready to be sent; raises FileNotFoundError.

    They come as bytes: ``record`` is None, and of ``expected`` only the verdict is known. The answers are in the files
    of the oracle.
    """
    for batch in pq.ParquetFile(folder / MESSAGES_FILE).iter_batches(_CHUNK):
        for row in batch.to_pylist():
            verdict: Verdict = row["verdict"]
            yield SampleMessage(
                seq=row["seq"],
                dataset=row["dataset"],
                key=row["key"],
                unit=row["unit"],
                record=None,
                raw=RawValue(row["schema"], row["body"]),
                expected=Expected(verdict),
                trait="report",
            )


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary of a written sample; raises FileNotFoundError."""
    summary: dict[str, Any] = orjson.loads((folder / SUMMARY_FILE).read_bytes())
    return summary


def summarise(answers: Answers) -> dict[str, Any]:
    """Counts of messages by dataset and verdict, by what they are, and by rule or reason; and of what stands."""
    verdicts = answers.verdicts
    by_dataset: dict[str, dict[str, int]] = {dataset.code: {} for dataset in answers.catalog}
    for dataset, verdict, count in verdicts.group_by("dataset", "verdict").len().sort("dataset", "verdict").iter_rows():
        by_dataset[dataset][verdict] = count
    broken = Counter(rule for rules in verdicts["rules"] for rule in rules.split())
    kinds = Counter({"": 0})
    for rule, count in broken.items():
        kinds[rule.split(".")[2] if "." in rule else rule] += count
    del kinds[""]
    return {
        "messages": verdicts.height,
        "units": verdicts.filter(pl.col("unit") != "")["unit"].n_unique(),
        "subjects": len(answers.subjects),
        "standing": {dataset: frame.height for dataset, frame in answers.records.items()},
        "datasets": by_dataset,
        "traits": dict(sorted(verdicts["trait"].value_counts().iter_rows())),
        "kinds": dict(kinds.most_common()),
        "rules": dict(sorted(broken.items())),
    }


def made_with(seed: int, records: int, today: date, shares: FaultShares) -> dict[str, Any]:
    """What a sample was made with, for its summary."""
    return {"seed": seed, "records": records, "today": today.isoformat(), "faults": asdict(shares)}


def _line(message: SampleMessage) -> bytes:
    """One message for people: a record with its right answer."""
    expected = message.expected
    content = {
        "seq": message.seq,
        "trait": message.trait,
        "verdict": expected.verdict,
        "rules": sorted(expected.rules) or ([expected.reason] if expected.reason else []),
        "record": message.record,
    }
    return orjson.dumps(content, default=str, option=orjson.OPT_APPEND_NEWLINE)


def _row(message: SampleMessage, bodies: BodyEncoder) -> tuple[Any, ...]:
    raw = message.raw
    if message.record is not None:
        raw = RawValue(message.dataset, bodies.encode(message.dataset, message.record))
    schema, body = (raw.schema, raw.body) if raw else (None, None)
    return message.seq, message.dataset, message.unit, message.key, schema, body, message.expected.verdict


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(zip(*rows, strict=True), _MESSAGES.types, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in columns], schema=_MESSAGES)
