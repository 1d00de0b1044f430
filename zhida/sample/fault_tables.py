"""The faults of every dataset, rule by rule, in the order of the rule library."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache

from zhida.sample.faults import (
    COMPANY,
    ORGANISATIONS,
    PERSON,
    SHOP,
    WITH_USCC,
    Draw,
    Fault,
    FaultTable,
    Record,
    Spoil,
    bad_registration,
    bad_uscc,
    before,
    blank,
    days_after,
    decided_long_ago,
    decimals,
    either,
    fields,
    future,
    in_turn,
    null,
    one_of,
    recently,
    too_long,
)
from zhida.sample.identifiers import break_id_number
from zhida.sample.records import LONG_TERM


def _bad_id_number(field: str, *, keep_length: bool = False) -> Spoil:
    def spoil(record: Record, draw: Draw) -> Sequence[str]:
        right = record[field] or "320102199003075619"
        while len(wrong := break_id_number(right, draw.random)) != 18 and keep_length:
            pass
        record[field] = wrong
        return ()

    return spoil


def _party(table: FaultTable, prefix: str) -> None:
    """Who the record is about: the same fields in licences and penalties."""
    name, kind, uscc, registration, document, number = (
        f"{prefix}_XDR_{part}" for part in ("MC", "LB", "SHXYM", "GSZC", "ZJLX", "ZJHM")
    )
    table.add(f"{name}.required", blank(name))
    table.add(f"{name}.length", either(one_of(name, "某", "无"), too_long(name, 200)))
    table.add(f"{kind}.required", blank(kind), group="party")
    table.add(f"{kind}.enumeration", one_of(kind, "法人", "企业", "个人", "自然人 ", "0"), group="party")
    table.add(f"{uscc}.required", blank(uscc), group="party", subjects=COMPANY)
    table.add(f"{uscc}.required.sole_trader", blank(uscc), group="party", subjects=SHOP)
    table.add(f"{uscc}.uscc", bad_uscc(uscc), group="party", subjects=WITH_USCC)
    table.suspect(
        f"{uscc}.absent", one_of(uscc, "91440300708461136T", "914403001922038216"), group="party", subjects=PERSON
    )
    table.add(f"{registration}.pattern", bad_registration(registration), group="party", subjects=ORGANISATIONS)
    table.add(f"{document}.required", blank(document), group="party", subjects=PERSON)
    table.add(f"{document}.enumeration", one_of(document, "驾驶证", "其他", "1"), group="party", subjects=PERSON)
    table.add(f"{number}.required", blank(number), group="party", subjects=PERSON)
    table.add(f"{number}.id_number", _bad_id_number(number), group="party", subjects=PERSON)


def _authority(table: FaultTable, field: str) -> None:
    table.add(f"{field}.required", blank(field))
    table.add(f"{field}.uscc", bad_uscc(field))


def administrative_licence() -> FaultTable:
    """行政许可."""
    table = FaultTable("administrative_licence")
    table.envelope()
    _party(table, "XK")
    table.suspect("XK_FRDB.required", blank("XK_FRDB"), group="party", subjects=COMPANY)
    table.required("XK_XKWS", "XK_WSH", "XK_XKLB", "XK_NR", "XK_XKJG", "XK_ZT", "XK_LYDW")
    table.add("XK_WSH.length", either(one_of("XK_WSH", "1", "号"), too_long("XK_WSH", 64)))
    table.add("XK_XKLB.enumeration", one_of("XK_XKLB", "行政许可", "普通许可", "01"))
    table.add("XK_ZT.enumeration", one_of("XK_ZT", "0", "3", "有效"))
    table.add("XK_SXBM.length", too_long("XK_SXBM", 64))
    table.add("XK_BLLX.enumeration", one_of("XK_BLLX", "首次申请", "换证", "01"))
    _authority(table, "XK_XKJGDM")
    _authority(table, "XK_LYDWDM")

    def decided_later(record: Record, draw: Draw) -> Sequence[str]:
        record["XK_YXQZI"] = LONG_TERM
        if draw.random.random() < 0.5:
            return ("XK_YXQZ.date_order",)  # the validity stays where it was, before the decision
        record["XK_YXQZ"] = record["XK_JDRQ"]
        return ()

    table.add("XK_JDRQ.required", null("XK_JDRQ"), group="dates")
    table.add("XK_JDRQ.not_future", future("XK_JDRQ", decided_later), group="dates")
    late = "XK_JDRQ.workday_deadline"
    table.suspect(
        late, decided_long_ago("XK_JDRQ", date(2004, 7, 1), date(2019, 2, 28), date(2025, 10, 9)), group="dates"
    )
    before_the_law = (date(2004, 6, 30), date(1990, 1, 1), date(1900, 1, 1))
    table.suspect("XK_JDRQ.range", decided_long_ago("XK_JDRQ", *before_the_law, breaks=(late,)), group="dates")
    table.add("XK_YXQZ.required", null("XK_YXQZ"), group="dates")
    table.suspect("XK_YXQZ.date_order", before("XK_YXQZ", "XK_JDRQ"), group="dates")
    table.add("XK_YXQZI.required", null("XK_YXQZI"), group="dates")
    table.add("XK_YXQZI.date_order", before("XK_YXQZI", "XK_YXQZ"), group="dates")
    table.add("XK_YXQZI.range", one_of("XK_YXQZI", date(2100, 1, 1), date(9999, 12, 31)), group="dates")
    return table


def administrative_penalty() -> FaultTable:
    """行政处罚."""
    table = FaultTable("administrative_penalty")
    table.envelope()
    _party(table, "CF")
    table.required("CF_WSH", "CF_WFXW", "CF_SY", "CF_YJ", "CF_NR", "CF_CFJG", "CF_SJLY")
    _authority(table, "CF_CFJGDM")
    _authority(table, "CF_SJLYDM")
    table.add("CF_CLJZ.enumeration", one_of("CF_CLJZ", "较重处罚", "一般", "1"))
    _money(table)

    def decided_later(record: Record, draw: Draw) -> Sequence[str]:
        record["CF_YXQ"] = None
        if draw.random.random() < 0.5:
            record["CF_GSJZQ"] = draw.today
            return ("CF_GSJZQ.date_order",)
        record["CF_GSJZQ"] = record["CF_JDRQ"] + timedelta(days=365)
        return ()

    table.add("CF_JDRQ.required", null("CF_JDRQ"), group="dates")
    table.add("CF_JDRQ.not_future", future("CF_JDRQ", decided_later), group="dates")
    late = "CF_JDRQ.workday_deadline"
    table.suspect(
        late, decided_long_ago("CF_JDRQ", date(1996, 10, 1), date(2019, 2, 28), date(2025, 10, 9)), group="dates"
    )
    before_the_law = (date(1996, 9, 30), date(1970, 1, 1), date(1900, 1, 1))
    table.add("CF_JDRQ.range", decided_long_ago("CF_JDRQ", *before_the_law, breaks=(late,)), group="dates")
    table.suspect("CF_YXQ.date_order", before("CF_YXQ", "CF_JDRQ"), group="dates")
    table.add("CF_YXQ.range", one_of("CF_YXQ", date(2100, 1, 1), date(9999, 12, 31)), group="dates")
    table.add("CF_GSJZQ.range", one_of("CF_GSJZQ", date(2100, 1, 1), date(9999, 12, 31)), group="dates")
    table.add("CF_GSJZQ.required", null("CF_GSJZQ"), group="dates")
    table.add("CF_GSJZQ.date_order", before("CF_GSJZQ", "CF_JDRQ"), group="dates")
    return table


def _money(table: FaultTable) -> None:
    """Kinds of penalty and the amounts that go with them; each fault sets them all, whatever the record had."""
    gains = "没收违法所得、没收非法财物"
    one, nothing = decimals("1.5")[0], None

    def amounts(kinds: str, fine: object, confiscated: object, licence: str | None = None) -> Spoil:
        return fields(CF_CFLB=kinds, CF_NR_FK=fine, CF_NR_WFFF=confiscated, CF_NR_ZKDX=licence)

    def add(rule: str, *spoils: Spoil, suspect: bool = False) -> None:
        (table.suspect if suspect else table.add)(rule, either(*spoils), group="money")

    add("CF_CFLB.required", *(fields(CF_CFLB=empty, CF_NR_FK=None, CF_NR_WFFF=None) for empty in (None, "", " ")))
    add("CF_CFLB.enumeration", *(amounts(kinds, nothing, nothing) for kinds in ("罚金", "警告;罚金", "其它", "01")))
    add("CF_NR_FK.required", amounts("罚款", nothing, nothing), amounts("警告;罚款", nothing, nothing))
    add("CF_NR_FK.range", *(amounts("罚款", amount, nothing) for amount in decimals("0", "-0.5", "-20")))
    add("CF_NR_FK.range.without_fine", amounts("警告", one, nothing), amounts(gains, one, one), suspect=True)
    add(
        "CF_NR_FK.range.outlier", *(amounts("罚款", n, nothing) for n in decimals("100000.01", "2000000")), suspect=True
    )
    add("CF_NR_WFFF.required", amounts(gains, nothing, nothing), amounts(f"罚款;{gains}", one, nothing))
    add("CF_NR_WFFF.range", amounts(gains, nothing, decimals("-0.000001")[0]), amounts("罚款", one, decimals("-3")[0]))
    add("CF_NR_WFFF.range.outlier", *(amounts(gains, nothing, n) for n in decimals("100001", "3141592")), suspect=True)
    add(
        "CF_NR_ZKDX.required",
        amounts("暂扣许可证件", nothing, nothing),
        amounts("吊销许可证件;罚款", one, nothing, " "),
    )


def abnormal_operation() -> FaultTable:
    """经营异常名录."""
    table = FaultTable("abnormal_operation")
    table.envelope()
    table.required("QYMC", "LRYY", "LRWSH", "LRJG")
    table.add("QYMC.length", either(one_of("QYMC", "某", "店"), too_long("QYMC", 200)))
    table.add("TYSHXYDM.required", fields(TYSHXYDM=None, GSZCH=None), group="party")
    table.add("TYSHXYDM.uscc", bad_uscc("TYSHXYDM"), group="party", subjects=WITH_USCC)
    table.add("GSZCH.pattern", bad_registration("GSZCH"), group="party")
    table.add("LRYY.enumeration", one_of("LRYY", "未年报", "失联", "1"))
    table.add("LRWSH.length", either(one_of("LRWSH", "1", "号"), too_long("LRWSH", 64)))
    _authority(table, "LRJGDM")

    def listed(record: Record, draw: Draw) -> Sequence[str]:
        """Still on the list, since a few days ago."""
        record.update(YCYY=None, YCRQ=None, YCWSH=None, YCJG=None)
        record["LRRQ"] = recently(draw)
        return ()

    def removed(record: Record, draw: Draw) -> None:
        """Off the list since a few days ago."""
        record.update(YCYY="已履行公示义务", YCWSH="市监异移〔2025〕1号", YCJG="市场监督管理局")
        record["YCRQ"] = recently(draw)
        record["LRRQ"] = days_after(record["YCRQ"], -900, -30, draw)

    def removed_but(rule: str, field: str, *values: object, suspect: bool = False) -> None:
        def spoil(record: Record, draw: Draw) -> Sequence[str]:
            removed(record, draw)
            record[field] = draw.random.choice(values)
            return ()

        (table.suspect if suspect else table.add)(rule, spoil, group="listing")

    def no_day_of_removal(record: Record, draw: Draw) -> Sequence[str]:
        removed(record, draw)
        record.update(YCRQ=None, LRRQ=recently(draw))
        return ()

    def removed_early(record: Record, draw: Draw) -> Sequence[str]:
        removed(record, draw)
        record["LRRQ"] = draw.today - timedelta(days=1)
        return before("YCRQ", "LRRQ", 1, 5)(record, draw)

    def removed_late(record: Record, draw: Draw) -> Sequence[str]:
        removed(record, draw)
        return future("YCRQ")(record, draw)

    def told_late(record: Record, draw: Draw) -> Sequence[str]:
        removed(record, draw)
        record["LRRQ"] = date(2014, 10, 8)
        record["YCRQ"] = draw.random.choice((date(2014, 10, 8), date(2019, 2, 28), date(2025, 10, 9)))
        return ()

    def listed_before_the_law(record: Record, draw: Draw) -> Sequence[str]:
        days = one_of("LRRQ", date(2014, 9, 30), date(1999, 5, 20), date(1900, 1, 1))
        if draw.random.random() < 0.5:
            removed(record, draw)
            return days(record, draw)
        listed(record, draw)
        days(record, draw)
        return (late,)

    late = "LRRQ.workday_deadline"
    table.suspect(
        late,
        in_turn(listed, one_of("LRRQ", date(2014, 10, 1), date(2019, 2, 28), date(2025, 10, 9))),
        group="listing",
    )
    table.suspect("YCRQ.workday_deadline", told_late, group="listing")
    table.add("LRRQ.required", null("LRRQ"), group="listing")
    table.add("LRRQ.not_future", in_turn(listed, future("LRRQ")), group="listing")
    table.add("LRRQ.range", listed_before_the_law, group="listing")
    removed_but("YCYY.required", "YCYY", None, "", " ")
    removed_but("YCYY.enumeration", "YCYY", "已年报", "其他", "2")
    table.add("YCRQ.required", no_day_of_removal, group="listing")
    table.add("YCRQ.date_order", removed_early, group="listing")
    table.add("YCRQ.not_future", removed_late, group="listing")
    removed_but("YCWSH.required", "YCWSH", None, "", suspect=True)
    removed_but("YCJG.required", "YCJG", None, "", "  ")
    table.add("BZ.length", too_long("BZ", 512))
    return table


def legal_person() -> FaultTable:
    """法人登记."""
    table = FaultTable("legal_person")
    table.envelope()
    table.required("TYSHXYDM", "JGMC", "FDDBR", "JYFW", "ZS", "XZQHDM", "DJJG", "DJZT")
    table.add("TYSHXYDM.uscc", bad_uscc("TYSHXYDM"))
    table.add("JGMC.length", either(one_of("JGMC", "某", "店"), too_long("JGMC", 200)))
    table.add("JGLX.required", blank("JGLX"), group="kind")
    table.add("JGLX.enumeration", one_of("JGLX", "公司", "企业 ", "1"), group="kind")
    table.add("FDDBR.length", either(one_of("FDDBR", "张", "王"), too_long("FDDBR", 50)))
    table.suspect("FDDBRZJHM.id_number", _bad_id_number("FDDBRZJHM", keep_length=True))
    table.suspect("ZCZB.required", null("ZCZB"), group="kind", subjects=COMPANY)
    table.add("ZCZB.range", one_of("ZCZB", *decimals("-1", "-0.000001")), group="kind")
    table.suspect("ZCZB.range.outlier", one_of("ZCZB", *decimals("50000000.01", "999999999999.999999")), group="kind")
    table.suspect("ZS.length", either(one_of("ZS", "南京", "1号"), too_long("ZS", 300)))
    table.add("XZQHDM.pattern", one_of("XZQHDM", "32010", "3201021", "020102", "32010A", "南京市"))
    _authority(table, "DJJGDM")
    table.add("DJZT.enumeration", one_of("DJZT", "在业", "正常", "1"))
    table.suspect("LXDH.pattern", one_of("LXDH", "无", "138123", "138123456789012345678", "电话同上"))
    table.add("CLRQ.required", null("CLRQ"), group="dates")
    table.add("CLRQ.not_future", future("CLRQ", lambda record, draw: ("HZRQ.date_order",)), group="dates")
    table.suspect("CLRQ.range", one_of("CLRQ", date(1949, 9, 30), date(1900, 1, 1)), group="dates")
    table.add("HZRQ.required", null("HZRQ"), group="dates")
    table.add("HZRQ.not_future", future("HZRQ"), group="dates")
    table.add("HZRQ.date_order", before("HZRQ", "CLRQ"), group="dates")
    table.add("JYQXZI.date_order", before("JYQXZI", "JYQXZ"), group="term")
    table.add("JYQXZI.range", one_of("JYQXZI", date(2100, 1, 1), date(9999, 12, 31)), group="term")
    return table


@cache
def all_faults() -> dict[str, tuple[Fault, ...]]:
    """The faults of each dataset."""
    tables = (legal_person(), administrative_licence(), administrative_penalty(), abnormal_operation())
    return {table.dataset: tuple(table.faults) for table in tables}
