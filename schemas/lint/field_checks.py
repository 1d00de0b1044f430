"""What can be wrong with one field: labels, lengths, enumerations, names that are taken, personal data not marked."""

from __future__ import annotations

import re
from collections.abc import Iterator

from schemas.batch import STORED_VERDICT_COLUMNS
from schemas.catalog import ENVELOPE_NAMES, DatasetField
from schemas.documents import Document, Location, Problem
from schemas.names import normalise

#: Columns that stores have beside those of the catalog.
STORE_NAMES = frozenset({"subject", *STORED_VERDICT_COLUMNS, "is_deleted", "ordering"})
RESERVED_PREFIX = "zhida_"
MAX_LENGTH = 20_000
MAX_VALUES = 300
_WIDTH = ("public", "authorised", "government")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
#: What a label says about a person, and what takes it back: the kind or the issuer of a number is no number.
_PERSONAL = (
    ("id_number", re.compile(r"身份号码|身份证号|证件号|护照号|identity number|passport", re.IGNORECASE)),
    ("phone", re.compile(r"电话|手机|telephone|mobile", re.IGNORECASE)),
    ("account", re.compile(r"银行账号|银行账户|银行卡号|社会保障号|bank account", re.IGNORECASE)),
    ("address", re.compile(r"家庭住址|家庭地址|居住地址|户籍地址|home address", re.IGNORECASE)),
    ("name", re.compile(r"姓名|法定代表人|联系人(?!电话)|legal representative", re.IGNORECASE)),
)
_NOT_PERSONAL = re.compile(r"类型|类别|种类|机关|单位|有效期|日期|\bkind\b|\bdate\b", re.IGNORECASE)


def field_problems(document: Document, place: Location, field: DatasetField, sharing: str) -> Iterator[Problem]:
    """Everything about one field that can be said without the others; *sharing* is that of its dataset."""
    say = document.problem
    yield from _name(document, place, field)
    for key, label in (("zh", field.zh), ("en", field.en)):
        yield from label_problems(document, (*place, key), label, chinese=key == "zh")
    if field.type == "string":
        if field.length is None:
            yield say(place, f"文本字段 {field.name} 没有长度", f"text field {field.name} has no length")
        elif not 1 <= field.length <= MAX_LENGTH:
            zh = f"{field.name} 的长度应在 1 至 {MAX_LENGTH} 之间"
            yield say((*place, "length"), zh, f"the length of {field.name} must be between 1 and {MAX_LENGTH}")
    elif field.length is not None:
        zh = f"类型 {field.type} 没有长度，只有文本才有"
        yield say((*place, "length"), zh, f"only text has a length; {field.name} is of type {field.type}")
    yield from _enumeration(document, place, field)
    yield from _personal(document, place, field)
    yield from _type_by_label(document, place, field)
    if field.sharing and _WIDTH.index(field.sharing) < (_WIDTH.index(sharing) if sharing in _WIDTH else 0):
        zh = f"{field.name} 的共享范围 {field.sharing} 比数据集的 {sharing} 更宽"
        en = f"{field.name} is shared more widely ({field.sharing}) than its dataset ({sharing})"
        yield say((*place, "sharing"), zh, en)


def label_problems(document: Document, place: Location, label: str, *, chinese: bool) -> Iterator[Problem]:
    """A label that is blank, in the wrong language, or that a column title could not have."""
    key = place[-1]
    if not label.strip():
        if label or key in (document.data if isinstance(document.data, dict) else ()) or len(place) > 1:
            yield document.problem(place, f"{key} 为空", f"{key} is blank")
        return
    if label != label.strip() or any(character in label for character in "\n\t\r"):
        yield document.problem(place, f"{key} 前后有空格或含换行", f"{key} has blanks around it or a line break in it")
    if chinese and not _CHINESE.search(label):
        yield document.problem(place, f"中文名称 {label!r} 中没有汉字", f"zh has no Chinese character: {label!r}")
    if not chinese and _CHINESE.search(label):
        yield document.problem(place, f"英文名称中有汉字：{label}", f"en has Chinese characters: {label!r}")
    if label.lstrip().startswith("#"):
        yield document.problem(
            place, "名称不能以 # 开头：文件中这样的列不报送", "a label cannot begin with #: such columns are notes"
        )


