"""Text of unknown origin, made fit for one line of a table or a log."""

from __future__ import annotations

import unicodedata

# Cc controls, Cf formats (bidirectional overrides among them), Cs surrogates, Zl and Zp line separators.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def plain(text: str, limit: int) -> str:
    """*text* without characters that hide, reorder or break a line, cut to *limit* characters with an ellipsis.

    This is not escaping: markup stays as it is and is harmless because the pages set text, never HTML.
    """
    cut = text[: limit + 1]
    shown = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _INVISIBLE else c for c in cut)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
