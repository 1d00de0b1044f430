"""What changes between two catalogs, and whether it is compatible."""

from __future__ import annotations

from pathlib import Path

import pytest
from catalog_folder import make_folder, spoil

from schemas.catalog import Catalog
from schemas.diff import DatasetChange, compare

DATASET = "datasets/permit.yaml"
KIND = "  - {name: P_KIND, zh: 类别, en: Kind, type: string, length: 4, enumeration: [普通, 特许]}\n"


def changes(folder: Path, *edits: tuple[str, str]) -> list[DatasetChange]:
    make_folder(folder)
    old = Catalog.load(folder)
    for before, after in edits:
        spoil(folder, DATASET, before, after)
    return compare(old, Catalog.load(folder))


def test_equal_catalogs_do_not_differ(tmp_path: Path) -> None:
    assert changes(tmp_path) == []


@pytest.mark.parametrize(
    "edit",
    [
        ("owner: 省信用中心", "owner: 市信用中心"),
        ("length: 64", "length: 128"),
        ("[普通, 特许]", "[普通, 特许, 其他]"),
        (KIND, KIND + "  - {name: P_NEW, zh: 新增, en: New, type: long}\n"),
        ("en: Amount, type: decimal", "en: Total, type: decimal, sharing: government"),
        ("P_NO: 一号", "P_NO: 二号"),
    ],
)
def test_what_nobody_needs_to_notice_is_compatible(tmp_path: Path, edit: tuple[str, str]) -> None:
    (change,) = changes(tmp_path, edit)
    assert (change.code, change.kind, change.compatible) == ("permit", "changed", True)
    assert change.properties or change.fields


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (("en: Amount, type: decimal", "en: Amount, type: long"), "P_SUM changes from decimal to long"),
        ((KIND, ""), "P_KIND is removed"),
        (("length: 64", "length: 32"), "P_NO becomes shorter"),
        (("[普通, 特许]", "[普通]"), "takes no longer: 特许"),
        (("length: 18, pii: id_number", "length: 18"), "the pii class of P_ID changes"),
        (("en: Amount, type: decimal", "en: Amount, type: decimal, required: true"), "P_SUM becomes required"),
        (("key: [P_NO]", "key: [P_NO, P_NAME]"), "the key changed"),
        (("subject: {uscc: P_USCC, id_number: P_ID", "subject: {id_number: P_ID"), "the subject is told by other"),
        ((KIND, KIND + "  - {name: P_NEW, zh: 新增, en: New, type: long, required: true}\n"), "P_NEW is required"),
    ],
)
def test_what_units_or_stores_would_notice_is_told_with_the_reason(
    tmp_path: Path, edit: tuple[str, str], reason: str
) -> None:
    (change,) = changes(tmp_path, edit)
    assert not change.compatible
    assert any(reason in en and zh for zh, en in change.reasons), change.reasons


def test_datasets_come_and_go(tmp_path: Path) -> None:
    catalog = Catalog.load(make_folder(tmp_path))
    less = Catalog({"permit": catalog["permit"]})
    (added,) = compare(less, catalog)
    (removed,) = compare(catalog, less)
    assert (added.kind, added.compatible) == ("added", True)
    assert (removed.kind, removed.compatible) == ("removed", False)
    assert removed.as_json()["compatible"] is False


def test_a_field_that_a_city_adds_is_named_with_its_city(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    new = Catalog.load(folder)
    (folder / "extensions" / "320500" / "permit.yaml").unlink()
    (change,) = compare(Catalog.load(folder), new)
    assert [(field.name, field.region, field.kind) for field in change.fields] == [("P_CITY", "320500", "added")]
    assert change.compatible
