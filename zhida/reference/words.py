"""Values of the catalog and parameters of rules, said in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rules.model import Rule
from schemas.catalog import Dataset, DatasetField

LEVELS = {"base": "基础目录", "extended": "扩展目录"}
SHARING = {"public": "公示", "authorised": "授权查询", "government": "政务共享"}
CYCLES = {
    "realtime": "实时",
    "daily": "每日",
    "weekly": "每周",
    "monthly": "每月",
    "quarterly": "每季度",
    "half_yearly": "每半年",
    "yearly": "每年",
}
PII = {"id_number": "证件号码", "phone": "电话", "name": "姓名", "address": "住址", "account": "账号"}
UNIT_LEVELS = {"province": "省级", "city": "市级", "county": "县级"}
SEVERITIES = {"reject": "退回", "suspect": "疑问"}
DIMENSIONS = {
    "completeness": "完整性",
    "conformity": "规范性",
    "accuracy": "准确性",
    "consistency": "一致性",
    "timeliness": "时效性",
    "accessibility": "可访问性",
}
_TYPES = {"string": "文本", "boolean": "是/否", "long": "整数", "date": "日期", "timestamp": "时间", "decimal": "小数"}


def type_of(field: DatasetField) -> str:
    """``文本(200)``."""
    length = f"（{field.length}）" if field.length else ""
    return f"{_TYPES.get(field.type, field.type)}{length}"


def labelled(dataset: Dataset, name: str) -> str:
    """``决定日期 CF_JDRQ``; the name alone of a field that is not there."""
    field = dataset.by_name.get(name)
    return f"{field.zh} {name}" if field else name


def deadline(dataset: Dataset) -> str:
    """Within which time a record is due."""
    if dataset.deadline_workdays is None:
        return "不设时限"
    return f"{labelled(dataset, dataset.event_date)} 之后 {dataset.deadline_workdays} 个工作日内"


def publicity(dataset: Dataset) -> str:
    """For how long it is shown to the public."""
    if dataset.sharing != "public":
        return "不公示"
    if dataset.publicity_months is None:
        return "不设期限"
    return f"{labelled(dataset, dataset.event_date)} 起 {dataset.publicity_months} 个月"


def demand(rule: Rule, dataset: Dataset) -> str:
    """What a rule asks for: ``处罚类别含“罚款”时，大于 0``."""
    parameters = rule.check.model_dump(exclude_none=True, exclude_defaults=True)
    in_words = _KINDS.get(rule.kind)
    said = in_words(parameters, dataset) if in_words else " ".join([rule.kind, *_pairs(parameters)])
    conditions = [
        _condition(dataset, name, condition.model_dump(exclude_none=True, exclude_defaults=True))
        for name, condition in rule.when.items()
    ]
    # A condition on the whole record, in rule libraries that have expressions.
    if expression := getattr(rule, "condition", None):
        conditions.append(f"满足 {expression.text} ")
    return f"{'，'.join(conditions)}时，{said}" if conditions else said


def _condition(dataset: Dataset, name: str, asked: Mapping[str, Any]) -> str:
    field = dataset.by_name.get(name)
    label = field.zh if field else name
    said = [_CONDITIONS[key](value) if key in _CONDITIONS else f"{key} {value}" for key, value in asked.items()]
    return label + "".join(said)


def _listed(values: Any, most: int = 6) -> str:
    found = [str(value) for value in (values if isinstance(values, (list, tuple, set, frozenset)) else [values])]
    return "、".join(found[:most]) + (f"等 {len(found)} 种" if len(found) > most else "")


_CONDITIONS: Mapping[str, Callable[[Any], str]] = {
    "present": lambda value: "有内容" if value else "为空",
    "values": lambda value: f"为“{_listed(value)}”",
    "equals": lambda value: f"为“{_listed(value)}”",
    "contains": lambda value: f"含“{_listed(value)}”",
    "lacks": lambda value: f"不含“{_listed(value)}”",
    "length": lambda value: f"长 {value} 位",
    "separator": lambda value: "",
}


def _pairs(parameters: Mapping[str, Any]) -> list[str]:
    return [f"{name} {value}" for name, value in parameters.items()]


def _range(found: Mapping[str, Any], _: Dataset) -> str:
    words = {"min": "不小于", "above": "大于", "max": "不大于", "below": "小于"}
    return "，".join(f"{words[key]} {value}" for key, value in found.items() if key in words)


def _length(found: Mapping[str, Any], _: Dataset) -> str:
    least, most = found.get("min", 0), found.get("max")
    if least and least == most:
        return f"{most} 个字符"
    return f"{least} 至 {most} 个字符" if least else f"不超过 {most} 个字符"


def _enumeration(found: Mapping[str, Any], _: Dataset) -> str:
    separator = found.get("separator")
    several = f"，可多选，以“{separator}”分隔" if separator else ""
    return f"只能填写目录所列 {len(found.get('values', ()))} 种{several}"


def _date_order(found: Mapping[str, Any], dataset: Dataset) -> str:
    if other := found.get("not_before"):
        return f"不早于{labelled(dataset, other)}"
    return f"晚于{labelled(dataset, found.get('after', ''))}"


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Dataset], str]] = {
    "required": lambda found, dataset: "必填",
    "absent": lambda found, dataset: "应为空",
    "length": _length,
    "pattern": lambda found, dataset: f"符合格式 {found.get('pattern', '')}",
    "enumeration": _enumeration,
    "range": _range,
    "date_order": _date_order,
    "not_future": lambda found, dataset: "不晚于当天",
    "uscc": lambda found, dataset: "是校验正确的统一社会信用代码",
    "id_number": lambda found, dataset: "是校验正确的公民身份号码",
    "known_unit": lambda found, dataset: "是已登记的报送单位",
    "expression": lambda found, dataset: f"满足 {found.get('expr', '')}",
    "workday_deadline": lambda found, dataset: f"在 {found.get('workdays', '')} 个工作日内报送",
    "assigned_unit": lambda found, dataset: "是采集目录安排报送的单位",
}
