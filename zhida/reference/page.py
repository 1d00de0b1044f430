"""The page of one dataset, as Markdown."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from rules.errors import RuleError
from rules.ruleset import RuleSet
from schemas.catalog import ENVELOPE, Dataset, DatasetField
from schemas.release import Release
from zhida.reference import words


def dataset_page(dataset: Dataset, release: Release, rule_set: RuleSet, day: date) -> str:
    """Everything about one dataset; *day* for the assignments in force."""
    parts = [f"# {text(dataset.zh)} {text(dataset.en)}", "", "[← 目录 Catalog](index.md)", ""]
    parts += table(("项目", "内容"), _facts(dataset, release, day))
    parts += ["## 字段 Fields", ""]
    parts += _fields(dataset.base_fields)
    for region in dict.fromkeys(field.region for field in dataset.business_fields if field.region):
        name = release.regions[region].name if region in release.regions else region
        parts += [f"## 扩展字段：{text(name)} Fields added by {region}", ""]
        parts += _fields([field for field in dataset.business_fields if field.region == region])
    parts += ["## 信封 Envelope", "", "每条记录都有，各数据集相同。The same in every record of every dataset.", ""]
    parts += _fields(ENVELOPE)
    parts += ["## 采集 Who reports it", "", *_assigned(dataset, release, day)]
    parts += ["## 校验规则 Rules", "", *_rules(dataset, rule_set)]
    parts += ["## 示例 Example record", "", "```json", _example(dataset), "```", ""]
    return "\n".join(parts)


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a Markdown table; cells are Markdown already."""
    titles = list(titles)
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return [*lines, ""]


def text(value: str) -> str:
    """*value* as Markdown that shows it as it is, on one line."""
    shown = " ".join(value.split())
    for character in "\\`*_[]<>|#~":
        shown = shown.replace(character, f"\\{character}")
    return shown


def soft(value: str) -> str:
    """*value* as what stands below and is less."""
    return f"*{text(value.strip())}*" if value.strip() else ""


def code(value: str) -> str:
    """*value* as code in a table cell."""
    return f"`{value.replace('|', '&#124;')}`" if "|" not in value and "`" not in value else text(value)


def _facts(dataset: Dataset, release: Release, day: date) -> Iterator[tuple[str, str]]:
    region = release.regions[dataset.region].name if dataset.region in release.regions else ""
    units = len(release.assignments.units_for(dataset.code, day))
    spec = dataset.subject
    subject = [name for name in (spec.uscc, spec.registration_number, spec.id_number) if name]
    yield "编码", code(dataset.code)
    yield "级别", text(words.LEVELS[dataset.level] + (f"（{region}）" if region else ""))
    yield "类别", text(dataset.category)
    yield "报送条线", text(dataset.department_line) or "—"
    yield "报送单位", f"{units:,} 个" if units else "尚未安排"
    yield "更新周期", words.CYCLES[dataset.update_cycle]
    yield "报送时限", text(words.deadline(dataset))
    yield "共享属性", words.SHARING[dataset.sharing]
    yield "公示期", text(words.publicity(dataset))
    yield "主体", text("，".join(words.labelled(dataset, name) for name in subject)) + "（依次取第一个有内容的）"
    yield "关键字段", text("，".join(words.labelled(dataset, name) for name in dataset.key)) or "—"
    yield "答疑单位", text(" ".join(filter(None, (dataset.owner, dataset.contact)))) or "—"
    yield "依据", text(dataset.basis) or "—"
    yield "报送主题", code(dataset.report_topic)


def _fields(fields: Iterable[DatasetField]) -> list[str]:
    titles = ("编码 Code", "名称 Label", "类型 Type", "必填", "说明 Notes")
    return table(titles, (_field(field) for field in fields))


def _field(field: DatasetField) -> tuple[str, ...]:
    notes = []
    if field.enumeration:
        notes.append("、".join(text(value) for value in field.enumeration))
    if field.note:
        notes.append(text(field.note))
    if field.pii != "none":
        notes.append(f"个人信息：{words.PII[field.pii]}")
    if field.sharing:
        notes.append(f"仅限{words.SHARING[field.sharing]}")
    label = f"{text(field.zh)}<br>{soft(field.en)}"
    return code(field.name), label, words.type_of(field), "是" if field.required else "", "<br>".join(notes)


def _assigned(dataset: Dataset, release: Release, day: date) -> list[str]:
    """Lines with their terms, and how many units of each level."""
    counts: dict[tuple[str, date, str, bool], Counter[str]] = defaultdict(Counter)
    for unit_code in release.assignments.units_for(dataset.code, day):
        terms = release.assignments.in_force(dataset.code, unit_code, day)
        if terms is not None and unit_code in release.units:
            unit = release.units[unit_code]
            counts[unit.line, terms.since, terms.cycle, terms.signing][unit.level] += 1
    if not counts:
        return ["采集目录尚未安排单位报送。Nobody is assigned to report it yet.", ""]
    return table(
        ("条线", *words.UNIT_LEVELS.values(), "自", "周期", "签名"),
        (
            (
                text(line),
                *(f"{found[level]:,}" if found[level] else "" for level in words.UNIT_LEVELS),
                since.isoformat(),
                words.CYCLES.get(cycle, cycle),
                "要求" if signing else "",
            )
            for (line, since, cycle, signing), found in sorted(counts.items())
        ),
    )


def _rules(dataset: Dataset, rule_set: RuleSet) -> list[str]:
    try:
        rules = rule_set.dataset(dataset.code).rules
    except RuleError:
        return ["没有规则。No rules.", ""]
    titles = ("字段", "要求", "级别", "维度", "退回或疑问时的提示")
    rows = (
        (
            code(rule.field),
            text(words.demand(rule, dataset)),
            words.SEVERITIES[rule.severity],
            words.DIMENSIONS.get(rule.dimension, rule.dimension),
            text(rule.zh),
        )
        for rule in rules
    )
    return [f"{len(rules)} 条。退回的记录不入库；疑问的记录入库，请单位核实。", "", *table(titles, rows)]


def _example(dataset: Dataset) -> str:
    known = {name: value for name, value in dataset.example.items() if name in dataset.by_name}
    envelope: dict[str, Any] = {"record_id": "2026-000001", "version": 1, "deleted": False}
    return json.dumps(envelope | known, ensure_ascii=False, indent=2, default=str)
