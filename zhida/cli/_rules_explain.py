"""``zhida rules explain``: one verdict, its record, and every rule with what it read and how it came out."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Annotated

import typer

from zhida.cli._console import console, local_time, print_json, table, verdict_text
from zhida.cli._explanation import as_json, quarantined, reasons, record_of, recorded_violations, visible
from zhida.cli._wiring import load_settings, now_ms
from zhida.errors import ExitCode, UserError
from zhida.logging import configure

if TYPE_CHECKING:
    from rich.console import Console

    from rules.explain import ExplainedRule
    from zhida.explaining import Explanation
    from zhida.tracing import Place, Told

_OUTCOMES = {
    "broken": ("违反 broken", "red"),
    "passes": ("通过 passes", "green"),
    "does_not_apply": ("不适用 does not apply", "dim"),
    "failed": ("规则出错 failed", "magenta"),
    "unknown": ("未记载 not recorded", "dim"),
}
_WHY = {
    "withdrawn": "记录已撤销 the record is withdrawn",
    "blank": "字段为空 the field is blank",
    "condition": "条件不成立 a condition does not hold",
    "period": "不在生效期内 outside its period",
    "state": "当时按其他记录判定，以记载为准 judged by other records at the time",
    "undecided": "没有工作日历，不判 not decided",
}
_STATUSES = {"draft": "草稿 draft", "shadow": "试运行 shadow", "retired": "停用 retired"}
_SEVERITIES = {"reject": "退回 reject", "suspect": "疑问 suspect"}


def explain(
    feedback_id: Annotated[
        str, typer.Argument(help="反馈编号 <主题>-<分区>-<偏移>。Id of a feedback: <topic>-<partition>-<offset>.")
    ],
    every: Annotated[
        bool, typer.Option("--all", help="列出该数据集的全部规则。Every rule, also where nothing is to be said.")
    ] = False,
    rule: Annotated[str | None, typer.Option(help="只看这一条规则。This rule alone.")] = None,
    unit: Annotated[
        str, typer.Option("--unit", "-u", help="报送单位；原始消息已删除时用于查找其反馈。Whose feedback to search.")
    ] = "",
    purpose: Annotated[str, typer.Option(help="查询用途，写入审计日志。Purpose, for the audit log.")] = "",
    json: Annotated[bool, typer.Option("--json", help="输出 JSON。As JSON.")] = False,
) -> None:
    """说明一条结论：记录、当时的规则及每条规则的依据和结果。Why a record was judged so, by the rules of that time.

    默认列出违反的规则和字段有值的规则。个人信息与反馈中一样遮盖。Personal values are masked as in feedback.

    例 Example: zhida rules explain zhida.report.administrative_penalty-0-42 --purpose 异议核查

    Kafka 上已没有的结论，向查询接口询问。A verdict that no topic has any more is asked of the query API.

    退出码 Exit codes: 0 已说明，与结论一致 explained, as the verdict says; 1 重新计算的结果与结论不同 evaluated again
    it comes out otherwise; 2 编号有误 not an id; 3 有部分不可达 something does not answer; 4 没有结论 no verdict.
    """
    from schemas.registry.client import RegistryClient
    from zhida.cli._verdict_history import stored_verdict
    from zhida.explaining import Explainer

    place = _place(feedback_id)
    configure(json=json, level="info")
    settings = load_settings()
    kafka = settings.kafka()
    with RegistryClient(settings.registry()) as registry:
        explainer = Explainer(
            kafka,
            registry,
            now_ms=now_ms(),
            max_record_bytes=settings.max_record_bytes,
            history=lambda place: stored_verdict(place, purpose),
        )
        found = explainer.explain(place, unit)
    # Before anything is shown: a read that nobody hears of does not happen.
    _note_read(place, purpose, found.told.verdict if found.told else "", settings.kafka_username)
    if rule is not None and rule not in {one.rule.id for one in found.rules} | found.texts.keys():
        raise _no_rule(rule, found)
    chosen = [one for one in found.rules if (one.matters or every if rule is None else one.rule.id == rule)]
    if json:
        print_json(as_json(found, chosen))
    else:
        _show(console(), found, chosen, texts=rule is not None)
    if found.told is None:
        raise _no_verdict(found)
    if found.differing:
        raise typer.Exit(ExitCode.FAILED)


def _place(text: str) -> Place:
    from zhida.tracing import Place

    try:
        return Place.parse(text.strip())
    except ValueError as error:
        raise UserError(
            "这不是反馈编号；反馈编号是 <报送主题>-<分区>-<偏移>",
            str(error),
            "例 such as: zhida.report.administrative_penalty-0-42；zhida feedback follow --json 中的 feedback_id",
            ExitCode.USAGE,
        ) from None


def _note_read(place: Place, purpose: str, outcome: str, principal: str) -> None:
    """Who reads what, and why; the broker's own log of authorisation has the principal's reads beside it."""
    import structlog

    who = f"{principal}/{_os_user()}" if principal else _os_user()
    why = " ".join(purpose.split())[:200]
    structlog.get_logger("audit").info(
        "a record was read",
        who=who,
        what=f"rules.explain {place.id}",
        why=why,
        source=socket.gethostname(),
        outcome=outcome,
    )


def _os_user() -> str:
    """The user of the process as the system knows it: environment variables can say anything."""
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _no_rule(rule: str, found: Explanation) -> UserError:
    import difflib

    near = difflib.get_close_matches(rule, [one.rule.id for one in found.rules], n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    return UserError(
        f"当时的规则库中没有规则 {rule}",
        f"there was no rule {rule}{hint}",
        "--all 列出全部规则 lists all",
        ExitCode.NOT_FOUND,
    )


def _no_verdict(found: Explanation) -> UserError:
    from zhida.tracing import Original

    if found.unasked is not None:
        return UserError(
            f"Kafka 上没有这条消息的结论，结论历史未能查询：{found.unasked.message_zh}",
            f"no topic has a verdict on it, and the history could not be asked: {found.unasked.message_en}",
            found.unasked.remedy,
            found.unasked.exit_code,
        )
    if isinstance(found.original, Original):
        return UserError(
            "这条消息没有结论：尚未治理",
            "there is no verdict on it: it has not been judged yet",
            "zhida status 显示积压 shows the lag",
            ExitCode.NOT_FOUND,
        )
    zh, en = found.notes[0]
    remedy = (
        "可加 --unit 在该单位的反馈中查找（反馈保留更久）--unit searches that unit's feedback, which is kept longer"
    )
    return UserError(f"{zh}，也没有结论", f"{en}, and no verdict", remedy, ExitCode.NOT_FOUND)


def _show(out: Console, found: Explanation, rules: list[ExplainedRule], *, texts: bool) -> None:
    for told in (found.told,) if found.told else ():
        label, colour = verdict_text(told.verdict)
        out.print(f"{found.place.id}  {label}", style=f"bold {colour}")
        unit, record = visible(told.unit) or "-", visible(told.record_id or "") or "-"
        out.print(f"来源单位 unit {unit}    记录 record {record}    模式 schema {told.schema_id}")
        out.print(f"报送 reported {local_time(told.reported_at)}    判定 judged {local_time(told.governed_at)}")
        catalog = f"    目录 catalog {found.release}" if found.release else ""
        out.print(f"规则库 rule set {told.rule_set}{catalog}    记于 recorded on {_source(told)}")
    for told in found.earlier:
        label, _ = verdict_text(told.verdict)
        out.print(f"此前 before: {local_time(told.governed_at)}  {label}  {told.rule_set}", style="dim")
    for zh, en in found.notes:
        out.print(f"注意 note: {zh}\n  {en}", style="yellow")
    if found.told is not None and found.told.verdict == "quarantined":
        _show_quarantined(out, found, found.told)
    if found.record is not None:
        _show_record(out, found)
    if rules:
        _show_rules(out, found, rules)
    _show_broken(out, found, rules, texts=texts)
    _show_difference(out, found)


def _source(told: Told) -> str:
    from zhida.tracing import VERDICT_HISTORY

    return "结论历史 the verdict history" if told.topic == VERDICT_HISTORY else told.topic


def _show_record(out: Console, found: Explanation) -> None:
    assert found.dataset is not None
    shown = table("字段 field", "值 value", title=f"{found.dataset.zh} {found.dataset.en}")
    for name, value in record_of(found).items():
        if value:
            shown.add_row(f"{found.dataset.by_name[name].zh} {name}", visible(value))
    out.print(shown)


def _show_rules(out: Console, found: Explanation, rules: list[ExplainedRule]) -> None:
    shown = table(
        "规则 rule",
        "结果 outcome",
        "依据 inputs",
        title=f"判定当日 judged on {found.today}，{len(rules)}/{len(found.rules)}",
    )
    # What is wrong stands first, each part in the order of the library.
    for one in sorted(rules, key=lambda one: not (one.differs or one.outcome in ("broken", "failed"))):
        outcome, colour = _OUTCOMES[one.outcome]
        lines = [outcome, *filter(None, (_STATUSES.get(one.rule.status, ""), _WHY.get(one.why, ""), one.detail))]
        if one.differs:
            lines.append("与结论不同 not as the verdict says")
        inputs = [f"{item.name} = {visible(item.value) or '（空 blank）'}" for item in one.inputs]
        marks = {True: "✓", False: "✗", None: "?"}
        inputs += [f"{marks[said.holds]} when {said.text}" for said in one.conditions]
        shown.add_row(one.rule.id.partition(".")[2], "\n".join(lines), "\n".join(inputs), style=colour)
    out.print(shown)


def _show_broken(out: Console, found: Explanation, rules: list[ExplainedRule], *, texts: bool) -> None:
    """What is said of each broken rule, as it was recorded where it was, and its text of that time."""
    recorded = {violation.rule: violation for violation in recorded_violations(found)}
    evaluated = {one.rule.id: one for one in rules if texts or (one.counts and one.outcome in ("broken", "failed"))}
    names = [name for name in recorded if not texts or name in evaluated]
    for name in dict.fromkeys([*names, *evaluated]):
        one, violation = evaluated.get(name), recorded.get(name)
        severity = violation.severity if violation else one.rule.severity if one else ""
        dimension = violation.dimension if violation else one.rule.dimension if one else ""
        out.print(f"{name}  {_SEVERITIES.get(severity, severity)}  {dimension}", style="bold")
        zh, en = (
            (violation.message_zh, violation.message_en)
            if violation
            else (one.rule.zh, one.rule.en)
            if one
            else ("", "")
        )
        out.print(f"  {visible(zh)}\n  {visible(en)}")
        if one is not None:
            about = {"依据 basis": one.rule.basis, "负责 owner": one.rule.owner, "状态 status": one.rule.status}
            out.print("  " + "    ".join(f"{title} {text}" for title, text in about.items() if text))
        if text := found.texts.get(name):
            out.print("\n".join(f"  │ {line}" for line in text.splitlines()), style="dim")


def _show_quarantined(out: Console, found: Explanation, told: Told) -> None:
    about = quarantined(found, told)
    out.print(f"隔离原因 reason: {about['reason']}  {visible(told.detail)}", style="magenta")
    out.print(f"  {about['zh']}\n  {about['en']}")
    if about["bytes"] is not None:
        out.print(f"  长度 size {about['bytes']:,} B，{about['kind']}，开头 begins with {about['begins_with'] or '-'}")
    if about["readable_now"]:
        out.print("  现在可以解析，单位重新报送即可 it can be read by now: sending it again will do", style="green")


def _show_difference(out: Console, found: Explanation) -> None:
    if not found.differing:
        return
    names = "、".join(one.rule.id for one in found.differing)
    out.print(f"重新计算与结论不同 evaluated again, not as the verdict says: {names}", style="bold red")
    out.print(f"  可能的原因 it may be: {'；'.join(' '.join(reason) for reason in reasons(found))}")
