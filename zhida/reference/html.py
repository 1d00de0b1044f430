"""A Markdown page as HTML that needs nothing beside itself: style inside, no script, no font or image of others."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from pathlib import Path
from string import Template

from markdown_it import MarkdownIt

from schemas.release import Release
from zhida.reference.index import by_category

_STATIC = Path(__file__).parent / "static"
_LINK = re.compile(r'href="([a-z0-9_]+)\.md"')


def html_page(name: str, markdown: str, release: Release, categories: tuple[str, ...]) -> str:
    """The page *name* with a list of all datasets beside it."""
    body = _renderer().render(markdown)
    body = _LINK.sub(r'href="\1.html"', body)
    # The only tag that pages use; where a label holds it, it becomes a line break as well and nothing worse.
    body = body.replace("&lt;br&gt;", "<br>")
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    title = re.search(r"<h1>(.*?)</h1>", body)
    return Template(_file("page.html")).substitute(
        title=title[1] if title else escape(name),
        kind="index" if name == "index" else "dataset",
        style=_file("reference.css"),
        navigation=_navigation(name, release, categories),
        body=body,
    )


def _navigation(name: str, release: Release, categories: tuple[str, ...]) -> str:
    lines = []
    for category, datasets in by_category(release.catalog, categories):
        lines.append(f"<h2>{escape(category)}</h2><ul>")
        for dataset in datasets:
            here = ' aria-current="page"' if dataset.code == name else ""
            lines.append(f'<li><a href="{dataset.code}.html"{here}>{escape(dataset.zh)}</a></li>')
        lines.append("</ul>")
    return "\n".join(lines)


@cache
def _renderer() -> MarkdownIt:
    # Raw HTML stays text: labels come from files that people write.
    return MarkdownIt("commonmark", {"html": False}).enable("table")


@cache
def _file(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
