"""Check digits of the unified social credit code (GB 32100-2015) and of the identity number (GB 11643-1999).

Each exists for one value, close to the text of its standard, and for a column of them: the column's bytes are looked at
two characters at a time, and one table per pair of positions holds what the pair adds to every checksum at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache, lru_cache
from operator import mul

import numpy as np
import numpy.typing as npt

from rules.strings import Bytes, Mask

Table = npt.NDArray[np.int32]

WIDTH = 18
_NO_VALUE = 255

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
#: 3^(i-1) mod 31; the eighteenth character counts once.
USCC_WEIGHTS = (*(pow(3, i, 31) for i in range(17)), 1)
#: GB 11714 over characters 9 to 16; its check character, the seventeenth, counts once, X there being 10 and not 33.
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2, 1)

_DIGITS = {digit: int(digit) for digit in "0123456789"}
_USCC_VALUES = {character: value for value, character in enumerate(USCC_ALPHABET)}
_ORGANISATION_VALUES = {**_DIGITS, **{chr(65 + i): 10 + i for i in range(26)}}
_DIGITS_AND_X = {**_DIGITS, "X": 10}

#: The first two digits of a region: provinces, Hong Kong, Macau and Taiwan (residence permits too), 91 for foreigners.
ID_REGIONS: tuple[str, ...] = (
    *("11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41", "42", "43", "44"),
    *("45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65", "71", "81", "82", "83", "91"),
)
_FIRST_BIRTH_YEAR = 1900


def _translation(values: Mapping[str, int]) -> bytes:
    return bytes(values.get(chr(byte), _NO_VALUE) for byte in range(256))


_USCC_OF_BYTE = _translation(_USCC_VALUES)
_DIGITS_AND_X_OF_BYTE = _translation(_DIGITS_AND_X)
_ORGANISATION_OF_BYTE = _translation(_ORGANISATION_VALUES)


def uscc_is_valid(code: str) -> bool:
    """True for 18 characters of the alphabet, region digits at 3 to 8, and both check characters right."""
    return len(code) == WIDTH and code.isascii() and _uscc_checks(code)


@lru_cache(maxsize=1 << 14)  # a few thousand authorities' codes come with every record
def _uscc_checks(code: str) -> bool:
    raw = code.encode("ascii")
    values = raw.translate(_USCC_OF_BYTE)
    organisation = raw[8:16].translate(_ORGANISATION_OF_BYTE)
    return (
        _NO_VALUE not in values
        and code[2:8].isdigit()
        and code[16] in _DIGITS_AND_X
        and sum(map(mul, values, USCC_WEIGHTS)) % 31 == 0
        and (sum(map(mul, organisation, ORGANISATION_WEIGHTS)) + _DIGITS_AND_X[code[16]]) % 11 == 0
    )


def id_number_is_valid(number: str, today: date, regions: Iterable[str] = ID_REGIONS) -> bool:
    """True for a known region, a birth date from 1900 to *today*, and the right check character."""
    if len(number) != WIDTH or not number.isascii() or not number[:17].isdigit() or number[:2] not in regions:
        return False
    if number[17] not in _DIGITS_AND_X:
        return False
    try:
        birth = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    if birth.year < _FIRST_BIRTH_YEAR or birth > today:
        return False
    total: int = sum(map(mul, number.encode("ascii").translate(_DIGITS_AND_X_OF_BYTE), ID_WEIGHTS))
    return total % 11 == 1


def uscc_fails(matrix: Bytes) -> Mask:
    """One code a row of an (n, 18) matrix of bytes: true where it is not valid."""
    tables, sum_fails, organisation_fails = _uscc_tables()
    total = _totals(matrix, tables)
    organisation = (total >> _ORGANISATION_SHIFT) & (len(organisation_fails) - 1)
    fails: Mask = sum_fails.take(total & _SUM_BITS)
    fails |= organisation_fails.take(organisation)
    fails |= total >= 1 << _INVALID_SHIFT
    return fails


def id_number_fails(matrix: Bytes, today: date, regions: tuple[str, ...] = ID_REGIONS) -> Mask:
    """One identity number a row of an (n, 18) matrix of bytes: true where it is not valid as of *today*."""
    tables, sum_fails = _id_tables(regions)
    total = _totals(matrix, tables)
    fails: Mask = sum_fails.take(total & _SUM_BITS)
    fails |= total >= 1 << _INVALID_SHIFT
    digits = matrix[:, 6:14].astype(np.int32) - ord("0")
    year = digits[:, :4] @ np.array([1000, 100, 10, 1], np.int32)
    month, day = digits[:, 4] * 10 + digits[:, 5], digits[:, 6] * 10 + digits[:, 7]
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    month_exists = (month >= 1) & (month <= 12)
    days = _DAYS[np.where(month_exists, month, 0)] + (leap & (month == 2))
    born = year * 10000 + month * 100 + day
    latest = today.year * 10000 + today.month * 100 + today.day
    fails |= ~month_exists | (day < 1) | (day > days) | (year < _FIRST_BIRTH_YEAR) | (born > latest)
    return fails


_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int32)


# A cell of a pair table: bits 0-13 the sum for modulus 31 (or 11 for identity numbers), bits 14-25 the sum of the
# organisation code, from bit 26 on the number of pairs with a character that has no value at its place.
_ORGANISATION_SHIFT = 14
_INVALID_SHIFT = 26
_SUM_BITS = (1 << _ORGANISATION_SHIFT) - 1


def _pair_table(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> Table:
    """Contributions of all 65,536 pairs, indexed by the pair as a little-endian number; a negative one is invalid."""
    cells = second[:, None] + first[None, :]
    cells[(second < 0)[:, None] | (first < 0)[None, :]] = 1 << _INVALID_SHIFT
    return cells.astype(np.int32).ravel()


def _contributions(values: Mapping[str, int], weight: int, shift: int = 0) -> npt.NDArray[np.int64]:
    cells = np.full(256, -1, np.int64)
    for character, value in values.items():
        cells[ord(character)] = (value * weight) << shift
    return cells


def _both(cells: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The sum of both; invalid where either is."""
    return np.where((cells < 0) | (others < 0), -1, cells + others)


