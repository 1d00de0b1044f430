"""A rule set that travels as a document judges as the one that was read from the files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rules.document import RuleDocument
from rules.errors import RuleError
from rules.ruleset import LIBRARY_DIR, RuleSet
from schemas.catalog import Catalog
from schemas.numbered import Numbered


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


def test_a_rule_set_that_has_travelled_is_the_one_that_was_read(catalog: Catalog) -> None:
    read = RuleSet.load(catalog)
    sent = replace(RuleDocument.read(LIBRARY_DIR), published_at_ms=5, catalog=3)
    received = RuleDocument.decode(*sent.encode())
    assert received == sent
    assert received.digest == sent.digest
    compiled = RuleSet.from_document(received, catalog)
    assert compiled.version == read.version
    assert compiled.examples == read.examples
    assert [rules.rules for rules in compiled] == [rules.rules for rules in read]


def test_the_number_under_which_it_is_announced_counts(catalog: Catalog) -> None:
    document = replace(RuleDocument.read(LIBRARY_DIR), number=977)
    assert RuleSet.from_document(document, catalog).version.startswith("977-")


def test_a_rule_set_that_does_not_compile_says_where(catalog: Catalog) -> None:
    document = RuleDocument.read(LIBRARY_DIR)
    files = {
        **document.files,
        "legal_person.yaml": document.files["legal_person.yaml"].replace("kind: uscc", "kind: usc"),
    }
    with pytest.raises(RuleError, match=r"legal_person\.yaml:\d+: .*usc"):
        RuleSet.from_document(replace(document, files=files), catalog)


@pytest.mark.parametrize("content", [None, [], {}, {"files": []}, {"files": {"a.yaml": 1}}, {"files": None}], ids=repr)
def test_a_message_that_is_no_rule_set_is_refused(content: object) -> None:
    message = Numbered(1, 0, 0, content)
    with pytest.raises(RuleError):
        RuleDocument.decode(message.key, message.encode())


def test_a_folder_without_a_number_is_refused(tmp_path: Path) -> None:
    shutil.copy(LIBRARY_DIR / "legal_person.yaml", tmp_path)
    with pytest.raises(RuleError, match=r"_library\.yaml"):
        RuleDocument.read(tmp_path)
    (tmp_path / "_library.yaml").write_text("number: two\n", encoding="utf-8")
    with pytest.raises(RuleError, match="number"):
        RuleDocument.read(tmp_path)
    (tmp_path / "_library.yaml").write_bytes("编号: 2".encode("gb18030"))
    with pytest.raises(RuleError, match="UTF-8"):
        RuleDocument.read(tmp_path)
