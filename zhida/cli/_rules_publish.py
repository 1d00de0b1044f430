"""``zhida rules diff | publish | rollback | shadow``: rule sets on the running platform."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhida.cli._catalog_publish import run_plan
from zhida.cli._console import console, local_time, print_json, table
from zhida.cli._wiring import load_settings, now_ms
from zhida.errors import ExitCode, UserError
from zhida.logging import configure

if TYPE_CHECKING:
    from rules.document import RuleDocument
    from rules.errors import RuleError
    from schemas.connection import KafkaConnection
    from schemas.registry.client import RegistryClient
    from zhida.in_force import InForce, Known
    from zhida.publishing.plan import Plan
    from zhida.settings import Settings
    from zhida.source import Files

_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。As JSON.")]
_Apply = Annotated[
    bool, typer.Option("--apply", "--yes", help="执行；不加则只显示计划。Do it; without, only the plan is shown.")
]
_Wait = Annotated[float, typer.Option(min=0, help="最多等待多少秒，直到全部进程跟上。Wait so long for the workers.")]
_CHANGES = {"added": ("新增 added", "green"), "removed": ("删除 removed", "red"), "changed": ("修改 changed", "yellow")}


def diff(
    old: Annotated[int | None, typer.Argument(min=1, help="规则库编号，默认生效的。A number; in force.")] = None,
    new: Annotated[int | None, typer.Argument(min=1, help="规则库编号，默认文件。A number; the files.")] = None,
    json: _Json = False,
) -> None:
    """比较两个规则库；默认比较生效的与文件中的。Compare rule sets: the one in force with the files, or by number.

    例 Examples: zhida rules diff; zhida rules diff 3 4
    """
    from rules.diff import compare_rules
    from rules.document import RuleDocument
    from rules.errors import RuleError

    settings = load_settings()
    try:
        before = _in_force(_known(settings)).rules if old is None else _numbered(settings.kafka(), old)
        after = RuleDocument.read(_folder(settings)) if new is None else _numbered(settings.kafka(), new)
        changes = compare_rules(before, after)
    except RuleError as error:
        raise _refused(error) from error
    if json:
        for change in changes:
            print_json({"dataset": change.dataset, "rule": change.rule, "kind": change.kind, "changes": change.details})
        return
    name = f"{after.number}" if new is not None else f"文件 files ({after.number})"
    shown = table("规则 rule", "", "内容 what", title=f"规则库 rule sets {before.number} → {name}")
    for change in changes:
        kind, colour = _CHANGES[change.kind]
        shown.add_row(change.rule, kind, "\n".join(change.details), style=colour)
    if changes:
        console().print(shown)
    console().print(f"{len(changes)} 条规则不同 rules differ")


def publish(apply: _Apply = False, wait: _Wait = 60, json: _Json = False) -> None:
    """发布规则文件，目录不变；默认只显示计划。Publish the rule files under the catalog that is in force.

    不能编译的规则不会发布；规则有变化时须提高 _library.yaml 中的 number。
    Rules that do not compile are refused. Where rules have changed, number in _library.yaml must be raised.

    例 Examples: zhida rules publish; zhida rules publish --apply

    退出码 Exit codes: 0 已完成、无需改变或仅显示计划 done, nothing to do, or only shown; 1 不能发布或未完成 refused or
    incomplete; 3 有部分不可达 something does not answer.
    """
    from rules.errors import RuleError
    from zhida.publishing.rule_sets import from_folder

    began, settings = _begin()
    known = _known(settings)
    try:
        files = from_folder(_folder(settings), _in_force(known).release)
    except RuleError as error:
        raise _refused(error) from error
    _run(settings, known, files, apply=apply, wait=wait, json=json, began=began)


def rollback(
    number: Annotated[int, typer.Argument(min=1, help="要恢复的规则库编号。The rule set to go back to.")],
    apply: _Apply = False,
    wait: _Wait = 60,
    json: _Json = False,
) -> None:
    """以新编号重新发布以前的规则库。Announce an earlier rule set again, under the next number.

    文件不变：之后发布文件须用更高的编号。
    The files stay as they are: to publish them later they need a higher number.

    例 Example: zhida rules rollback 3 --apply
    """
    from rules.errors import RuleError
    from zhida.publishing.rule_sets import again

    began, settings = _begin()
    known = _known(settings)
    in_force = _in_force(known)
    try:
        earlier = _numbered(settings.kafka(), number)
        if earlier.digest == in_force.rules.digest:
            raise UserError(
                f"生效的就是规则库 {number} 的内容",
                f"rule set {number} says what is in force",
                "zhida rules diff",
            )
        files = again(earlier, known.highest_rules + 1, in_force.release)
    except RuleError as error:
        raise _refused(error) from error
    _run(settings, known, files, apply=apply, wait=wait, json=json, began=began)


def shadow(json: _Json = False) -> None:
    """试运行的规则会做什么：各治理进程自启用规则库以来的计数。What shadow rules would have done, by worker.

    例 Example: zhida rules shadow
    """
    from zhida.publishing.shadow import read_shadow

    shown = table(
        "规则 rule",
        "若生效 would",
        ">违反 broken",
        ">已判 judged",
        "自 since",
        "例 examples",
        "进程 worker",
    )
    found = read_shadow(load_settings().kafka())
    for one in found:
        if json:
            print_json(one.as_json())
            continue
        would = "退回 reject" if one.severity == "reject" else "疑问 suspect"
        cells = (f"{one.broken}", f"{one.judged}", local_time(one.since)[:19], "\n".join(one.samples[:2]))
        shown.add_row(one.rule, would, *cells, f"{one.rule_set}\n{one.client}")
    if json:
        return
    if found:
        console().print(shown)
    else:
        console().print("没有试运行规则的计数 no shadow rule has been evaluated")


def _begin() -> tuple[float, Settings]:
    began = time.monotonic()
    configure(json=False, level="warning")
    return began, load_settings()


def _run(settings: Settings, known: Known, files: Files, **options: Any) -> None:
    from zhida.publishing.rule_sets import plan_rules

    def plan(registry: RegistryClient) -> Plan:
        return plan_rules(settings, files, known, registry, now_ms())

    if not options["json"]:
        digest = files.rules.digest
        console().print(f"规则库 rule set {files.rule_set.version}，SHA-256 {digest}", soft_wrap=True)
    run_plan(settings, known, plan, **options)


def _folder(settings: Settings) -> Path:
    from rules.ruleset import LIBRARY_DIR

    return settings.rules_dir or LIBRARY_DIR


def _known(settings: Settings) -> Known:
    from zhida.in_force import read_known

    return read_known(settings.kafka())


def _in_force(known: Known) -> InForce:
    found = known.in_force()
    if found is None:
        raise UserError(
            "还没有发布过目录", "no catalog has been published yet", "zhida catalog publish", ExitCode.NOT_FOUND
        )
    return found


def _numbered(kafka: KafkaConnection, number: int) -> RuleDocument:
    from zhida.publishing.rule_sets import announced_rules

    return announced_rules(kafka, number)


def _refused(error: RuleError) -> UserError:
    return UserError(f"规则库不能使用：\n{error}", "the rules cannot be used", "zhida rules lint")
