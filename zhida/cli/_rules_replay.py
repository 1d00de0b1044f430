"""``zhida rules replay``: what other rules would have said of stored history."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhida.cli._console import console, print_json, table, verdict_text
from zhida.cli._wiring import dataset_or_usage_error, load_settings, now_ms
from zhida.errors import ExitCode, UserError
from zhida.logging import configure

if TYPE_CHECKING:
    from rules.ruleset import RuleSet
    from schemas.catalog import Dataset
    from schemas.connection import KafkaConnection
    from streams.state.store import RedisState
    from zhida.in_force import InForce
    from zhida.replaying.applying import Applied
    from zhida.replaying.report import Report
    from zhida.replaying.run import Replay, Watch
    from zhida.settings import Settings

_CHINA = timezone(timedelta(hours=8))
_SHOWN_UNITS = 20
_SHOWN_RULES = 60
_KINDS = {"verdict": "结论不同 verdict", "rules": "原因不同 reasons", "wording": "仅文字不同 wording"}
_HOW = {"added": "新增 added", "removed": "删除 removed", "changed": "修改 changed", "same": "未改 same"}
_CHANGES = {"broken": "将违反 broken", "mended": "不再违反 mended", "reworded": "文字 reworded"}


def replay(
    first: Annotated[
        str, typer.Option("--from", help="起始日期或时间（北京时间）。First day, or ISO moment, in China.")
    ],
    last: Annotated[
        str, typer.Option("--to", help="截止日期（含当日）或时间，默认现在。Last day, or up to before a moment; now.")
    ] = "",
    rules: Annotated[
        str,
        typer.Option("--rules", help="规则文件目录，或已发布的编号；默认规则文件。Folder of rule files, or a number."),
    ] = "",
    dataset: Annotated[
        list[str] | None, typer.Option(help="只看这些数据集（可重复）。These datasets only; may be repeated.")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="每条规则的示例数。Samples a rule.")] = 3,
    apply: Annotated[
        bool, typer.Option("--apply", help="重判有不同的记录，更正结论并反馈。Judge again what differs, for good.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="与 --apply 同用：执行；不加则只显示计划。With --apply: do it.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="更正最多等待多少秒。Wait so long for the workers that judge again.")
    ] = 600,
    purpose: Annotated[str, typer.Option(help="查询用途，写入审计日志。Purpose, for the audit log.")] = "",
    json: Annotated[bool, typer.Option("--json", help="输出 JSON。As JSON.")] = False,
) -> None:
    """用另一套规则重判历史记录，报告结论会有哪些不同；不改变任何结论。What other rules would have said of history.

    读取报送主题中仍保留的记录，按原判定当日判断，与实际结论比较；按规则、单位、设区市汇总，附示例（不含个人信息）。
    Records that the report topics still hold are judged as of the day of their verdict and compared with it.

    --apply --yes 重判有不同的记录；只能用生效的规则库。puts right what differs, by the rules in force alone.

    例 Example: zhida rules replay --rules rules/library --from 2026-01-01 --to 2026-01-31

    退出码 Exit codes: 0 没有不同，或已全部更正 nothing would change, or all was put right; 6 有不同 something would
    change; 1 更正未完成或与预计不符 not all was put right; 其他同各命令 others as everywhere.
    """
    configure(json=False, level="info")
    settings = load_settings()
    start, end = parse_moment(first, "--from"), parse_moment(last, "--to", last=True) if last else now_ms()
    if start >= end:
        raise UserError("起始时间不早于截止时间", "--from is not before --to", "", ExitCode.USAGE)
    if yes and not apply:
        raise UserError("--yes 须与 --apply 同用", "--yes goes with --apply", "", ExitCode.USAGE)
    job, chosen = _job(settings, rules, dataset or [], samples)
    if apply:
        from zhida.cli._rules_replay_apply import refuse_unless_in_force

        assert job.in_force is not None
        refuse_unless_in_force(settings, job.rule_set, job.in_force)
    action = "rules replay --apply" if apply and yes else "rules replay"
    _audit(action, job.rule_set.version, start, end, [one.code for one in chosen], purpose)
    report = _replay(job, chosen, start, end, shown=not json)
    applied = None
    if apply and yes and report.changed:
        from zhida.cli._rules_replay_apply import carry_out

        if not json:
            _show(report)
        applied = carry_out(settings, job.release, report, wait, shown=not json)
    _tell(report, applied, json=json, planned=apply and not yes)
    if applied is not None:
        raise typer.Exit(ExitCode.OK if applied.ok else ExitCode.FAILED)
    raise typer.Exit(ExitCode.WOULD_CHANGE if report.changed else ExitCode.OK)


def _tell(report: Report, applied: Applied | None, *, json: bool, planned: bool) -> None:
    from zhida.cli._rules_replay_apply import show_applied, show_plan

    if json:
        print_json(report.as_json() | {"applied": applied.as_json() if applied else None})
        return
    if applied is not None:
        show_applied(applied)
        return
    _show(report)
    if planned and report.changed:
        show_plan(report)


def parse_moment(text: str, option: str, *, last: bool = False) -> int:
    """Milliseconds since the epoch of a day or an ISO moment, in China's time where none is said.

    A day begins at its midnight; as the *last* of a range it is included, so the moment is that of the next.
    Raises UserError.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{option} 不是日期或时间：{text[:40]}",
            f"{option} is no day and no ISO moment: {text[:40]}",
            "2026-01-31、2026-01-31T08:30",
            ExitCode.USAGE,
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_CHINA)
    if last and len(text) <= len("2026-01-31"):
        moment += timedelta(days=1)
    return round(moment.timestamp() * 1000)


