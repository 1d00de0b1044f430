"""``zhida catalog publish``: shows what would change, and with ``--apply`` changes it. Rules alone go the same way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhida.cli._console import console, print_json, table
from zhida.cli._wiring import load_settings, now_ms
from zhida.errors import ExitCode
from zhida.logging import configure

if TYPE_CHECKING:
    from schemas.registry.client import RegistryClient
    from zhida.in_force import Known
    from zhida.publishing.plan import Plan, Step
    from zhida.publishing.run import Outcome
    from zhida.settings import Settings

_KINDS = {
    "topic": "主题 topic",
    "config": "设置 config",
    "schema": "模式 schema",
    "clickhouse": "ClickHouse",
    "rules": "规则 rules",
    "catalog": "目录 catalog",
}
_SHOWN_DETAILS = 3


def publish(
    apply: Annotated[
        bool, typer.Option("--apply", "--yes", help="执行；不加则只显示计划。Do it; without, only the plan is shown.")
    ] = False,
    allow_removal: Annotated[
        bool, typer.Option("--allow-removal", help="允许停用文件中已没有的数据集。Let datasets end.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="最多等待多少秒，直到全部进程跟上。Wait so long for the workers.")
    ] = 60,
    json: Annotated[bool, typer.Option("--json", help="输出一个 JSON 对象。One JSON object.")] = False,
) -> None:
    """让运行中的平台按目录和规则文件运行；默认只显示计划。Make the running platform follow the files.

    先检查全部条件，有一项不满足就什么都不改；中途失败会列出已完成的步骤，再次运行即可补完。
    Everything that can forbid it is checked first, and then nothing is changed. What fails half-way is listed; running
    the command again completes it.

    例 Examples: zhida catalog publish; zhida catalog publish --apply

    退出码 Exit codes: 0 已完成、无需改变或仅显示计划 done, nothing to do, or only shown; 1 不能发布或未完成 refused or
    incomplete; 3 有部分不可达 something does not answer.
    """
    from zhida.in_force import read_known
    from zhida.preparation import files_refused
    from zhida.publishing.plan import make_plan
    from zhida.source import FilesError, load_files

    began = time.monotonic()
    configure(json=False, level="warning")
    settings = load_settings()
    try:
        files = load_files(settings)
    except FilesError as error:
        raise files_refused(error) from error
    known = read_known(settings.kafka())

    def plan(registry: RegistryClient) -> Plan:
        return make_plan(settings, files, known, registry, now_ms(), allow_removal=allow_removal)

    run_plan(settings, known, plan, apply=apply, wait=wait, json=json, began=began)


def run_plan(
    settings: Settings,
    known: Known,
    make: Callable[[RegistryClient], Plan],
    *,
    apply: bool,
    wait: float,
    json: bool,
    began: float,
) -> None:
    """Show the plan that *make* makes and, with *apply*, carry it out; raises typer.Exit when it is not all done.

    *began* is what ``time.monotonic`` said at the start of the command.
    """
    from schemas.registry.client import RegistryClient
    from zhida.publishing.run import Outcome, carry_out

    with RegistryClient(settings.registry()) as registry:
        plan = make(registry)
        outcome = Outcome(left=list(plan.steps))
        carried_out = apply and bool(plan.steps) and not plan.refused
        if not json:
            _show_plan(plan, known.broken, full=not carried_out)
        if carried_out:
            report = _silent if json else _show_done
            outcome = carry_out(plan, settings.kafka(), patience=wait, report=report)
    seconds = time.monotonic() - began
    if json:
        print_json(_as_json(plan, outcome, known.broken, seconds, carried_out=carried_out))
    else:
        _show_result(plan, outcome, seconds, carried_out=carried_out)
    if plan.refused or not outcome.ok:
        raise typer.Exit(ExitCode.FAILED)


def _silent(step: Step) -> None:
    """For programs, which are told at the end."""


def _show_plan(plan: Plan, broken: dict[str, str], *, full: bool) -> None:
    out = console()
    for where, reason in broken.items():
        out.print(f"不能使用的发布 unusable announcement {where}: {reason}", style="yellow", soft_wrap=True)
    for zh, en in plan.notes:
        out.print(f"注意 note: {zh}。{en}", style="yellow", soft_wrap=True)
    for zh, en in plan.refused:
        out.print(f"不能发布 refused: {zh}。{en}", style="red", soft_wrap=True)
    if not full or not plan.steps:
        return
    shown = table("步骤 step", "对象 what", "内容 change", title="发布计划 Plan")
    for step in plan.steps:
        details = list(step.details[:_SHOWN_DETAILS])
        if len(step.details) > _SHOWN_DETAILS:
            details.append(f"… {len(step.details) - _SHOWN_DETAILS} more")
        cut = (detail if len(detail) <= 160 else detail[:160] + "…" for detail in details)
        shown.add_row(_KINDS[step.kind], step.name, "\n".join([f"{step.zh} {step.en}", *cut]))
    out.print(shown)


def _show_done(step: Step) -> None:
    console().print(f"已完成 done  {_KINDS[step.kind]}  {step.name}  {step.zh} {step.en}", soft_wrap=True)


def _show_result(plan: Plan, outcome: Outcome, seconds: float, *, carried_out: bool) -> None:
    out = console()
    if plan.refused:
        out.print("什么都没有改变。Nothing was changed.", style="red")
        return
    if not plan.steps:
        catalog, rules = plan.before
        out.print(f"目录 {catalog}、规则库 {rules} 已生效，无需改变。All is in force; nothing to do.", style="green")
        return
    if not carried_out:
        out.print("以上仅为计划，执行请加 --apply。This is only the plan; --apply carries it out.")
        return
    if outcome.failed is not None:
        error = f"{type(outcome.error).__name__}: {outcome.error}"
        out.print(f"失败 failed  {_KINDS[outcome.failed.kind]}  {outcome.failed.name}: {error}", style="red")
    for one in outcome.late:
        why = one.error or "没有回应 no answer"
        at = f"目录 catalog {one.catalog}，规则 rules {one.rules}"
        out.print(f"未跟上 does not follow  {one.client}（{at}）: {why}", style="red", soft_wrap=True)
    if outcome.left:
        left = "; ".join(f"{step.kind} {step.name}" for step in outcome.left)
        out.print(f"未完成 not done: {left}", style="red", soft_wrap=True)
        out.print("排除原因后再次运行即可补完。Remove the cause and run the command again: it does the rest.")
        return
    who = (
        f"{len(outcome.followers)} 个角色已跟上 roles follow" if outcome.followers else "没有运行中的角色 no role runs"
    )
    catalog, rules = plan.after
    out.print(f"目录 catalog {catalog}、规则库 rules {rules} 已生效，{who}，{seconds:.1f} s", style="green")


def _as_json(
    plan: Plan, outcome: Outcome, broken: dict[str, str], seconds: float, *, carried_out: bool
) -> dict[str, Any]:
    failed = outcome.failed
    return {
        "applied": carried_out,
        "ok": outcome.ok and not plan.refused,
        "before": {"catalog": plan.before[0], "rules": plan.before[1]},
        "after": {"catalog": plan.after[0], "rules": plan.after[1]},
        "steps": [step.as_json() for step in plan.steps],
        "refused": [{"zh": zh, "en": en} for zh, en in plan.refused],
        "notes": [{"zh": zh, "en": en} for zh, en in plan.notes],
        "broken": broken,
        "done": [f"{step.kind} {step.name}" for step in outcome.done],
        "failed": {"step": f"{failed.kind} {failed.name}", "error": str(outcome.error)} if failed else None,
        "left": [f"{step.kind} {step.name}" for step in outcome.left],
        "followers": [
            {"client": one.client, "role": one.role, "follows": one.uses(plan.after), "error": one.error}
            for one in outcome.followers
        ],
        "seconds": round(seconds, 3),
    }
