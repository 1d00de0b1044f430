"""A small valid file of penalties, and changes to it."""

from __future__ import annotations

from collections.abc import Callable

from connectors.file import Counts, Refusal

DryRun = Callable[..., tuple[Counts, list[Refusal]]]

#: One valid penalty, by field code.
PENALTY = {
    "CF_XDR_MC": "南京示例商贸有限公司",
    "CF_XDR_LB": "法人及非法人组织",
    "CF_XDR_SHXYM": "91320100MA1XXXXX0A",
    "CF_WSH": "宁市监罚〔2024〕1号",
    "CF_WFXW": "虚假宣传",
    "CF_SY": "在网页上作虚假宣传",
    "CF_YJ": "《广告法》第五十五条",
    "CF_CFLB": "罚款",
    "CF_NR": "罚款1万元",
    "CF_NR_FK": "1",
    "CF_JDRQ": "2024-01-05",
    "CF_GSJZQ": "2027-01-05",
    "CF_CFJG": "南京市市场监督管理局",
    "CF_CFJGDM": "11320100010564360Y",
    "CF_SJLY": "南京市市场监督管理局",
    "CF_SJLYDM": "11320100010564360Y",
}


def penalty_csv(rows: list[dict[str, str]], *, header: list[str] | None = None) -> str:
    """A CSV of penalties: each row is PENALTY with changes."""
    names = list(PENALTY) + sorted({name for row in rows for name in row} - PENALTY.keys())
    lines = [",".join(header or names)]
    lines += [",".join((PENALTY | row).get(name, "") for name in names) for row in rows]
    return "\n".join(lines) + "\n"
