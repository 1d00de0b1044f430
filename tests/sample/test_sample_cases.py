"""Cases of the sample, and what the oracle says of them, whatever is judged first."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import polars as pl
import pytest
from sample_province import SHARES, TODAY, Sample, make_sample
from small_platform import SmallPlatform

from rules.ruleset import RuleSet
from zhida.sample.cases import BROKEN
from zhida.sample.generate import UNRELATED
from zhida.sample.verify import check_feedback

#: Every case comes more than once.
CASES = replace(SHARES, rejected=0.03, suspect=0.05, linked=0.03, lookalikes=0.05)


@pytest.fixture(scope="module")
def cases() -> Sample:
    return make_sample(4000, seed=77, shares=CASES)


@pytest.fixture(scope="module")
def rules(cases: Sample) -> RuleSet:
    return RuleSet.load(cases.catalog)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_final_verdicts_are_the_oracles_in_whatever_order_partitions_are_read(
    cases: Sample, rules: RuleSet, seed: int
) -> None:
    platform = SmallPlatform(cases, rules, TODAY, Random(seed))
    platform.run()
    found = platform.found()
    answers = cases.answers.settled(found)
    expected = answers.verdicts.join(platform.placements, on="seq")
    assert platform.judged_again > 100
    differing = expected.join(found, on="seq", suffix="_found").filter(
        (pl.col("verdict") != pl.col("verdict_found")) | (pl.col("rules") != pl.col("rules_found"))
    )
    assert differing.select("seq", "dataset", "verdict", "rules", "verdict_found", "rules_found").rows() == []
    check = check_feedback(expected, platform.feedback)
    assert check.ok, check.samples
    assert any(told.verdict == "accepted" for _, told in platform.feedback)


def test_records_that_are_unrelated_are_all_accepted_without_being_judged_again(rules: RuleSet) -> None:
    sample = make_sample(500, shares=UNRELATED)
    platform = SmallPlatform(sample, rules, TODAY, Random(3))
    platform.run()
    assert (set(platform.found()["verdict"]), platform.feedback, platform.judged_again) == ({"accepted"}, [], 0)


def test_every_case_is_there_and_breaks_its_rules_once(cases: Sample) -> None:
    broken = Counter(message.expected.rules for message in cases.messages)
    assert all(broken[case.rules] >= 2 for case in BROKEN)


def test_of_a_group_the_oracle_takes_either_for_the_first_and_nothing_else(cases: Sample) -> None:
    plain = cases.answers.verdicts
    group = plain.filter(pl.col("group") > 0).sort("group", "seq")
    pairs = group.partition_by("group", maintain_order=True)
    assert all(pair["verdict"].sort().to_list() == ["accepted", "suspect"] for pair in pairs)
    pair = pairs[0]
    turned = plain.with_columns(
        verdict=pl.when(pl.col("seq").is_in(pair["seq"].implode()))
        .then(pl.col("verdict").replace({"accepted": "suspect", "suspect": "accepted"}))
        .otherwise("verdict")
    )
    settled = cases.answers.settled(turned)
    now = settled.verdicts.filter(pl.col("group") == pair["group"][0]).sort("seq")
    assert now["verdict"].to_list() == pair["verdict"].to_list()[::-1]
    assert now["rules"].to_list() == pair["rules"].to_list()[::-1]
    assert now["told"].to_list() == [row["unit"] if row["verdict"] == "suspect" else "" for row in now.to_dicts()]
    stored = settled.records[pair["dataset"][0]].filter(pl.col("seq").is_in(pair["seq"].implode())).sort("seq")
    assert stored["verdict"].to_list() == now["verdict"].to_list()
    both = plain.with_columns(verdict=pl.when(pl.col("group") > 0).then(pl.lit("suspect")).otherwise("verdict"))
    assert cases.answers.settled(both).verdicts.equals(plain)
    assert cases.answers.settled(plain).verdicts.equals(plain)
