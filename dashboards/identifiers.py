"""Identifiers that a subject can be asked for by, checked before anything is looked up.

An organisation is named by its unified social credit code (GB 32100) or, in older records, by ``reg:`` and its business
registration number. A natural person is never named in a URL: see :func:`person_number`.
"""

from __future__ import annotations

import re
import unicodedata

from dashboards.problems import ApiError
from schemas.protect import REGISTRATION_PREFIX

_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_VALUE = {character: value for value, character in enumerate(_USCC_ALPHABET)}
_USCC_WEIGHTS = tuple(pow(3, position, 31) for position in range(17))
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECK = "10X98765432"
_ID_NUMBER = re.compile(r"[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]", re.ASCII)
_REGISTRATION = re.compile(r"[0-9A-Za-z]{1,15}", re.ASCII)
_DOCUMENT = re.compile(r"[0-9A-Za-z()（）/-]{5,64}", re.ASCII)


def has_uscc_check(code: str) -> bool:
    """True when *code* is 18 characters of the code's alphabet and its check character is right."""
    if len(code) != 18 or any(character not in _USCC_VALUE for character in code):
        return False
    total = sum(_USCC_VALUE[character] * weight for character, weight in zip(code, _USCC_WEIGHTS, strict=False))
    return (total + _USCC_VALUE[code[17]]) % 31 == 0


def is_id_number(number: str) -> bool:
    """True for a citizen identity number (GB 11643) with a right check character."""
    if not _ID_NUMBER.fullmatch(number):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number, _ID_WEIGHTS, strict=False))
    return number[17] == _ID_CHECK[total % 11]


def organisation_subject(text: str) -> str:
    """The subject key for *text* as it came in a URL: a USCC, or ``reg:`` and a registration number.

    Full-width and lower-case characters are forgiven. Raises ApiError (400) with the reason, which never repeats
    the text, because what is wrong may be that it names a person.
    """
    cleaned = unicodedata.normalize("NFKC", text).strip()
    code = cleaned.upper()
    if code.startswith("P:") or (is_id_number(code) and not has_uscc_check(code)):
        raise ApiError(
            400,
            "person_in_url",
            "自然人不得通过网址查询：请改用 POST /v1/subjects/search，把证件号码放在请求正文中",
            "natural persons are not asked for by URL: POST the document number to /v1/subjects/search",
        )
    if code.startswith("REG:"):
        number = cleaned[4:]
        if not _REGISTRATION.fullmatch(number):
            raise ApiError(
                400,
                "bad_registration_number",
                "工商注册号应为 reg: 加 1 至 15 位数字或字母",
                "a registration number is reg: and 1 to 15 digits or letters",
            )
        return f"{REGISTRATION_PREFIX}{number}"
    if len(code) != 18:
        raise ApiError(
            400, "bad_uscc_length", "统一社会信用代码应为 18 位", "a unified social credit code has 18 characters"
        )
    if any(character not in _USCC_VALUE for character in code):
        raise ApiError(
            400,
            "bad_uscc_character",
            "统一社会信用代码只能含数字和除 I、O、S、V、Z 以外的大写字母",
            "a unified social credit code holds digits and the capital letters without I, O, S, V, Z only",
        )
    if not has_uscc_check(code):
        raise ApiError(
            400,
            "bad_uscc_check",
            "统一社会信用代码的校验码不正确，请核对是否输错",
            "the check character of the unified social credit code is wrong; look for a typing error",
        )
    return code


def person_number(text: str) -> str:
    """The document number *text* of a natural person, cleaned of surrounding blanks and full-width characters.

    Raises ApiError (400) that does not repeat the number.
    """
    number = unicodedata.normalize("NFKC", text).strip()
    if not _DOCUMENT.fullmatch(number):
        raise ApiError(
            400,
            "bad_document_number",
            "证件号码格式不正确",
            "the document number has characters or a length it cannot have",
        )
    if re.fullmatch(r"\d{17}[\dXx]", number, re.ASCII):
        number = number.upper()
        if not is_id_number(number):
            raise ApiError(
                400,
                "bad_id_number",
                "公民身份号码的出生日期或校验码不正确，请核对是否输错",
                "the birth date or the check character of the identity number is wrong; look for a typing error",
            )
    return number
