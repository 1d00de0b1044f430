"""What shadow rules would have done, as the govern workers tell it on ``zhida.followers``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson

from schemas.announcements import Announcements
from schemas.connection import KafkaConnection
from zhida.following import FOLLOWERS_TOPIC


@dataclass(frozen=True, slots=True)
class ShadowFound:
    """What one worker has found by one rule; ``judged`` counts records of the rule's dataset, ``since`` is in ms."""

    rule: str
    severity: str
    broken: int
    judged: int
    since: int
    samples: tuple[str, ...]
    rule_set: str
    client: str

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def read_shadow(kafka: KafkaConnection) -> list[ShadowFound]:
    """The newest counts of every worker, by rule; raises AnnouncementError."""
    found: list[ShadowFound] = []
    for client, value in Announcements(kafka, FOLLOWERS_TOPIC).read().items():
        said = orjson.loads(value).get("shadow") or {}
        for rule, count in said.get("counts", {}).items():
            found.append(
                ShadowFound(
                    rule=rule,
                    severity=count["severity"],
                    broken=count["broken"],
                    judged=said["judged"].get(rule.partition(".")[0], 0),
                    since=said["since"],
                    samples=tuple(count["samples"]),
                    rule_set=said["rule_set"],
                    client=client.decode("utf-8", "replace"),
                )
            )
    return sorted(found, key=lambda one: (one.rule, one.client))
