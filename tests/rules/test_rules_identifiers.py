"""Check digits: known identifiers, computed ones, and every way to get one character wrong."""

from __future__ import annotations

from datetime import date
from random import Random

import numpy as np
import pytest

from rules.identifiers import USCC_ALPHABET, id_number_fails, id_number_is_valid, uscc_fails, uscc_is_valid
from zhida.sample.identifiers import make_id_number, make_uscc

TODAY = date(2026, 6, 30)


def matrix(texts: list[str]) -> np.ndarray:
    return np.frombuffer("".join(texts).encode("latin-1"), np.uint8).reshape(-1, 18)


@pytest.mark.parametrize(
    "code",
    [
        "91440300708461136T",  # 深圳市腾讯计算机系统
        "914403001922038216",  # 华为技术
        "91110000802100433B",  # 百度在线网络技术（北京）
        "91330100799655058B",  # 阿里巴巴（中国）网络技术
        "91110108551385082Q",  # 小米科技
    ],
)
def test_codes_of_well_known_companies_are_valid(code: str) -> None:
    assert uscc_is_valid(code)
    assert not uscc_fails(matrix([code])).any()


def test_computed_codes_are_valid_whatever_their_check_characters() -> None:
    random = Random(1)
    codes = []
    for _ in range(3000):
        body = "".join(random.choice(USCC_ALPHABET) for _ in range(8))
        codes.append(make_uscc(random.choice("159Y"), random.choice("123"), f"32{random.randrange(10000):04}", body))
    assert {code[16] for code in codes} == set("0123456789X")
    assert {code[17] for code in codes} == set(USCC_ALPHABET)
    assert all(map(uscc_is_valid, codes))
    assert not uscc_fails(matrix(codes)).any()


def test_one_wrong_character_is_noticed_at_every_place() -> None:
    code = "91440300708461136T"
    wrong = [code[:at] + chr(byte) + code[at + 1 :] for at in range(18) for byte in range(256) if chr(byte) != code[at]]
    assert uscc_fails(matrix(wrong)).tolist() == [not uscc_is_valid(text) for text in wrong]
    assert not any(uscc_is_valid(text) for text in wrong)


def test_neighbours_that_changed_places_are_noticed() -> None:
    code = "91440300708461136T"
    swapped = [code[:at] + code[at + 1] + code[at] + code[at + 2 :] for at in range(17) if code[at] != code[at + 1]]
    assert not any(uscc_is_valid(text) for text in swapped)
    assert uscc_fails(matrix(swapped)).all()


def test_letters_that_are_not_in_the_alphabet_are_refused() -> None:
    for letter in "IOSVZ":
        assert not uscc_is_valid(f"91440300{letter}08461136T")


@pytest.mark.parametrize("number", ["11010519491231002X", "440524188001010014", "320102199003075619"])
def test_the_two_ways_agree_on_published_identity_numbers(number: str) -> None:
    valid = number[6:10] >= "1900"  # GB 11643's own second example was born in 1880
    assert id_number_is_valid(number, TODAY) == valid
    assert id_number_fails(matrix([number]), TODAY).tolist() == [not valid]


def test_identity_numbers_need_a_real_birth_date_that_is_not_in_the_future() -> None:
    dates = [
        "19900229",
        "20000229",
        "19000229",
        "19001301",
        "19000001",
        "19990431",
        "19990400",
        "20260630",
        "20260701",
        "18991231",
    ]
    numbers = [_with_check(f"320102{born}123") for born in dates]
    valid = [False, True, False, False, False, False, False, True, False, False]
    assert [id_number_is_valid(number, TODAY) for number in numbers] == valid
    assert (~id_number_fails(matrix(numbers), TODAY)).tolist() == valid


def test_identity_numbers_need_a_region_that_exists() -> None:
    regions = ["11", "32", "65", "71", "81", "82", "83", "91", "10", "16", "00", "99", "66"]
    numbers = [_with_check(f"{region}010219900307123") for region in regions]
    valid = [region not in {"10", "16", "00", "99", "66"} for region in regions]
    assert [id_number_is_valid(number, TODAY) for number in numbers] == valid
    assert (~id_number_fails(matrix(numbers), TODAY)).tolist() == valid


def test_one_wrong_character_of_an_identity_number_is_noticed() -> None:
    number = make_id_number("320102", date(1990, 3, 7), 561)
    wrong = [
        number[:at] + chr(byte) + number[at + 1 :] for at in range(18) for byte in range(256) if chr(byte) != number[at]
    ]
    assert not any(id_number_is_valid(text, TODAY) for text in wrong)
    assert id_number_fails(matrix(wrong), TODAY).all()


def _with_check(first17: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return (
        first17 + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(first17, weights, strict=True)) % 11]
    )
