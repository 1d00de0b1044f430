"""A rule set on its way: the files of the library as they were written, numbered and hashed, as one message.

The text itself travels, comments and examples included: a rule can be shown as its author wrote it for as long as there
are verdicts that name it. It means something only together with a catalog: see ``RuleSet.from_document``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rules.errors import RuleError
from schemas.documents import Document, DocumentError, decode
from schemas.numbered import Numbered, NumberedError
from schemas.numbered import decode as decode_numbered

RULES_TOPIC = "zhida.rules"
LIBRARY_FILE = "_library.yaml"


@dataclass(frozen=True, slots=True)
class RuleDocument:
    """The library's files by name. ``catalog`` is the number of the release without which it must not be used."""

    number: int
    files: Mapping[str, str] = field(repr=False)
    published_at_ms: int = 0
    catalog: int = 0

    @classmethod
    def read(cls, folder: Path) -> RuleDocument:
        """The library in *folder* under the number that its files say; raises RuleError. Rules are not verified."""
        problems: list[str] = []
        files: dict[str, str] = {}
        for path in sorted(folder.glob("*.yaml")):
            try:
                files[path.name] = decode(path.read_bytes(), str(path))
            except DocumentError as error:
                problems += [f"{found.file}:{found.line}: {found.en}" for found in error.problems]
        number = 0
        if LIBRARY_FILE not in files:
            problems.append(f"{folder / LIBRARY_FILE}:1: no such file; it holds the number of the rule set")
        else:
            try:
                data = Document(files[LIBRARY_FILE], str(folder / LIBRARY_FILE)).data
                number = data["number"]
            except (DocumentError, KeyError, TypeError) as error:
                problems.append(f"{folder / LIBRARY_FILE}:1: the number of the rule set cannot be read: {error}")
        if problems or not isinstance(number, int):
            raise RuleError(problems or [f"{folder / LIBRARY_FILE}:1: number must be a whole number"])
        return cls(number, files)

    def encode(self) -> tuple[bytes, bytes]:
        """Key and value of its announcement; raises NumberedError when it is too large for one."""
        document = self._numbered()
        return document.key, document.encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the files, in hex."""
        return self._numbered().digest

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> RuleDocument:
        """The document in a message, whole or not at all; raises RuleError."""
        try:
            document = decode_numbered(key, value)
        except NumberedError as error:
            raise RuleError([str(error)]) from None
        files = document.content.get("files") if isinstance(document.content, dict) else None
        if not isinstance(files, dict) or not all(isinstance(text, str) for text in files.values()):
            raise RuleError(["the content is not files by name"])
        return cls(document.number, files, document.published_at_ms, document.needs)

    def _numbered(self) -> Numbered:
        return Numbered(self.number, self.published_at_ms, self.catalog, {"files": dict(self.files)})
