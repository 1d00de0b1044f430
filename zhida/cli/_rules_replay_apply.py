"""``zhida rules replay --apply``: the differences judged again for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zhida.cli._console import console, table, verdict_text
from zhida.errors import ExitCode, UserError

if TYPE_CHECKING:
    from rules.ruleset import RuleSet
    from schemas.release import Release
    from zhida.replaying.applying import Applied
    from zhida.replaying.report import Report
    from zhida.settings import Settings


def refuse_unless_in_force(settings: Settings, rule_set: RuleSet, in_force: RuleSet) -> None:
    """Raises UserError where nobody would judge again, or by other rules than these."""
    from zhida.replaying.report import same_content

    if not same_content(rule_set, in_force):
        raise UserError(
            f"规则库 {rule_set.version} 没有生效（生效的是 {in_force.version}），不能据以更正结论",
            f"rule set {rule_set.version} is not in force ({in_force.version} is): nothing is judged again by it",
            "先发布 publish it first: zhida rules publish --apply",
        )
    if not settings.govern_state:
        raise UserError(
            "设置 ZHIDA_GOVERN_STATE 为关闭，治理进程不会重判",
            "ZHIDA_GOVERN_STATE is off: no govern worker judges anything again",
            "ZHIDA_GOVERN_STATE=true",
            ExitCode.USAGE,
        )


def carry_out(settings: Settings, release: Release, report: Report, wait: float, *, shown: bool) -> Applied:
    """Have the differences judged again, with a progress bar where *shown*."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from streams.state.due import DueList
    from streams.state.errors import StateError
    from zhida.replaying.applying import apply

    due = DueList(settings.redis())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console(stderr=True), transient=True, disable=not shown) as bar:
            task = bar.add_task("更正 judging again", total=report.changed)
            return apply(
                settings.kafka(),
                [release.catalog[code] for code in report.datasets],
                due,
                report,
                patience=wait,
                done=lambda count: bar.update(task, completed=count),
            )
    except StateError as error:
        raise UserError(f"Redis：{error}", f"Redis: {error}", "zhida status", ExitCode.UNREACHABLE) from error
    finally:
        due.close()


def show_plan(report: Report) -> None:
    """What ``--yes`` would do."""
    console().print(
        f"将重判 {report.changed:,} 条记录，按生效的规则库给出新的结论并通知单位；执行请加 --yes\n"
        f"{report.changed:,} records would be judged again and their units told; add --yes to do it",
        style="yellow",
    )


def show_applied(applied: Applied) -> None:
    """What became of it."""
    out = console()
    shown = table("", ">记录 records", title="更正 Judged again")
    shown.add_row("与预计相同 as foretold", f"{applied.expected:,}")
    for (expected, now), count in sorted(applied.differing.items()):
        label = f"预计 {verdict_text(expected)[0]}，实为 {verdict_text(now)[0]} otherwise"
        shown.add_row(label, f"{count:,}", style="yellow")
    if applied.kept:
        shown.add_row("没有新结论：已有新版本，或原消息已不在 no new verdict", f"{applied.kept:,}", style="dim")
    out.print(shown)
    for sample in applied.samples:
        out.print(f"zhida rules explain {sample}", soft_wrap=True)
    if applied.left:
        out.print(
            f"时间已到，还有 {applied.left:,} 条待重判；治理进程会继续。Time is up; the workers go on with the rest.",
            style="red",
        )
