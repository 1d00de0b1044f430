"""What catalog and rules are in force, whether the files say the same, and who follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.announcements import AnnouncementError, Announcements
from schemas.catalog import Catalog, CatalogError
from zhida.cli._console import local_time
from zhida.following import FOLLOWERS_TOPIC
from zhida.in_force import InForce, read_known
from zhida.preparation import compare_files
from zhida.publishing.followers import FollowerWatch, Follows
from zhida.settings import Settings
from zhida.source import load_catalog

_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class CatalogStatus:
    """``files`` is "same", "differ" or "wrong"; ``catalog`` the one in force, else the files'."""

    catalog: Catalog
    in_force: InForce | None
    files: str
    broken: dict[str, str]
    followers: list[Follows]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        found = self.in_force
        return {
            "number": found.release.number if found else None,
            "rules": found.rules.number if found else None,
            "published_at": found.release.published_at_ms if found else None,
            "digest": found.release.digest if found else None,
            "files": self.files,
            "broken": self.broken,
            "followers": [
                {"client": one.client, "role": one.role, "catalog": one.catalog, "rules": one.rules, "error": one.error}
                for one in self.followers
            ],
        }

    def lines(self) -> Iterator[tuple[str, str | None]]:
        """For people: text and style."""
        found = self.in_force
        if found is None:
            yield "还没有发布过目录。No catalog has been published: zhida catalog publish", "yellow"
            return
        when = local_time(found.release.published_at_ms)
        yield f"生效 in force: 目录 catalog {found.numbers[0]}，规则库 rules {found.numbers[1]}（{when}）", None
        if self.files == "differ":
            yield "文件与生效目录不同 the files differ from what is in force: zhida catalog publish", "yellow"
        elif self.files == "wrong":
            yield "目录文件有误 the catalog's files are wrong: zhida catalog lint", "yellow"
        for where, reason in self.broken.items():
            yield f"不能使用的发布 unusable announcement {where}: {reason}", "red"
        for one in self.followers:
            if not one.uses(found.numbers):
                why = one.error or "正在跟上 catching up"
                yield f"{one.client} 用目录 catalog {one.catalog}、规则 rules {one.rules}: {why}", "red"


def catalog_status(settings: Settings) -> CatalogStatus | None:
    """The state of the catalog; None where neither the broker nor, before the first publish, the files can say."""
    try:
        known = read_known(settings.kafka(), timeout=_SECONDS)
        in_force = known.in_force()
        followers: list[Follows] = []
        if in_force is not None:
            Announcements(settings.kafka(), FOLLOWERS_TOPIC, timeout=_SECONDS).ensure()
            with FollowerWatch(settings.kafka(), start_seconds=_SECONDS) as watch:
                followers = watch.all()
    except AnnouncementError:
        return None
    files, _ = compare_files(settings, known)
    try:
        catalog = in_force.release.catalog if in_force is not None else load_catalog(settings)
    except CatalogError:
        return None
    return CatalogStatus(catalog, in_force, files, known.broken, followers)
