"""Fields of the province and of cities: merged in order, compatible with what was before, null where they were not."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from catalog_folder import CITY, make_folder
from wire_samples import Schemas, random_record

from schemas.catalog import Catalog, CatalogError
from schemas.extensions import incompatible
from sinks.clickhouse.migrate import missing_columns
from sinks.clickhouse.tables import records_table, tables
from streams.decoding import BatchDecoder, CodecCache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path)


def extend(folder: Path, region: str, name: str, label: str) -> None:
    path = folder / "extensions" / region / "permit.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(CITY.replace("P_CITY", name).replace("市内编号", label), encoding="utf-8")


def without_extensions(folder: Path) -> Catalog:
    (folder / "extensions").rename(folder / "extensions-off")
    try:
        return Catalog.load(folder)
    finally:
        (folder / "extensions-off").rename(folder / "extensions")


def test_fields_of_the_province_come_before_those_of_cities_and_after_those_of_the_item(folder: Path) -> None:
    extend(folder, "320000", "P_PROV", "省内编号")
    dataset = Catalog.load(folder)["permit"]
    base = [field.name for field in without_extensions(folder)["permit"].business_fields]
    assert [field.name for field in dataset.business_fields] == [*base, "P_PROV", "P_CITY"]
    assert [field.region for field in dataset.business_fields][-2:] == ["320000", "320500"]
    assert [field.name for field in dataset.base_fields] == base
    assert dataset.avro_schema["fields"][-1]["type"] == ["null", "string"]


def test_an_extended_dataset_is_a_compatible_evolution_of_the_one_without(folder: Path) -> None:
    assert incompatible(without_extensions(folder)["permit"], Catalog.load(folder)["permit"]) == []


def test_two_cities_cannot_add_the_same_field_but_can_add_their_own(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    regions = folder / "data" / "regions.csv"
    regions.write_text(regions.read_text(encoding="utf-8") + "320600,南通市,city,320000\n", encoding="utf-8")
    extend(folder, "320600", "P_SOUTH", "通内编号")
    assert [f.name for f in Catalog.load(folder)["permit"].business_fields][-2:] == ["P_CITY", "P_SOUTH"]
    extend(folder, "320600", "P_CITY", "通内编号")
    with pytest.raises(CatalogError, match=r"320600/permit\.yaml:4: .* already defined by region 320500"):
        Catalog.load(folder)


def test_the_province_and_suzhou_extend_the_catalog_that_comes_with_zhida() -> None:
    catalog = Catalog.load()
    regions = {dataset.code: {field.region for field in dataset.business_fields} - {""} for dataset in catalog}
    assert regions["administrative_licence"] == {"320000"}
    assert regions["administrative_penalty"] == {"320500"}


@pytest.mark.parametrize("code", ["administrative_licence", "administrative_penalty"])
def test_records_written_before_the_fields_were_added_are_still_read_in_columns(code: str) -> None:
    random = Random(5)
    new = Catalog.load()[code]
    added = {field.name for field in new.business_fields if field.region}
    old_schema = {**new.avro_schema, "fields": [f for f in new.avro_schema["fields"] if f["name"] not in added]}
    schemas = Schemas()
    schemas.add(7, new, old_schema)
    codecs = CodecCache(schemas)
    assert codecs.learn(new, 7) is None
    codec = codecs.get(new, 7)
    assert codec is not None
    assert codec.columns.usable
    records = [random_record(new, random) | dict.fromkeys(added) for _ in range(300)]
    written = [codec.rows.encode({name: one[name] for name in one if name not in added}) for one in records]
    decoded = BatchDecoder(new, codecs, max_record_bytes=1_000_000).decode(written, {})
    assert decoded.frame is not None
    assert not decoded.broken
    assert decoded.frame.schema == new.polars_schema
    assert decoded.frame.rows(named=True) == records
    assert [codec.rows.decode(value) for value in written] == records


def test_the_store_gets_a_column_for_each_added_field(folder: Path) -> None:
    name = records_table(Catalog.load(folder)["permit"])
    before, after = (
        next(table for table in tables(catalog) if table.name == name)
        for catalog in (without_extensions(folder), Catalog.load(folder))
    )
    assert missing_columns(after, before.columns) == {"P_CITY": "Nullable(String)"}
