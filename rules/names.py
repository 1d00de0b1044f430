"""Names of organisations as they are compared: what clerks write differently and everybody reads as the same.

Width, kind of bracket, spaces and middle dots are forgiven, nothing else: another character is another name.
"""

from __future__ import annotations

from collections.abc import Iterable

from rules.state.normal import loose

#: In NFKC, where halfwidth and compatibility dots have become others already.
_DOTS = "•‧∙⋅・᛫⸱ꞏ"
#: Spaces that nobody sees and ``str.isspace`` does not know.
_UNSEEN = "\u200b\u2060\ufeff"
_SAME = str.maketrans(dict.fromkeys(_DOTS, "·") | dict.fromkeys(_UNSEEN, ""))


def normal_name(name: str) -> str:
    """The normal form of a name: two names are taken for the same where their normal forms are equal."""
    return loose(name).translate(_SAME)


def among_names(name: str, others: Iterable[str]) -> bool:
    """Whether *name* is one of *others*, in their normal forms."""
    normal = normal_name(name)
    return any(normal == normal_name(other) for other in others)
