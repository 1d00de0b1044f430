"""Numbered documents: immutable JSON content with a number and a hash, as one compressed message.

What is announced, a release of the catalog or a rule set, is one of these. The hash is of the content alone: the same
files make the same hash whatever number they get and whenever they are published.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass, field
from typing import Any

import orjson

from schemas.compacted import MAX_RECORD

#: Raised when the message is laid out in a way that readers before could not read.
LAYOUT = 1
#: What a compressed message may grow to; a forged one must not fill the memory.
_MAX_CONTENT = 128 * 1024 * 1024


class NumberedError(Exception):
    """A message is no numbered document, or not the one that it says it is."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A document. ``needs`` is the number of the document of the other kind that it must not be used without."""

    number: int
    published_at_ms: int
    needs: int
    content: Any = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hex."""
        return digest_of(self.content)

    @property
    def key(self) -> bytes:
        """The key under which it is announced."""
        return b"%d" % self.number

    def encode(self) -> bytes:
        """The message; raises NumberedError when it is too large for the topic."""
        body = {
            "layout": LAYOUT,
            "number": self.number,
            "published_at": self.published_at_ms,
            "needs": self.needs,
            "digest": self.digest,
            "content": self.content,
        }
        # Without the time in the header the same document gives the same bytes.
        message = gzip.compress(orjson.dumps(body, option=orjson.OPT_SORT_KEYS), mtime=0)
        if len(message) > MAX_RECORD - 10_000:
            raise NumberedError(f"the document has {len(message):,} bytes compressed; at most {MAX_RECORD:,} fit")
        return message


def digest_of(content: Any) -> str:
    """SHA-256 of *content* in a form that does not depend on the order of keys."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def decode(key: bytes, message: bytes) -> Numbered:
    """The document in *message*, whole and as it was published; raises NumberedError."""
    body = _unpacked(message)
    if not isinstance(body, dict) or body.get("layout") != LAYOUT:
        layout = body.get("layout") if isinstance(body, dict) else None
        raise NumberedError(f"layout {layout!r} is not {LAYOUT}, the one that this version reads")
    numbers = [body.get(name) for name in ("number", "published_at", "needs")]
    if any(not isinstance(number, int) or isinstance(number, bool) or number < 0 for number in numbers):
        raise NumberedError("number, published_at and needs must be numbers")
    document = Numbered(body["number"], body["published_at"], body["needs"], body.get("content"))
    if document.key != key:
        raise NumberedError(f"number {document.number} under the key {key[:20]!r}")
    if document.digest != body.get("digest"):
        raise NumberedError("the content is not the one that was published: its hash differs")
    return document


def _unpacked(message: bytes) -> Any:
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        text = unpack.decompress(message, _MAX_CONTENT)
    except zlib.error as error:
        raise NumberedError(f"not compressed as it should be: {error}") from None
    if not unpack.eof or unpack.unused_data:
        raise NumberedError("cut off, too large or followed by something else")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NumberedError(f"not JSON: {error}") from None