def _job(settings: Settings, rules: str, codes: list[str], samples: int) -> tuple[Replay, list[Dataset]]:
    """The replay that is asked for, and its datasets; raises UserError."""
    from rules.errors import RuleError
    from rules.ruleset import RuleSet
    from schemas.registry.client import RegistryClient
    from zhida.replaying.run import Replay

    kafka = settings.kafka()
    in_force = _in_force(kafka)
    release = in_force.release
    chosen = [dataset_or_usage_error(release.catalog, code) for code in codes] or list(release.catalog)
    try:
        current = RuleSet.from_document(in_force.rules, release.catalog)
        rule_set = load_rules(settings, rules, in_force, current)
        for dataset in chosen:
            rule_set.dataset(dataset.code)
    except RuleError as error:
        raise UserError(f"规则库不能使用：\n{error}", "the rules cannot be used", "zhida rules lint") from error
    job = Replay(
        kafka,
        RegistryClient(settings.registry()),
        release,
        rule_set,
        current,
        settings.max_record_bytes,
        state=_state(settings),
        batch=settings.govern_batch_records,
        samples=samples,
    )
    return job, chosen


def _state(settings: Settings) -> RedisState | None:
    """What rules over several records ask; None, and a line in the log, where it cannot be asked."""
    import structlog

    from streams.state.errors import StateError
    from zhida.roles.govern import open_state

    try:
        return open_state(settings)
    except StateError as error:
        structlog.get_logger("replay").warning("rules that ask about other records are left out", reason=str(error))
        return None


def _replay(job: Replay, chosen: list[Dataset], start: int, end: int, *, shown: bool) -> Report:
    try:
        with _progress(shown=shown) as watch:
            return job.run(chosen, start, end, watch)
    finally:
        job.registry.close()


def load_rules(settings: Settings, rules: str, in_force: InForce, current: RuleSet) -> RuleSet:
    """The rules in a folder, or announced under a number, compiled for the release in force; *current* where they are
    those. Raises RuleError and UserError.
    """
    from rules.document import RuleDocument
    from rules.ruleset import LIBRARY_DIR, RuleSet
    from zhida.publishing.rule_sets import announced_rules

    catalog = in_force.release.catalog
    if rules.isascii() and rules.isdigit():
        document = announced_rules(settings.kafka(), int(rules))
    else:
        folder = Path(rules) if rules else settings.rules_dir or LIBRARY_DIR
        if not folder.is_dir():
            raise UserError(f"没有目录 {folder}", f"no such folder: {folder}", "", ExitCode.NOT_FOUND)
        document = RuleDocument.read(folder)
    if (document.number, document.files) == (in_force.rules.number, in_force.rules.files):
        return current
    if rules.isascii() and rules.isdigit():
        return RuleSet.from_document(document, catalog)
    # From the folder itself, so that what is wrong is said of its files.
    return RuleSet.load(catalog, folder)


def _in_force(kafka: KafkaConnection) -> InForce:
    from zhida.in_force import read_known

    found = read_known(kafka).in_force()
    if found is None:
        raise UserError(
            "还没有发布过目录", "no catalog has been published yet", "zhida catalog publish", ExitCode.NOT_FOUND
        )
    return found


def _audit(action: str, version: str, start: int, end: int, datasets: list[str], purpose: str) -> None:
    """One line in the log: who reads which records, and what for."""
    import structlog

    structlog.get_logger("audit").info(
        action,
        who=os_user(),
        rules=version,
        start=_moment(start),
        end=_moment(end),
        datasets=",".join(datasets),
        purpose=" ".join(purpose.split())[:200],
    )


