"""Unified social credit codes and identity numbers with right check digits, and wrong ones on purpose.

Written from the standards (GB 32100-2015, GB 11714-1997, GB 11643-1999) and without a look at ``rules/``: what the
oracle calls valid must not depend on the code that it judges.
"""

from __future__ import annotations

from datetime import date
from random import Random

#: GB 32100-2015: values 0 to 30 in this order; I, O, S, V and Z are not used.
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_VALUE = {character: value for value, character in enumerate(USCC_ALPHABET)}
_USCC_WEIGHTS = tuple(pow(3, position, 31) for position in range(17))
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORGANISATION_CHECK = "0X987654321"  # index: weighted sum mod 11
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECK = "10X98765432"  # index: weighted sum mod 11


def organisation_check(body: str) -> str:
    """The ninth character of an organisation code (GB 11714) whose first eight are *body*."""
    total = sum(int(character, 36) * weight for character, weight in zip(body, _ORGANISATION_WEIGHTS, strict=True))
    return _ORGANISATION_CHECK[total % 11]


def uscc_check(first17: str) -> str:
    """The eighteenth character of a unified social credit code whose first seventeen are *first17*."""
    total = sum(_USCC_VALUE[character] * weight for character, weight in zip(first17, _USCC_WEIGHTS, strict=True))
    return USCC_ALPHABET[-total % 31]


def make_uscc(authority: str, kind: str, region: str, body: str) -> str:
    """A valid code: one character each of authority and kind, six of the region, eight of the organisation's body."""
    first17 = f"{authority}{kind}{region}{body}{organisation_check(body)}"
    return first17 + uscc_check(first17)


def id_check(first17: str) -> str:
    """The eighteenth character of an identity number whose first seventeen digits are *first17*."""
    return _ID_CHECK[sum(int(digit) * weight for digit, weight in zip(first17, _ID_WEIGHTS, strict=True)) % 11]


def make_id_number(region: str, born: date, sequence: int) -> str:
    """A valid identity number; *sequence* (0 to 999) is odd for men and even for women."""
    first17 = f"{region}{born:%Y%m%d}{sequence:03d}"
    return first17 + id_check(first17)


def is_uscc(text: str) -> bool:
    """True for a code whose form and both check characters are right."""
    if len(text) != 18 or any(character not in _USCC_VALUE for character in text):
        return False
    return organisation_check(text[8:16]) == text[16] and uscc_check(text[:17]) == text[17]


def is_id_number(text: str) -> bool:
    """True for an 18-character identity number with a real birth date and the right check character."""
    if len(text) != 18 or not (text[:17].isascii() and text[:17].isdigit()):
        return False
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    return id_check(text[:17]) == text[17]


def break_uscc(uscc: str, random: Random) -> str:
    """*uscc* as a tired clerk might type it: still 18 characters or not, but never valid."""
    match random.randrange(5):
        case 0:  # wrong check character
            return uscc[:17] + _other(uscc[17], USCC_ALPHABET, random)
        case 1:  # wrong check of the organisation code, the last character right again
            first17 = uscc[:16] + _other(uscc[16], "0123456789X", random)
            return first17 + uscc_check(first17)
        case 2:  # two neighbours swapped, in the organisation's body
            position = next((i for i in range(8, 15) if uscc[i] != uscc[i + 1]), None)
            if position is None:
                return uscc[:17] + _other(uscc[17], USCC_ALPHABET, random)
            swapped = uscc[:position] + uscc[position + 1] + uscc[position] + uscc[position + 2 :]
            return swapped if not is_uscc(swapped) else uscc[:17] + _other(uscc[17], USCC_ALPHABET, random)
        case 3:  # a letter that the standard does not use, for the digit that looks like it
            return uscc[:8] + "O" + uscc[9:]
        case _:  # a character lost
            return uscc[:11] + uscc[12:]


def break_id_number(number: str, random: Random) -> str:
    """*number* with one of the usual mistakes; never valid."""
    match random.randrange(4):
        case 0:  # wrong check character
            return number[:17] + _other(number[17], "0123456789X", random)
        case 1:  # 30 February, with the check character right for it
            first17 = number[:10] + "0230" + number[14:17]
            return first17 + id_check(first17)
        case 2:  # the 15-digit form of before 1999
            return number[:6] + number[8:17]
        case _:  # a letter among the digits
            return number[:9] + "O" + number[10:]


def _other(character: str, alphabet: str, random: Random) -> str:
    """A character of *alphabet* that is not *character*."""
    position = alphabet.find(character)
    return alphabet[(position + random.randrange(1, len(alphabet))) % len(alphabet)]
