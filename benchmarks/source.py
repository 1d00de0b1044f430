"""Fingerprints of the source, so that a load made by other code is not reused and a run across an edit is noticed."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: What workers are made of.
MEASURED = ("schemas", "rules", "streams", "sinks", "connectors", "zhida", "benchmarks/ways")
#: What the load is made of.
LOAD = ("schemas/datasets", "schemas/data", "schemas/assignments", "zhida/sample", "benchmarks/corpus.py")
_KINDS = {".py", ".yaml", ".csv", ".lua", ".txt", ".json", ".tsv"}


def fingerprint(places: Iterable[str]) -> str:
    """Twelve hex digits of the content of all source files under *places*."""
    digest = blake2b(digest_size=6)
    for place in places:
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.suffix in _KINDS and file.is_file():
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
