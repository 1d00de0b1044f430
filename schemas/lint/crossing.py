"""What only shows when datasets are seen side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.documents import Problem
from schemas.lint.drafts import Draft
from schemas.names import normalise


def between_datasets(drafts: Sequence[Draft]) -> Iterator[Problem]:
    """Codes and titles that two datasets share, or that a person takes for the same."""
    for key, zh, en in (
        ("code", "编码", "code"),
        ("zh", "中文名称", "Chinese title"),
        ("en", "英文名称", "English title"),
    ):
        seen: dict[str, Draft] = {}
        for draft in drafts:
            text = draft.text(key)
            if not text:
                continue
            other = seen.setdefault(normalise(text), draft)
            if other is not draft:
                there = f"{other.document.file}:{other.document.line((key,))}"
                same = other.text(key) == text
                yield draft.say(
                    (key,),
                    f"{zh} {text!r} 与 {there} {'相同' if same else '过于相似'}",
                    f"{en} {text!r} is {'the same as' if same else 'too much like'} that in {there}",
                )
