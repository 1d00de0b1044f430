"""How the names of columns and fields are compared: what a person would call the same name is the same name."""

from __future__ import annotations

import re
import unicodedata

_IGNORED = re.compile(r"[\s_*()\[\]【】「」/\-:：、,;.]+|必填|选填")


def normalise(name: str) -> str:
    """*name* as it is compared: ``* 企业名称（ QYMC ）`` → ``企业名称qymc``."""
    return _IGNORED.sub("", unicodedata.normalize("NFKC", name)).lower()
