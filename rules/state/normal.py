"""The normal form of names and numbers, and the greatest length of a text: of columns and of single texts alike."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any

import polars as pl
import polars_hash  # noqa: F401 (adds Expr.chash)

from rules.text import WHITESPACE

#: Bytes of an identity or a value; of a longer one its hash is kept.
LONGEST = 300
#: Characters that are never more bytes than these.
SURELY_SHORT = LONGEST // 4

_OPENING = "〔［【〖〈《「『｛{[<"
_CLOSING = "〕］】〗〉》」』｝}]>"
_BRACKETS = dict(zip(_OPENING + _CLOSING, "(" * len(_OPENING) + ")" * len(_CLOSING), strict=True))
_ROW_BRACKETS = str.maketrans(_BRACKETS)
_ROW_SPACE = re.compile("[" + re.escape(WHITESPACE) + "]+")
_REPLACED = [*_BRACKETS, *WHITESPACE]
_REPLACEMENTS = [*_BRACKETS.values(), *[""] * len(WHITESPACE)]
#: Text of these alone is in NFKC: ASCII, ideographs, and punctuation that neither decomposes nor combines.
STABLE = r"\x00-\x7F\u4E00-\u9FFF、。〈-】〔-〗·—“”‘’"
_MAY_CHANGE = f"[^{STABLE}]"
#: Text of these alone is its own normal form, as most is.
is_normal = re.compile(r"[0-9A-Za-z\u4E00-\u9FFF、。·—“”‘’_.|/-]*").fullmatch


def loose(text: str) -> str:
    """The normal form of a name or number: width (NFKC), kind of bracket and spaces make no difference."""
    if is_normal(text):
        return text
    return _ROW_SPACE.sub("", unicodedata.normalize("NFKC", text).translate(_ROW_BRACKETS))


def loose_series(texts: pl.Series) -> pl.Series:
    """:func:`loose` of a column; nulls stay null. Most texts are in NFKC already, and seen to be so much sooner."""
    doubtful = texts.str.contains(_MAY_CHANGE).arg_true()
    if len(doubtful):
        # By Python's tables, as single texts: those of Polars are of another version of Unicode, and know more letters.
        changed = [unicodedata.normalize("NFKC", text) for text in texts.gather(doubtful)]
        # A copy: scatter changes the series that it is called on.
        texts = texts.clone().scatter(doubtful, pl.Series(changed, dtype=pl.String()))
    return texts.str.replace_many(_REPLACED, _REPLACEMENTS)


def bounded(text: str) -> str:
    """*text*, or its hash where it is longer than LONGEST bytes."""
    if len(text) <= SURELY_SHORT:
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    return text if len(encoded) <= LONGEST else hashlib.sha256(encoded).hexdigest()


def bounded_columns(made: pl.DataFrame) -> pl.DataFrame:
    """:func:`bounded` of every column; one look at all of them finds those that have to be touched."""
    longest = made.select(pl.all().str.len_bytes().max()).row(0)
    hashed: Any
    for name, length in zip(made.columns, longest, strict=True):
        if length is not None and length > LONGEST:
            hashed = pl.col(name).chash  # type: ignore[attr-defined]
            chosen = pl.when(pl.col(name).str.len_bytes() > LONGEST).then(hashed.sha2_256()).otherwise(name)
            made = made.with_columns(chosen.alias(name))
    return made
