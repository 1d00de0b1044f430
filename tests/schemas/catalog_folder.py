"""A small catalog folder that is in order, to be spoiled in one place at a time."""

from __future__ import annotations

import shutil
from pathlib import Path

from schemas.catalog import CATALOG_DIR

REGIONS = """code,name,level,parent
320000,江苏省,province,
320500,苏州市,city,320000
320506,吴中区,county,320500
"""
UNITS = """code,name,region,level,line
11320000014000028X,江苏省甲厅,320000,province,甲
11320100014001004U,苏州市甲局,320500,city,甲
"""
PERMIT = """code: permit
zh: 许可
en: Permit
category: 行政管理
department_line: 甲
owner: 省信用中心
contact: 025-12345678
basis: 某标准
sharing: public
update_cycle: daily
deadline_workdays: 7
publicity_months: 12
event_date: P_DAY
key: [P_NO]
subject: {uscc: P_USCC, id_number: P_ID, name: P_NAME}
fields:
  - {name: P_NAME, zh: 名称, en: Name, type: string, length: 200, required: true}
  - {name: P_USCC, zh: 统一社会信用代码, en: Code, type: string, length: 18}
  - {name: P_ID, zh: 证件号码, en: Identity number, type: string, length: 18, pii: id_number}
  - {name: P_NO, zh: 文号, en: Number, type: string, length: 64, required: true}
  - {name: P_KIND, zh: 类别, en: Kind, type: string, length: 4, enumeration: [普通, 特许]}
  - {name: P_DAY, zh: 决定日期, en: Day, type: date, required: true}
  - {name: P_SUM, zh: 金额（元）, en: Amount, type: decimal}
example: {P_NAME: 某公司, P_NO: 一号, P_DAY: 2026-01-31}
"""
HONOUR = """code: praise
zh: 表扬
en: Praise
category: 诚实守信相关荣誉
department_line: 甲
owner: 省信用中心
basis: 某标准
sharing: authorised
deadline_workdays: 7
event_date: H_DAY
key: [H_NO]
subject: {uscc: H_USCC, name: H_NAME}
fields:
  - {name: H_NAME, zh: 名称, en: Name, type: string, length: 200, required: true}
  - {name: H_USCC, zh: 统一社会信用代码, en: Code, type: string, length: 18}
  - {name: H_NO, zh: 文号, en: Number, type: string, length: 64, required: true}
  - {name: H_DAY, zh: 表扬日期, en: Day, type: date, required: true}
example: {H_NAME: 某公司, H_NO: 一号, H_DAY: 2026-01-31}
"""
CITY = """dataset: permit
basis: 某市规定
fields:
  - {name: P_CITY, zh: 市内编号, en: City number, type: string, length: 10}
"""
ASSIGNED = """dataset: {code}
assignments:
  - {{levels: [province, city, county], from: 2026-01-01}}
"""


def make_folder(folder: Path) -> Path:
    """Write the catalog into *folder*."""
    files = {
        "datasets/permit.yaml": PERMIT,
        "datasets/praise.yaml": HONOUR,
        "extensions/320500/permit.yaml": CITY,
        "assignments/permit.yaml": ASSIGNED.format(code="permit"),
        "assignments/praise.yaml": ASSIGNED.format(code="praise"),
        "data/regions.csv": REGIONS,
        "data/units.csv": UNITS,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shutil.copy(CATALOG_DIR / "data" / "categories.csv", folder / "data")
    return folder


def spoil(folder: Path, name: str, old: str, new: str) -> int:
    """Replace *old* by *new* in a file of the folder; returns the line on which it stands."""
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1
