"""Makes ``schemas/data/units.csv``: the government units of the sample province.

Names and department lines are those of every Chinese province; the codes have right check digits but are made up, so
that no real unit's code is in the sample. The file is the same on every machine; a test compares it with this module.
Run ``python -m zhida.sample.units`` after a change of regions or departments.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from hashlib import blake2b
from io import StringIO
from pathlib import Path

from schemas.units import DATA_DIR, Region, Regions, Unit
from zhida.sample.identifiers import make_uscc

#: Department line -> what its unit is called at (province, city, county), "{}" is the region; None where there is none.
DEPARTMENTS: dict[str, tuple[str | None, str | None, str | None]] = {
    "市场监管": ("{}市场监督管理局", "{}市场监督管理局", "{}市场监督管理局"),
    "行政审批": ("{}政务服务管理办公室", "{}行政审批局", "{}行政审批局"),
    "生态环境": ("{}生态环境厅", "{}生态环境局", "{}生态环境局"),
    "应急管理": ("{}应急管理厅", "{}应急管理局", "{}应急管理局"),
    "交通运输": ("{}交通运输厅", "{}交通运输局", "{}交通运输局"),
    "住房城乡建设": ("{}住房和城乡建设厅", "{}住房和城乡建设局", "{}住房和城乡建设局"),
    "税务": ("国家税务总局{}税务局", "国家税务总局{}税务局", "国家税务总局{}税务局"),
    "人力资源社会保障": ("{}人力资源和社会保障厅", "{}人力资源和社会保障局", "{}人力资源和社会保障局"),
    "卫生健康": ("{}卫生健康委员会", "{}卫生健康委员会", "{}卫生健康委员会"),
    "公安": ("{}公安厅", "{}公安局", "{}公安局"),
    "城市管理": (None, "{}城市管理局", "{}城市管理局"),
    "消防救援": ("{}消防救援总队", "{}消防救援支队", "{}消防救援大队"),
    "农业农村": ("{}农业农村厅", "{}农业农村局", "{}农业农村局"),
    "自然资源": ("{}自然资源厅", "{}自然资源和规划局", "{}自然资源和规划局"),
    "水利": ("{}水利厅", "{}水利局", "{}水务局"),
    "文化旅游": ("{}文化和旅游厅", "{}文化广电和旅游局", "{}文体广电和旅游局"),
    "教育": ("{}教育厅", "{}教育局", "{}教育局"),
    "民政": ("{}民政厅", "{}民政局", "{}民政局"),
    "发展改革": ("{}发展和改革委员会", "{}发展和改革委员会", "{}发展和改革委员会"),
    "医疗保障": ("{}医疗保障局", "{}医疗保障局", "{}医疗保障局"),
    "工业信息化": ("{}工业和信息化厅", "{}工业和信息化局", None),
    "财政": ("{}财政厅", "{}财政局", None),
    "司法": ("{}司法厅", "{}司法局", None),
    "商务": ("{}商务厅", "{}商务局", None),
    "科技": ("{}科学技术厅", "{}科学技术局", None),
    "烟草专卖": ("{}烟草专卖局", "{}烟草专卖局", None),
    "住房公积金": (None, "{}住房公积金管理中心", None),
    "药品监管": ("{}药品监督管理局", None, None),
    "林业": ("{}林业局", None, None),
    "粮食物资储备": ("{}粮食和物资储备局", None, None),
    "通信管理": ("{}通信管理局", None, None),
    "气象": ("{}气象局", "{}气象局", None),
    "地方金融": ("{}地方金融管理局", None, None),
    "海事": ("{}海事局", None, None),
    "人民法院": ("{}高级人民法院", "{}中级人民法院", "{}人民法院"),
}
_SURNAMES = "赵钱孙李周吴郑王冯陈"
_LEVELS = ("province", "city", "county")


def make_units(regions: Regions) -> list[Unit]:
    """Every unit of every region, as the registry keeps them: in order of region and code."""
    taken: set[str] = set()
    units: list[Unit] = []
    for region in regions:
        for line, names in DEPARTMENTS.items():
            pattern = names[_LEVELS.index(region.level)]
            if pattern is None:
                continue
            code = make_uscc("1", "1", region.code, _organisation_body(region, line, taken))
            name = pattern.format(_full_name(region, regions))
            unit = Unit(code, name, region.code, region.level, line, *_contact(code), principal=f"User:u-{code}")
            units.append(unit)
    return sorted(units, key=lambda unit: (unit.region, unit.code))


def _contact(code: str) -> tuple[str, str]:
    """Somebody who plainly does not exist, and a number that nobody has: there is no area 000."""
    number = int.from_bytes(blake2b(code.encode(), digest_size=4).digest())
    return f"{_SURNAMES[number % len(_SURNAMES)]}示例", f"000-{number % 100_000_000:08d}"


def units_csv(regions: Regions) -> str:
    """The text of ``units.csv``."""
    out = StringIO(newline="")
    writer = csv.DictWriter(out, [column.name for column in fields(Unit)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(unit) for unit in make_units(regions))
    return out.getvalue()


def _full_name(region: Region, regions: Regions) -> str:
    """A district's unit carries its city's name too: there is a 鼓楼区 in more than one city."""
    if region.level == "county" and region.name.endswith("区"):
        return regions[region.parent].name + region.name
    return region.name


def _organisation_body(region: Region, line: str, taken: set[str]) -> str:
    """Eight digits from a hash of who it is, so that a new department changes no other unit's code."""
    number = int.from_bytes(blake2b(f"{region.code}|{line}".encode(), digest_size=8).digest()) % 1_000_000
    while (body := f"01{number:06d}") in taken:
        number = (number + 1) % 1_000_000
    taken.add(body)
    return body


def main(path: Path = DATA_DIR / "units.csv") -> None:
    """Write ``units.csv``."""
    path.write_text(units_csv(Regions.load()), encoding="utf-8")


if __name__ == "__main__":
    main()
