"""What can be wrong with one dataset beyond its form."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from schemas.catalog import ENVELOPE, DatasetField
from schemas.documents import Location, Problem, nearest
from schemas.lint.drafts import Draft
from schemas.lint.field_checks import field_problems, label_problems
from schemas.lint.sameness import same_names
from schemas.units import Regions

_CONTACT = re.compile(r"[0-9+()（） -]{7,40}|[^@\s]+@[^@\s]+\.[^@\s]+")
_SUBJECT = ("uscc", "registration_number", "id_number", "name")


def dataset_problems(draft: Draft, regions: Regions, categories: Collection[str]) -> Iterator[Problem]:
    """Everything about one dataset file that can be said without the others."""
    for key in ("zh", "en"):
        yield from label_problems(draft.document, (key,), draft.text(key), chinese=key == "zh")
    yield from _place(draft, regions, categories)
    yield from _people(draft)
    yield from _terms(draft)
    fields = {field.name: field for _, field in draft.fields}
    yield from _event_date(draft, fields)
    yield from _key(draft, fields)
    yield from _subject(draft, fields)
    for index, field in draft.fields:
        yield from field_problems(draft.document, ("fields", index), field, draft.text("sharing") or "public")
    yield from same_names(draft.document, draft.fields, ENVELOPE)


def _place(draft: Draft, regions: Regions, categories: Collection[str]) -> Iterator[Problem]:
    level, region, category = draft.text("level") or "base", draft.text("region"), draft.text("category")
    if category and category not in categories:
        zh, en = nearest(category, categories)
        where: Location = ("category",)
        if level == "base":
            yield draft.say(where, f"不是国家基础目录的类别：{category}{zh}", f"no national category: {category!r}{en}")
        else:
            yield draft.warn(where, f"类别不在国家目录中：{category}{zh}", f"not a national category: {category!r}{en}")
    if region and region not in regions:
        zh, en = nearest(region, (known.code for known in regions if known.level != "county"))
        yield draft.say(("region",), f"没有地区 {region}{zh}", f"no region {region!r}{en}")
    elif region and regions[region].level != "city":
        name = regions[region].name
        zh = f"{name}不是设区市；全省的数据集不写 region"
        yield draft.say(("region",), zh, f"{name} is no city; a dataset of the whole province has no region")


def _people(draft: Draft) -> Iterator[Problem]:
    owner, contact = draft.text("owner"), draft.text("contact")
    if not owner:
        zh = "没有写明由哪个单位解答（owner），退回时无法告知单位问谁"
        yield draft.warn(("code",), zh, "no owner: rejections cannot say which office answers questions")
    if contact and not _CONTACT.fullmatch(contact):
        yield draft.say(
            ("contact",), "联系方式应为电话或电子邮箱", "contact must be a telephone number or an e-mail address"
        )
    if contact and not owner:
        yield draft.say(("contact",), "写了联系方式，但没有写 owner", "a contact without an owner")
    if not draft.text("department_line"):
        yield draft.warn(
            ("code",), "没有写明报送条线（department_line）", "no department_line: who reports it is not said"
        )
    if not draft.text("basis"):
        zh = "没有写明字段编码的依据（basis）"
        yield draft.warn(("code",), zh, "no basis: which regulation or standard fixes the fields and codes is not said")


def _terms(draft: Draft) -> Iterator[Problem]:
    data = draft.document.data
    sharing = draft.text("sharing") or "public"
    if data.get("publicity_months") is not None and sharing != "public":
        zh = f"共享属性为 {sharing} 的数据不公示，不应写公示期"
        yield draft.say(
            ("publicity_months",), zh, f"what is shared as {sharing!r} is not made public: no publicity period"
        )
    if data.get("deadline_workdays") is None:
        zh = "没有报送时限（deadline_workdays），无法统计及时率"
        yield draft.warn(("update_cycle",), zh, "no deadline_workdays: timeliness cannot be counted")


def _event_date(draft: Draft, fields: dict[str, DatasetField]) -> Iterator[Problem]:
    name = draft.text("event_date")
    field = fields.get(name)
    if field is None:
        return  # the form says that there is no such field, or the field itself is broken
    if field.type != "date":
        zh = f"event_date 应为日期字段，{name} 的类型是 {field.type}；报送时限和公示期从它算起"
        yield draft.say(("event_date",), zh, f"event_date must be a date; {name} is of type {field.type}")
    if not field.required:
        zh = f"event_date 的字段 {name} 应为必填，否则无法计算报送时限"
        yield draft.say(("event_date",), zh, f"{name} must be required: the deadline counts from it")


def _key(draft: Draft, fields: dict[str, DatasetField]) -> Iterator[Problem]:
    names = draft.names("key")
    if not names:
        zh = "没有 key：没有“记录编号”列的文件将无法报送"
        yield draft.warn(("code",), zh, "no key: files without a column record_id cannot be reported")
    for position, name in enumerate(names):
        place = ("key", position)
        if name in names[:position]:
            yield draft.say(place, f"key 中 {name} 重复", f"{name} twice in key")
        field = fields.get(name)
        if field is None:
            continue
        if position == 0 and not field.required:
            zh = f"key 的第一个字段 {name} 应为必填：它为空时不知道是哪条记录"
            yield draft.say(place, zh, f"the first field of key must be required: without {name} no record is told")
        if field.pii not in ("none", "name"):
            zh = f"key 不能用个人信息字段 {name}：记录编号由它推算而来，可被反推"
            yield draft.say(
                place, zh, f"no personal number in key ({name}): record ids are made of it and can be guessed"
            )


def _subject(draft: Draft, fields: dict[str, DatasetField]) -> Iterator[Problem]:
    used: dict[str, str] = {}
    for role in _SUBJECT:
        name = draft.text("subject", role)
        field = fields.get(name)
        place = ("subject", role)
        if name and name in used:
            yield draft.say(place, f"{name} 已用作 {used[name]}", f"{name} is already the subject's {used[name]}")
        used[name] = role
        if field is None:
            continue
        if field.type != "string":
            yield draft.say(
                place, f"主体标识 {name} 应为文本", f"the subject's {role} must be text; {name} is {field.type}"
            )
        elif role == "uscc" and field.length != 18:
            yield draft.say(
                place, f"统一社会信用代码 {name} 的长度应为 18", f"a USCC has 18 characters: length of {name}"
            )
        elif role == "id_number" and field.pii != "id_number":
            zh = f"证件号码 {name} 应标注 pii: id_number，否则会以明文入库"
            yield draft.say(place, zh, f"{name} needs pii: id_number, or it would be stored in clear")
        elif role == "name" and not field.required:
            yield draft.warn(place, f"主体名称 {name} 应为必填", f"the subject's name {name} should be required")
    subject = draft.document.data.get("subject")
    public = (draft.text("sharing") or "public") == "public"
    if isinstance(subject, dict) and "uscc" not in subject and public:
        zh = "只涉及自然人的数据集设为公示（public），请确认；一般应为 authorised 或 government"
        yield draft.warn(("sharing",), zh, "a dataset about natural persons is public: make sure that this is meant")
