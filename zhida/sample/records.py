"""Valid records of each dataset: what a careful department would report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

from schemas.units import Unit
from zhida.sample.population import Subject
from zhida.sample.world import World

Record = dict[str, Any]
LONG_TERM = date(2099, 12, 31)
#: Reported within seven working days, whatever holidays lie between, and also when midnight comes before judgement.
RECENT_DAYS = (1, 6)
_FINES = tuple(Decimal(n) for n in ("0.05", "0.1", "0.2", "0.5", "1", "1.5", "2", "3", "5", "8.8", "10", "20", "35.6"))
_GAINS = tuple(Decimal(n) for n in ("0.0125", "0.08", "0.3", "1.2", "2.65", "6"))
_REMARKS = (None, None, None, None, None, None, None, "", "首次报送", "由旧系统迁移")
#: Kinds of penalty with their weight; what each requires is filled in beside it.
_PENALTIES: tuple[str, ...] = (
    ("罚款",) * 10 + ("警告",) * 4 + ("警告;罚款",) * 3 + ("罚款;没收违法所得、没收非法财物",) * 2
)
_PENALTIES += ("通报批评", "责令停产停业", "吊销许可证件", "暂扣许可证件;罚款", "没收违法所得、没收非法财物", "其他")


def _category(subject: Subject) -> str:
    return {"person": "自然人", "company": "法人及非法人组织"}.get(subject.kind, "个体工商户")


def _envelope(unit: Unit, record_id: str) -> Record:
    return {"unit": unit.code, "record_id": record_id, "version": 1, "deleted": False}


def legal_person(world: World, subject: Subject, unit: Unit, random: Random) -> Record:
    """法人登记. *subject* has a USCC."""
    days = world.days.back
    age = (world.days.today - subject.founded).days
    state = random.random()
    long_term = state < 0.6
    record = _envelope(unit, f"DJ{world.next_number(unit.code, 'DJ'):08d}")
    record |= {
        "TYSHXYDM": subject.uscc,
        "JGMC": subject.name,
        "JGLX": "企业" if subject.kind == "company" else "个体工商户",
        "FDDBR": subject.representative,
        "FDDBRZJHM": subject.representative_id if state > 0.3 else None,
        "ZCZB": subject.capital,
        "CLRQ": subject.founded,
        "JYQXZ": subject.founded,
        "JYQXZI": LONG_TERM if long_term else date(subject.founded.year + 30, 1, 1),
        "JYFW": subject.scope,
        "ZS": subject.address,
        "XZQHDM": subject.county,
        "DJJG": unit.name,
        "DJJGDM": unit.code,
        "HZRQ": days[random.randint(1, min(age, 900))],
        "DJZT": "存续" if state < 0.93 else random.choice(("注销", "吊销", "迁出")),
        "LXDH": subject.telephone if state > 0.2 else None,
    }
    return record


#: Fields of the extended catalog: the province's, and one that Suzhou alone asks of its units.
_PROCEDURES = ("新办", "新办", "变更", "延续", "新办", None)
SUZHOU = "320500"
_GRADES = ("一般处罚", "从轻处罚", "一般处罚", "从重处罚", "减轻处罚")


def administrative_licence(world: World, subject: Subject, unit: Unit, random: Random) -> Record:
    """行政许可."""
    number = world.next_number(unit.code, "XK")
    decided = random.randint(*RECENT_DAYS)
    decision_day = world.days.back[decided]
    licence = random.choice(world.words.licences[unit.line])
    from_day = decision_day if random.random() < 0.9 else world.days.back[decided - 1]
    until = LONG_TERM if random.random() < 0.15 else world.days.ahead[random.choice((365, 1095, 1825)) - decided]
    person = subject.kind == "person"
    record = _envelope(unit, f"XK{decision_day:%Y%m}{number:06d}")
    record |= {
        "XK_XDR_MC": subject.name,
        "XK_XDR_LB": _category(subject),
        "XK_XDR_SHXYM": subject.uscc,
        "XK_XDR_GSZC": subject.registration,
        "XK_FRDB": None if person else subject.representative,
        "XK_XDR_ZJLX": "身份证" if person else None,
        "XK_XDR_ZJHM": subject.id_number,
        "XK_XKWS": licence.decision,
        "XK_WSH": f"{licence.prefix}许〔{decision_day.year}〕{number}号",
        "XK_XKLB": licence.kind,
        "XK_XKZS": licence.certificate,
        "XK_XKBH": f"{licence.prefix}{unit.region}{decision_day.year}{number:06d}",
        "XK_NR": licence.content,
        "XK_JDRQ": decision_day,
        "XK_YXQZ": from_day,
        "XK_YXQZI": until,
        "XK_XKJG": unit.name,
        "XK_XKJGDM": unit.code,
        "XK_ZT": "1" if random.random() < 0.97 else "2",
        "XK_LYDW": unit.name,
        "XK_LYDWDM": unit.code,
        "BZ": random.choice(_REMARKS),
        "XK_SXBM": f"32{number % 1000:03d}0{unit.region}",
        "XK_BLLX": _PROCEDURES[number % len(_PROCEDURES)],
    }
    return record


def administrative_penalty(world: World, subject: Subject, unit: Unit, random: Random) -> Record:
    """行政处罚."""
    number = world.next_number(unit.code, "CF")
    decided = random.randint(*RECENT_DAYS)
    decision_day = world.days.back[decided]
    offence = random.choice(world.words.penalties[unit.line])
    kinds = random.choice(_PENALTIES)
    fine = random.choice(_FINES) if "罚款" in kinds else None
    gains = random.choice(_GAINS) if "没收" in kinds else None
    publicity_ends = world.days.ahead[365 - decided]
    person = subject.kind == "person"
    record = _envelope(unit, f"CF{decision_day:%Y}-{number:06d}")
    record |= {
        "CF_XDR_MC": subject.name,
        "CF_XDR_LB": _category(subject),
        "CF_XDR_SHXYM": subject.uscc,
        "CF_XDR_GSZC": subject.registration,
        "CF_FRDB": None if person else subject.representative,
        "CF_XDR_ZJLX": "身份证" if person else None,
        "CF_XDR_ZJHM": subject.id_number,
        "CF_WSH": f"{unit.line[:1]}罚字〔{decision_day.year}〕{number}号",
        "CF_WFXW": offence.offence,
        "CF_SY": offence.facts,
        "CF_YJ": offence.basis,
        "CF_CFLB": kinds,
        "CF_NR": f"{kinds}{fine}万元" if fine is not None else kinds,
        "CF_NR_FK": fine,
        "CF_NR_WFFF": gains,
        "CF_NR_ZKDX": f"食品经营许可证JY{unit.region}{number:06d}" if "暂扣" in kinds or "吊销" in kinds else None,
        "CF_JDRQ": decision_day,
        "CF_YXQ": publicity_ends if random.random() < 0.3 else None,
        "CF_GSJZQ": publicity_ends,
        "CF_CFJG": unit.name,
        "CF_CFJGDM": unit.code,
        "CF_SJLY": unit.name,
        "CF_SJLYDM": unit.code,
        "BZ": random.choice(_REMARKS),
        "CF_CLJZ": _GRADES[number % len(_GRADES)] if unit.city == SUZHOU else None,
    }
    return record


_LISTING: tuple[str, ...] = ("未按规定期限公示年度报告",) * 5 + ("通过登记的住所或经营场所无法联系",) * 4
_LISTING += ("公示信息隐瞒真实情况或弄虚作假", "未按责令期限公示有关信息")
_REMOVAL = {
    "未按规定期限公示年度报告": "已补报年度报告并公示",
    "通过登记的住所或经营场所无法联系": "依法办理住所变更登记或可重新取得联系",
    "公示信息隐瞒真实情况或弄虚作假": "已更正其公示的信息",
    "未按责令期限公示有关信息": "已履行公示义务",
}


def abnormal_operation(world: World, subject: Subject, unit: Unit, random: Random) -> Record:
    """经营异常名录. *subject* is no person. What is reported is a listing or, one time in three, a removal."""
    number = world.next_number(unit.code, "YC")
    removed = random.random() < 0.33
    listing_day = world.days.back[random.randint(30, 900) if removed else random.randint(*RECENT_DAYS)]
    reason = random.choice(_LISTING)
    removal_day = world.days.back[random.randint(*RECENT_DAYS)] if removed else None
    record = _envelope(unit, f"YC{listing_day:%Y%m%d}{number:05d}")
    record |= {
        "QYMC": subject.name,
        "TYSHXYDM": subject.uscc,
        "GSZCH": subject.registration,
        "FDDBR": subject.representative,
        "LRYY": reason,
        "LRRQ": listing_day,
        "LRWSH": f"市监异列〔{listing_day.year}〕{number}号",
        "LRJG": unit.name,
        "LRJGDM": unit.code,
        "YCYY": _REMOVAL[reason] if removed else None,
        "YCRQ": removal_day,
        "YCWSH": f"市监异移〔{removal_day.year}〕{number}号" if removal_day else None,
        "YCJG": unit.name if removed else None,
        "BZ": random.choice(_REMARKS),
    }
    return record


Maker = Callable[[World, Subject, Unit, Random], Record]
MAKERS: dict[str, Maker] = {
    "legal_person": legal_person,
    "administrative_licence": administrative_licence,
    "administrative_penalty": administrative_penalty,
    "abnormal_operation": abnormal_operation,
}


def make_valid(dataset: str, world: World, random: Random, subject: Subject | None = None) -> tuple[Record, Subject]:
    """A valid record of *dataset* about *subject*, or about somebody."""
    subject = subject or world.subject(dataset, random)
    unit = world.reporter(dataset, subject, random)
    return MAKERS[dataset](world, subject, unit, random), subject


def revise(dataset: str, record: Record, version: int, random: Random) -> None:
    """Change what a department would change in a later version of the same record."""
    if dataset == "legal_person":
        record["LXDH"] = f"025-{random.randrange(10**7, 10**8)}"
        record["ZS"] = f"{record['ZS'].split('（')[0]}（第{version}次变更）"
    else:
        record["BZ"] = f"第{version}版，更正"
    if dataset == "administrative_licence":
        record["XK_ZT"] = random.choice("12")


def move_to(dataset: str, record: Record, world: World, random: Random, *, alone: bool) -> Subject:
    """Correct whom *record* is about: somebody else, who is returned; *alone* as for :meth:`World.subject`."""
    before = tuple(record.get(name) for name in ("TYSHXYDM", "XK_XDR_SHXYM", "CF_XDR_SHXYM"))
    while (subject := world.subject(dataset, random, alone=alone)).uscc and subject.uscc in before:
        pass
    if dataset == "legal_person":
        record.update(TYSHXYDM=subject.uscc, JGMC=subject.name, FDDBR=subject.representative, FDDBRZJHM=None)
    elif dataset == "abnormal_operation":
        record.update(
            QYMC=subject.name, TYSHXYDM=subject.uscc, GSZCH=subject.registration, FDDBR=subject.representative
        )
    else:
        person = subject.kind == "person"
        party = {
            "XDR_MC": subject.name,
            "XDR_LB": _category(subject),
            "XDR_SHXYM": subject.uscc,
            "XDR_GSZC": subject.registration,
            "FRDB": None if person else subject.representative,
            "XDR_ZJLX": "身份证" if person else None,
            "XDR_ZJHM": subject.id_number,
        }
        prefix = "XK" if dataset == "administrative_licence" else "CF"
        record.update((f"{prefix}_{name}", value) for name, value in party.items())
    return subject
