"""From settings to what the rooms are handed; everything heavy is imported when it is asked for."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from zhida.errors import ExitCode, UserError

if TYPE_CHECKING:
    from connectors.base import Wiring
    from schemas.catalog import Catalog, Dataset
    from schemas.release import Release
    from schemas.units import Units
    from zhida.settings import Settings

#: How long the broker may take to say what is in force, before the files have to do.
_SECONDS = 3.0


def load_settings() -> Settings:
    """The settings of this process."""
    from zhida.settings import Settings

    return Settings.load()


def load_units() -> Units:
    """The reporting units."""
    from schemas.units import Units

    return Units.load()


def today_in_china() -> date:
    """The date by which assignments and rules are judged: China has one time zone and no summer time."""
    return datetime.now(timezone(timedelta(hours=8))).date()


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def release_in_force(settings: Settings) -> Release:
    """What the running platform goes by; the files where it does not answer or nothing has been published."""
    from schemas.announcements import AnnouncementError
    from zhida.in_force import read_known
    from zhida.preparation import files_refused
    from zhida.source import FilesError, load_release

    found = None
    if settings.kafka_bootstrap:
        with suppress(AnnouncementError):
            found = read_known(settings.kafka(), timeout=_SECONDS).in_force()
    if found is not None:
        return found.release
    try:
        return load_release(settings)
    except FilesError as error:
        raise files_refused(error) from error


def connector_wiring(settings: Settings, release: Release | None = None) -> Wiring:
    """What a connector is handed; *release* is the one in force unless another is given."""
    from connectors.base import Wiring
    from schemas.registry.client import RegistryClient

    release = release or release_in_force(settings)
    registry = RegistryClient(settings.registry())
    return Wiring(settings.kafka(), registry, release.catalog, release.units, now_ms)


def dataset_or_usage_error(catalog: Catalog, code: str) -> Dataset:
    """The dataset; raises UserError that names the nearest one."""
    import difflib

    if code in catalog:
        return catalog[code]
    by_label = {dataset.zh: dataset for dataset in catalog}
    if code in by_label:
        return by_label[code]
    near = difflib.get_close_matches(code, [*(dataset.code for dataset in catalog), *by_label], n=1)
    known = "、".join(f"{dataset.code}（{dataset.zh}）" for dataset in catalog)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UserError(
        f"目录中没有数据集 {code}",
        f"the catalog has no dataset {code}{hint}",
        f"可用 available: {known}",
        ExitCode.USAGE,
    )
