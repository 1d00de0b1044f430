"""报送 CSV 或 JSON Lines 文件。Report a file of records."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhida.cli._console import console, print_json, table, verdict_text
from zhida.cli._wiring import connector_wiring, dataset_or_usage_error, load_settings, release_in_force
from zhida.errors import ExitCode

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from connectors.base import Wiring
    from connectors.file import Counts, FileReport, Refusal, Watch
    from schemas.verdict import Feedback

_SHOWN = 20


class _Encoding(StrEnum):
    auto = "auto"
    utf8 = "utf-8"
    gb18030 = "gb18030"
    utf16 = "utf-16"


class _Format(StrEnum):
    auto = "auto"
    csv = "csv"
    jsonl = "jsonl"


def command(
    dataset: Annotated[str, typer.Argument(help="数据集编码或名称，如 administrative_penalty。Dataset.")],
    file: Annotated[Path, typer.Argument(help="CSV 或 JSON Lines 文件，可为 .gz。The file, gzip or not.")],
    unit: Annotated[str, typer.Option("--unit", "-u", help="报送单位的统一社会信用代码。USCC of the reporting unit.")],
    errors: Annotated[
        Path | None, typer.Option(help="把未发送的行连同原因写入此 CSV。Write refused rows here.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="发送后最多等待多少秒，收集反馈。Wait so many seconds for feedback.")
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查，不发送。Check only.")] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="缺少必填列时仍报送。Send without required columns.")
    ] = False,
    encoding: Annotated[_Encoding, typer.Option(help="文件编码。The file's encoding.")] = _Encoding.auto,
    file_format: Annotated[_Format, typer.Option("--format", help="文件格式。The file's format.")] = _Format.auto,
    json: Annotated[bool, typer.Option("--json", help="每个事件一行 JSON。One JSON object a line.")] = False,
) -> None:
    """把一个文件的记录报送到数据集。Report the records of a file to a dataset.

    列名可以是字段编码或中文名称；无法识别的行不发送，逐行列出原因，其余照常发送。
    Columns are named by code or by Chinese label. Rows that cannot be read are not sent but listed; all others are.

    例 Example: zhida report administrative_penalty 处罚.csv --unit 11320100010564360Y --errors 未发送.csv

    退出码 Exit codes: 0 全部发送 all sent; 1 有行未发送 some rows refused; 3 Kafka 不可达 Kafka is out of reach.
    """
    from connectors.file import FileReport

    settings = load_settings()
    wiring = _wiring(settings, dry_run=dry_run)
    config = FileReport(
        dataset=dataset_or_usage_error(wiring.catalog, dataset).code,
        unit=unit,
        path=file,
        format=file_format.value,
        encoding=encoding.value,
        errors=errors,
        wait_seconds=wait,
        dry_run=dry_run,
        allow_missing=allow_missing,
        max_record_bytes=min(settings.max_record_bytes, 20_000_000),
    )
    counts = _run_json(config, wiring) if json else _run_shown(config, wiring)
    if counts.refused:
        raise typer.Exit(ExitCode.FAILED)


def _wiring(settings: Any, *, dry_run: bool) -> Wiring:
    """A dry run needs no broker, so that a file can be checked anywhere."""
    if not dry_run or settings.kafka_bootstrap:
        return connector_wiring(settings)
    return connector_wiring(settings.updated({"kafka_bootstrap": "127.0.0.1:9092"}), release_in_force(settings))


def _run_json(config: FileReport, wiring: Wiring) -> Counts:
    from connectors.feedback import as_event
    from connectors.file import Watch, report_file

    def refused(refusal: Refusal) -> None:
        print_json({"event": "refused", "line": refusal.line, "problems": [asdict(p) for p in refusal.problems]})

    def feedback(line: int, received: Feedback) -> None:
        print_json({**as_event(received), "line": line})

    counts = report_file(config, wiring, Watch(refused=refused, feedback=feedback))
    print_json({"event": "summary", **asdict(counts)})
    return counts


def _run_shown(config: FileReport, wiring: Wiring) -> Counts:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from connectors.file import report_file

    refused: list[Refusal] = []
    answers: list[tuple[int, Feedback]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        counts = report_file(config, wiring, _shown_watch(progress, refused, answers))
    _show_refused(refused, counts.refused, config.errors)
    _show_answers(answers)
    _show_summary(counts, config)
    return counts


def _shown_watch(progress: Progress, refused: list[Refusal], answers: list[tuple[int, Feedback]]) -> Watch:
    from connectors.file import Watch

    bars: list[TaskID] = []

    def keep(refusal: Refusal) -> None:
        if len(refused) < _SHOWN:
            refused.append(refusal)

    def advance(position: int, counts: Counts) -> None:
        progress.update(bars[0], completed=position, description=f"{counts.sent:,} 条已确认 confirmed")

    def answer(line: int, feedback: Feedback) -> None:
        if len(answers) < _SHOWN:
            answers.append((line, feedback))

    return Watch(
        started=lambda source: bars.append(progress.add_task("报送 reporting", total=source.size)),
        refused=keep,
        progress=advance,
        feedback=answer,
    )


def _show_refused(refused: list[Refusal], total: int, errors: Path | None) -> None:
    if not refused:
        return
    shown = table(">行 line", "列 column", "值 value", "原因 reason", title="未发送的行 Rows not sent")
    for refusal in refused:
        for problem in refusal.problems:
            shown.add_row(str(refusal.line), problem.column, problem.value, f"{problem.zh}\n{problem.en}")
    out = console()
    out.print(shown)
    if total > len(refused):
        where = f"，全部见 all in {errors}" if errors else "，加 --errors 文件名 可全部导出 writes all of them"
        out.print(f"… 另有 {total - len(refused):,} 行 more{where}")


def _show_answers(answers: list[tuple[int, Feedback]]) -> None:
    if not answers:
        return
    shown = table(">行 line", "结论 verdict", "字段 field", "原因 reason", title="反馈 Feedback")
    for line, feedback in answers:
        label, colour = verdict_text(feedback.verdict)
        for violation in feedback.violations:
            reason = f"{violation.message_zh}\n{violation.message_en}"
            shown.add_row(str(line), label, violation.field, reason, style=colour)
    console().print(shown)


def _show_summary(counts: Counts, config: FileReport) -> None:
    out = console()
    sent = "可发送 could be sent" if config.dry_run else "已确认 confirmed by Kafka"
    shown = table("", ">条 records", title=f"{config.path.name}（{counts.format}，{counts.encoding}）")
    shown.add_row("读取 read", f"{counts.read:,}")
    shown.add_row(sent, f"{counts.sent:,}")
    shown.add_row("未发送 refused", f"{counts.refused:,}", style="red" if counts.refused else None)
    for verdict, number in (counts.feedback or {}).items():
        label, colour = verdict_text(verdict)
        shown.add_row(f"反馈：{label}", f"{number:,}", style=colour)
    out.print(shown)
    if counts.feedback is not None and not counts.all_judged:
        out.print("等待时间已到，仍有记录尚未治理。Time is up; some records are not judged yet.", style="yellow")
    if config.errors and counts.refused:
        out.print(f"未发送的行已写入 {config.errors}，改正后可直接再次报送。Correct that file and report it.")