def _name(document: Document, place: Location, field: DatasetField) -> Iterator[Problem]:
    lowered = field.name.lower()
    if field.name in ENVELOPE_NAMES:
        zh = f"{field.name} 是信封字段，每个数据集都有，不要再写"
        yield document.problem(
            (*place, "name"), zh, f"{field.name} is of the envelope that every record has; leave it out"
        )
    elif lowered in STORE_NAMES or lowered in ENVELOPE_NAMES or lowered.startswith(RESERVED_PREFIX):
        zh = f"字段名 {field.name} 由平台自用，请换一个"
        yield document.problem(
            (*place, "name"), zh, f"the name {field.name} belongs to the platform itself; choose another"
        )


def _enumeration(document: Document, place: Location, field: DatasetField) -> Iterator[Problem]:
    if field.enumeration and field.type != "string":
        zh = f"只有文本字段可以有枚举，{field.name} 的类型是 {field.type}"
        yield document.problem((*place, "enumeration"), zh, f"only text is enumerated; {field.name} is {field.type}")
    if len(field.enumeration) > MAX_VALUES:
        yield document.problem((*place, "enumeration"), f"枚举值超过 {MAX_VALUES} 个", f"more than {MAX_VALUES} values")
    seen: dict[str, str] = {}
    for position, value in enumerate(field.enumeration):
        where = (*place, "enumeration", position)
        if not value.strip() or value != value.strip():
            yield document.problem(
                where, f"枚举值 {value!r} 为空或前后有空格", f"value {value!r} is blank or has blanks around it"
            )
        elif field.length is not None and len(value) > field.length:
            zh = f"枚举值 {value!r} 有 {len(value)} 个字，超过长度 {field.length}"
            yield document.problem(
                where, zh, f"value {value!r} has {len(value)} characters, the length is {field.length}"
            )
        other = seen.setdefault(normalise(value), value)
        if position != field.enumeration.index(value) or other != value:
            yield document.problem(
                where, f"枚举值 {value!r} 与 {other!r} 相同", f"value {value!r} is the same as {other!r}"
            )


def _personal(document: Document, place: Location, field: DatasetField) -> Iterator[Problem]:
    if field.pii != "none" and field.type != "string":
        zh = f"{field.name} 标注了 pii，但类型 {field.type} 无法遮盖，只有文本可以"
        yield document.problem(
            (*place, "pii"), zh, f"{field.name} has a pii class, and a {field.type} cannot be masked"
        )
    if field.pii != "none" or field.enumeration or field.type != "string":
        return
    label = f"{field.zh} {field.en}"
    if _NOT_PERSONAL.search(label):
        return
    for pii, pattern in _PERSONAL:
        if pattern.search(label):
            zh = f"{field.name}（{field.zh}）像是个人信息，请标注 pii: {pii}"
            yield document.problem(place, zh, f"{field.name} ({field.en}) looks personal: give it pii: {pii}")
            return


def _type_by_label(document: Document, place: Location, field: DatasetField) -> Iterator[Problem]:
    where = (*place, "type")
    if field.type == "string" and field.zh.endswith(("日期", "之日")):
        zh = f"{field.name}（{field.zh}）像是日期，类型应为 date"
        yield document.problem(where, zh, f"{field.name} looks like a date: type date?", "warning")
    elif field.type == "string" and re.search(r"金额|万元|余额", field.zh) and not field.enumeration:
        zh = f"{field.name}（{field.zh}）像是金额，类型应为 decimal"
        yield document.problem(where, zh, f"{field.name} looks like an amount: type decimal?", "warning")
    elif field.type == "decimal" and "金额" in field.zh and "元" not in field.zh:
        zh = f"金额 {field.name} 的名称没有写单位（元、万元）"
        yield document.problem((*place, "zh"), zh, f"the label of the amount {field.name} says no unit", "warning")
    elif "统一社会信用代码" in field.zh and field.length != 18:
        yield document.problem(
            (*place, "length"), f"{field.name} 是统一社会信用代码，长度应为 18", f"{field.name} is a USCC: length 18"
        )
