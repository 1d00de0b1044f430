"""治理规则库：检查、样例、查看、比较、发布、回退、说明结论。The rule library: lint, test, show, publish, explain…"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhida.cli._console import console, print_json, table
from zhida.cli._rules_explain import explain
from zhida.cli._rules_publish import diff, publish, rollback, shadow
from zhida.cli._rules_replay import replay
from zhida.cli._wiring import dataset_or_usage_error, today_in_china
from zhida.errors import ExitCode, UserError

if TYPE_CHECKING:
    from rules.model import Rule
    from rules.mutants import Mutant
    from rules.ruleset import RuleSet

app = typer.Typer()
app.command()(diff)
app.command()(explain)
app.command()(publish)
app.command()(replay)
app.command()(rollback)
app.command()(shadow)

_Folder = Annotated[
    Path | None, typer.Option("--folder", help="规则文件所在目录（默认随平台发布的规则库）。Where the rule files are.")
]
_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。As JSON.")]

_SEVERITIES = {"reject": ("退回 reject", "red"), "suspect": ("疑问 suspect", "yellow")}

_STATUSES = {"draft": "草稿 draft", "shadow": "试运行 shadow", "retired": "停用 retired"}


@app.command()
def lint(folder: _Folder = None) -> None:
    """检查规则文件：结构、字段、参数、样例。Check the rule files: structure, fields, parameters, examples.

    例 Example: zhida rules lint
    """
    from rules import examples
    from schemas.catalog import Catalog

    catalog, place = Catalog.load(), _folder(folder)
    problems = examples.lint(catalog, place)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise UserError(
            f"规则库有 {len(problems)} 处问题",
            f"the rule library has {len(problems)} problems",
            "按上面列出的文件和行号修改 correct them at the files and lines above",
        )
    rule_set = _load(place)
    for warning in examples.calendar_warnings(rule_set, today_in_china()):
        typer.echo(f"注意 note: {warning}", err=True)
    typer.echo(f"规则库 {rule_set.version}：{len(rule_set)} 条规则，没有问题 {len(rule_set)} rules, no problems")


@app.command("test")
def run_tests(
    folder: _Folder = None,
    mutants: Annotated[
        bool,
        typer.Option(
            "--mutants",
            help="另将每条规则逐处改动，看样例能否发现。Also change every rule in one place at a time and see whether "
            "its examples notice.",
        ),
    ] = False,
    json: _Json = False,
) -> None:
    """运行规则文件中的样例，按行和按列各判一次，并报告样例的覆盖面。Judge the examples by row and by column; coverage.

    例 Example: zhida rules test --mutants
    """
    from rules.coverage import dataset_coverage, library_coverage
    from schemas.catalog import Catalog
    from zhida.cli._rules_coverage import show_coverage

    started = time.perf_counter()
    rule_set = _load(_folder(folder))
    found = [dataset_coverage(rules, rule_set) for rules in rule_set]
    wrong = [line for one in found for line in one.wrong]
    changed = _mutants(rule_set) if mutants and not wrong else None
    show_coverage(rule_set, found, library_coverage(Catalog.load(), found), changed, json)
    if not json:
        console().print(f"规则库 rule set {rule_set.version}，{time.perf_counter() - started:.1f} s")
    for line in wrong:
        typer.echo(line, err=True)
    if wrong:
        raise UserError(
            f"{len(wrong)} 个样例的结果与规则文件所写不符",
            f"{len(wrong)} examples do not come out as the rule files say",
            "zhida rules lint",
        )


@app.command()
def show(
    dataset: Annotated[str | None, typer.Argument(help="数据集编码或名称。Code or title of a dataset.")] = None,
    folder: _Folder = None,
    json: _Json = False,
) -> None:
    """列出规则；不写数据集时按数据集汇总。List the rules of a dataset, or count them by dataset.

    例 Example: zhida rules show administrative_penalty
    """
    from schemas.catalog import Catalog

    rule_set = _load(_folder(folder))
    if dataset is None:
        _show_all(rule_set, json)
        return
    rules = rule_set.dataset(dataset_or_usage_error(Catalog.load(), dataset).code)
    if json:
        for rule in rules.rules:
            print_json(_as_json(rule))
        return
    shown = table(
        "规则 rule",
        "级别 severity",
        "维度 dimension",
        "条件与参数 when and parameters",
        "提示 message",
        title=f"{rules.dataset.zh} {rules.dataset.en}，规则库 rule set {rule_set.version}",
    )
    for rule in rules.rules:
        severity, colour = _SEVERITIES[rule.severity]
        details = "; ".join(f"{name} {value}" for name, value in _details(rule).items())
        if rule.status != "active":
            severity, colour = f"{severity}\n{_STATUSES[rule.status]}", "dim"
        shown.add_row(rule.id.partition(".")[2], severity, rule.dimension, details, rule.zh, style=colour)
    console().print(shown)


def _mutants(rule_set: RuleSet) -> list[Mutant]:
    from rules import mutants

    return list(mutants.mutants(rule_set))


def _show_all(rule_set: RuleSet, json: bool) -> None:
    shown = table("数据集 dataset", ">规则 rules", ">退回 reject", ">疑问 suspect", title=f"规则库 {rule_set.version}")
    for rules in rule_set:
        rejects = sum(1 for rule in rules.rules if rule.severity == "reject")
        counts = {"rules": len(rules.rules), "reject": rejects, "suspect": len(rules.rules) - rejects}
        if json:
            print_json({"rule_set": rule_set.version, "dataset": rules.dataset.code, **counts})
        shown.add_row(f"{rules.dataset.zh} {rules.dataset.code}", *map(str, counts.values()))
    if not json:
        console().print(shown)


def _as_json(rule: Rule) -> dict[str, Any]:
    own = rule.model_dump(mode="json", include={"id", "kind", "field", "dimension", "severity", "zh", "en", "basis"})
    own["status"] = rule.status
    return {**own, **_details(rule)}


def _details(rule: Rule) -> dict[str, Any]:
    """Conditions and parameters as they are in force, what the catalog has added included."""
    from rules.state.definitions import Distribution

    # Of a distribution the defaults say as much as what is written.
    written_only = not isinstance(rule.asks, Distribution)
    parameters: dict[str, Any] = rule.check.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=written_only
    )
    if rule.effective is not None:
        parameters["effective"] = rule.effective.model_dump(mode="json", by_alias=True, exclude_none=True)
    if rule.owner:
        parameters["owner"] = rule.owner
    if rule.condition is not None:
        return {"when": rule.condition.text, **parameters}
    if not rule.when:
        return parameters
    when = {
        name: condition.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        for name, condition in rule.when.items()
    }
    return {"when": when, **parameters}


def _folder(folder: Path | None) -> Path:
    from rules.ruleset import LIBRARY_DIR

    if folder is None:
        return LIBRARY_DIR
    if not folder.is_dir():
        raise UserError(f"没有目录 {folder}", f"no such folder: {folder}", "", ExitCode.NOT_FOUND)
    return folder


def _load(folder: Path) -> RuleSet:
    from rules.errors import RuleError
    from rules.ruleset import RuleSet
    from schemas.catalog import Catalog

    try:
        return RuleSet.load(Catalog.load(), folder)
    except RuleError as error:
        raise UserError(f"规则库不能使用：\n{error}", "the rule library cannot be used", "zhida rules lint") from error