def os_user() -> str:
    """The operating system's name of whoever runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "?"


@contextmanager
def _progress(*, shown: bool) -> Iterator[Watch]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from zhida.replaying.run import Watch

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task("重判 replaying", total=None)
        yield Watch(lambda total: bar.update(task, total=total), lambda count: bar.advance(task, count))


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, _CHINA).strftime("%Y-%m-%d %H:%M:%S")


def _show(report: Report) -> None:
    out, tally = console(), report.tally
    same = tally.compared - tally.changed
    shown = table(
        "", ">记录 records", title=f"规则库 {report.rule_set} 重判 {_moment(report.start)} — {_moment(report.end)}"
    )
    shown.add_row("读取 read", f"{tally.read:,}")
    shown.add_row("相同 same", f"{same:,}")
    for (kind, was, now), count in sorted(tally.verdicts.items()):
        label = f"{_KINDS[kind]}：{verdict_text(was)[0]} → {verdict_text(now)[0]}"
        shown.add_row(label, f"{count:,}", style=verdict_text(now)[1])
    if tally.waiting:
        shown.add_row("尚未判定，未比较 not judged yet", f"{tally.waiting:,}", style="dim")
    if tally.unknown:
        shown.add_row("结论已不在主题中，未比较 verdict no longer kept", f"{tally.unknown:,}", style="dim")
    out.print(shown)
    _show_rules(report)
    _show_places(report)
    _show_samples(report)
    _show_notes(report)
    rate = f"{report.rate:,.0f} 条/秒 records/s" if tally.compared else ""
    out.print(f"{tally.changed:,} 条会有不同 would change，{report.seconds:.1f} s，{rate}".rstrip("，"))


def _show_rules(report: Report) -> None:
    if not report.rules:
        return
    shown = table("规则 rule", "规则库 set", *(f">{name}" for name in _CHANGES.values()), title="按规则 By rule")
    for row in report.rules[:_SHOWN_RULES]:
        counts = (f"{row[change]:,}" for change in _CHANGES)
        shown.add_row(row["rule"], _HOW.get(row["how"], ""), *counts)
    _print(shown, len(report.rules) - _SHOWN_RULES)


def _show_places(report: Report) -> None:
    for rows, code, title in ((report.cities, "city", "按设区市 By city"), (report.units, "unit", "按单位 By unit")):
        if not rows:
            continue
        shown = table("", *(f">{name}" for name in _KINDS.values()), title=title)
        for row in rows[:_SHOWN_UNITS]:
            counts = (f"{row[kind]:,}" for kind in _KINDS)
            shown.add_row(f"{row['name']} {row[code]}".strip() or "不明 unknown", *counts)
        _print(shown, len(rows) - _SHOWN_UNITS)


def _show_samples(report: Report) -> None:
    if not report.tally.samples:
        return
    shown = table("反馈 feedback", "结论 verdict", "规则 rule", "值 value", "提示 message", title="示例 Samples")
    for one in report.tally.samples:
        verdicts = f"{verdict_text(one.was)[0]}\n→ {verdict_text(one.now)[0]}"
        shown.add_row(one.feedback_id, verdicts, f"{_CHANGES[one.change]}\n{one.rule}", one.value, one.message_zh)
    console().print(shown)


def _show_notes(report: Report) -> None:
    out = console()
    if report.tally.gone:
        kept: list[Any] = [one.since for one in report.tally.gone if one.since is not None]
        since = _moment(min(kept)) if kept else "—"
        zh = f"注意：{len(report.tally.gone)} 个分区中起始时间以后的部分记录可能已超过保留期，现存最早为 {since}"
        en = f"note: in {len(report.tally.gone)} partitions the range begins before what is kept, from {since} on"
        out.print(
            f"{zh}；报告只含现存记录。\n{en}. The report covers what is left.",
            style="yellow",
            soft_wrap=True,
        )
    if report.left_out:
        out.print(
            f"未比较需查询其他记录的 {len(report.left_out)} 条规则（两边都不计）：{', '.join(report.left_out)}\n"
            f"note: {len(report.left_out)} rules that ask about other records are left out on both sides.",
            style="yellow",
            soft_wrap=True,
        )


def _print(shown: Any, more: int) -> None:
    out = console()
    out.print(shown)
    if more > 0:
        out.print(f"… 另有 {more:,} 行，见 more with --json")
