"""查看本单位的即时反馈。What became of the records of a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from zhida.cli._console import console, local_time, print_json, verdict_text
from zhida.cli._wiring import load_settings, load_units

if TYPE_CHECKING:
    from rich.console import Console

    from schemas.catalog import Catalog
    from schemas.verdict import Feedback

app = typer.Typer()


@app.command()
def follow(
    unit: Annotated[str, typer.Option("--unit", "-u", help="报送单位的统一社会信用代码。USCC of the unit.")],
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="从最早的反馈开始。From the oldest feedback.")
    ] = False,
    group: Annotated[
        str | None, typer.Option(help="消费组：下次从上次读到的地方继续。Group that remembers the position.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="读到多少条后结束。End after so many.")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="多少秒没有新反馈后结束。End after so many idle seconds.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="每条反馈一行 JSON。One JSON object a line.")] = False,
) -> None:
    """持续显示一个单位的反馈：退回、疑问和隔离的记录及原因。Follow a unit's feedback as it comes.

    例 Example: zhida feedback follow --unit 11320100010564360Y --from-beginning --timeout 5
    """
    from connectors.base import known_unit
    from connectors.feedback import FeedbackConfig, FeedbackReader, as_event
    from schemas.catalog import Catalog

    config = FeedbackConfig(
        unit=known_unit(load_units(), unit),
        from_beginning=from_beginning,
        group=group,
        limit=limit,
        timeout_seconds=timeout,
    )
    out, notes = console(), console(stderr=True)
    catalog = Catalog.load()

    def waiting() -> None:
        notes.print("该单位还没有反馈，等待中…… No feedback for this unit yet; waiting.")

    def unreadable(offset: int, reason: str) -> None:
        notes.print(f"第 {offset} 条反馈无法解析，已跳过 unreadable, skipped: {reason}", style="red")

    kafka = load_settings().kafka()
    with FeedbackReader(kafka, config, on_waiting=waiting, on_unreadable=unreadable) as reader:
        for feedback in reader.follow():
            if json:
                print_json(as_event(feedback))
            else:
                _show(out, feedback, catalog)


def _show(out: Console, feedback: Feedback, catalog: Catalog) -> None:
    label, colour = verdict_text(feedback.verdict)
    dataset = next((known for known in catalog if known.code == feedback.dataset), None)
    title = dataset.zh if dataset else feedback.dataset
    record = feedback.record_id or "编号不明 unknown"
    delay = feedback.governed_at - feedback.reported_at
    out.print(
        f"{local_time(feedback.governed_at)}  {label}  {title}  记录 record {record}"
        f"  版本 version {feedback.version or '-'}  用时 took {delay} ms",
        style=colour,
    )
    if feedback.verdict == "accepted":
        out.print("    重新判定：原先的疑问已消除，无需处理 judged again: no longer in doubt, nothing to do")
    for violation in feedback.violations:
        field = dataset.by_name.get(violation.field) if dataset else None
        name = f"{field.zh} {field.name}" if field else violation.field
        value = f"“{violation.value}”" if violation.value else ""
        out.print(f"    {name} {value}".rstrip())
        out.print(f"      {violation.message_zh}")
        out.print(f"      {violation.message_en}  [{violation.rule}]", style="dim")
