"""Bytes of a file → text: gzip, encodings, formats.

Reads gzip (known by its first bytes, not by its name), UTF-8 with or without BOM, UTF-16 with BOM, and GB18030 with its
subsets GBK and GB2312. A file whose text is not all valid is read nevertheless, so that only the rows with damaged
characters are refused. Workbooks (.xls, .xlsx) and archives are recognised and refused with what to do.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from connectors.base import ConnectorError
from connectors.file.config import Encoding, Format

_CHUNK = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_REFUSED_MAGICS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "Excel 工作簿（.xlsx）或压缩包", "an Excel workbook (.xlsx) or a zip archive"),
    (b"\xd0\xcf\x11\xe0", "旧版 Excel 工作簿（.xls）", "an old Excel workbook (.xls)"),
    (b"%PDF", "PDF 文件", "a PDF"),
    (b"Rar!", "RAR 压缩包", "a RAR archive"),
    (b"7z\xbc\xaf", "7z 压缩包", "a 7z archive"),
)
_BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_JSON_SUFFIXES = {".jsonl", ".ndjson", ".json"}
_CSV_SUFFIXES = {".csv", ".tsv", ".txt"}
#: Damaged bytes become lone surrogates (UTF-16: replacement characters), which no valid text has; see values.py.
_ERRORS = {"utf-16": "replace"}


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read: what it is, and how many bytes it has on disk."""

    path: Path
    format: Format
    encoding: str
    compressed: bool
    size: int
    #: True where some characters are damaged: rows that have them will be refused.
    damaged: bool


@dataclass(slots=True)
class OpenSource:
    """The text of an open source, and how far it has been read."""

    text: TextIO
    _raw: BinaryIO

    def position(self) -> int:
        """Bytes read from disk so far."""
        return self._raw.tell()


def examine(path: Path, file_format: Format = "auto", encoding: Encoding = "auto") -> Source:
    """Find out how *path* is to be read; reads it once. Raises ConnectorError for what cannot be read at all."""
    if not path.is_file():
        raise ConnectorError(f"找不到文件 {path}", f"no such file: {path}", "检查路径 check the path")
    with path.open("rb") as raw:
        compressed = raw.read(2) == _GZIP_MAGIC
    try:
        with _binary(path, compressed) as (data, _):
            head = data.read(4096)
        _refuse_foreign(path, head)
        found, damaged = _encoding(path, compressed, head) if encoding == "auto" else (encoding, False)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ConnectorError(
            f"{path} 的 gzip 压缩已损坏：{error}", f"{path}: damaged gzip: {error}", "重新压缩 compress it again"
        ) from error
    return Source(path, _format(path, head, found, file_format), found, compressed, path.stat().st_size, damaged)


@contextmanager
def open_text(source: Source) -> Iterator[OpenSource]:
    """The text of *source*, line ends as they are."""
    encoding = "utf-8-sig" if source.encoding == "utf-8" else source.encoding
    with _binary(source.path, source.compressed) as (data, raw):
        errors = _ERRORS.get(encoding, "surrogateescape")
        yield OpenSource(io.TextIOWrapper(data, encoding, errors=errors, newline=""), raw)


@contextmanager
def _binary(path: Path, compressed: bool) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    with path.open("rb") as raw:
        if not compressed:
            yield raw, raw
            return
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield cast("BinaryIO", unpacked), raw


def _refuse_foreign(path: Path, head: bytes) -> None:
    for magic, zh, en in _REFUSED_MAGICS:
        if head.startswith(magic):
            raise ConnectorError(
                f"{path} 是{zh}，不是文本文件",
                f"{path} is {en}, not a text file",
                "在 Excel 或 WPS 中另存为“CSV UTF-8（逗号分隔）” save it as CSV UTF-8",
            )
    if not head.strip():
        raise ConnectorError(f"{path} 是空文件", f"{path} is empty", "检查导出程序 check what exported it")


def _encoding(path: Path, compressed: bool, head: bytes) -> tuple[str, bool]:
    """The encoding, and whether some of the text is damaged."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name, False
    # A single one is a damaged row; a tenth of the text is another encoding.
    if head.count(0) * 10 > len(head):
        raise ConnectorError(
            f"{path} 含有零字节，可能是没有 BOM 的 UTF-16 或二进制文件",
            f"{path} has zero bytes: UTF-16 without BOM, or not text",
            "另存为 UTF-8，或加 --encoding utf-16 save it as UTF-8",
        )
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with _binary(path, compressed) as (data, _):
            while chunk := data.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return _by_majority(path, compressed)
    return "utf-8", False


def _by_majority(path: Path, compressed: bool) -> tuple[str, bool]:
    """Not all valid UTF-8: whichever of UTF-8 and GB18030 most lines are in.

    One damaged line must not turn a UTF-8 file into GB18030, where nearly everything decodes to some wrong characters.
    """
    utf8 = gb18030 = neither = 0
    with _binary(path, compressed) as (data, _):
        while line := data.readline(_CHUNK):
            if line.isascii():
                continue
            if _decodes(line, "utf-8"):
                utf8 += 1
            elif _decodes(line, "gb18030"):
                gb18030 += 1
            else:
                neither += 1
    if gb18030 > utf8:
        return "gb18030", bool(utf8 or neither)
    if utf8:
        return "utf-8", True
    raise ConnectorError(
        f"{path} 既不是 UTF-8 也不是 GB18030（GBK）编码",
        f"{path} is neither UTF-8 nor GB18030 (GBK)",
        "另存为 UTF-8 save it as UTF-8",
    )


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _format(path: Path, head: bytes, encoding: str, wanted: Format) -> Format:
    if wanted != "auto":
        return wanted
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    last = suffixes[-1] if suffixes else ""
    if last in _JSON_SUFFIXES:
        return "jsonl"
    if last in _CSV_SUFFIXES:
        return "csv"
    start = head.decode(encoding, errors="ignore").lstrip("\ufeff \t\r\n")[:1]
    return "jsonl" if start in ("{", "[") else "csv"