def _pair_tables(cells: list[npt.NDArray[np.int64]]) -> list[Table]:
    return [_pair_table(cells[at], cells[at + 1]) for at in range(0, WIDTH, 2)]


@cache
def _uscc_tables() -> tuple[list[Table], Mask, Mask]:
    cells = []
    for at, weight in enumerate(USCC_WEIGHTS):
        column = _contributions(_USCC_VALUES, weight)
        if 8 <= at <= 15:
            column = _both(
                column, _contributions(_ORGANISATION_VALUES, ORGANISATION_WEIGHTS[at - 8], _ORGANISATION_SHIFT)
            )
        elif at == 16:
            column = _both(column, _contributions(_DIGITS_AND_X, 1, _ORGANISATION_SHIFT))
        elif 2 <= at <= 7:
            column = _both(column, _contributions(_DIGITS, 0))
        cells.append(column)
    sums = np.arange(1 << _ORGANISATION_SHIFT) % 31 != 0
    # Above the organisation's sum come the invalid pairs; 12 bits hold the sum, and a look-up must not run over.
    organisations = np.arange(1 << (_INVALID_SHIFT - _ORGANISATION_SHIFT)) % 11 != 0
    return _pair_tables(cells), sums, organisations


@cache
def _id_tables(regions: tuple[str, ...]) -> tuple[list[Table], Mask]:
    cells = [_contributions(_DIGITS, weight) for weight in ID_WEIGHTS[:-1]]
    cells.append(_contributions(_DIGITS_AND_X, ID_WEIGHTS[-1]))
    tables = _pair_tables(cells)
    known = np.array([ord(region[0]) | ord(region[1]) << 8 for region in regions])
    unknown = np.ones(1 << 16, np.bool_)
    unknown[known] = False
    tables[0][unknown] = 1 << _INVALID_SHIFT
    return tables, np.arange(1 << _ORGANISATION_SHIFT) % 11 != 1


def _totals(matrix: Bytes, tables: list[Table]) -> npt.NDArray[np.int32]:
    pairs = matrix.view("<u2")
    total = tables[0].take(pairs[:, 0])
    for at in range(1, len(tables)):
        total += tables[at].take(pairs[:, at])
    return total
