"""What the query service and the live page are handed; they read no settings and open no connections of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from schemas.catalog import Catalog
from schemas.release import Release
from schemas.units import Regions, Units
from sinks.read import CreditStore, StoredRecord

#: Shorter tokens can be guessed; `secrets.token_urlsafe(24)` makes a good one.
MIN_TOKEN_LENGTH = 16


class SubjectSource(Protocol):
    """Where the current records of a subject are read; blocking, used from several threads."""

    def read(self, subject: str) -> tuple[list[StoredRecord], str]:
        """The subject's records and where they came from: ``cache`` or ``store``."""
        ...


class Broker(Protocol):
    """What the live page asks the broker; blocking, used from several threads."""

    def received(self) -> int:
        """How many messages the report topics have been sent so far."""
        ...


@dataclass(frozen=True, slots=True)
class ApiDeps:
    """Everything that :func:`dashboards.app.create_app` needs.

    ``in_force`` gives the release to go by, asked anew for each answer: it changes while the service runs.
    ``clock`` gives seconds since the epoch. ``subject_of_person`` turns a document number into the subject key under
    which the sinks keep that person. ``audit_folder`` belongs to this process alone: reads are noted there before they
    are answered and go to the store from there. ``checks`` are further dependencies for ``/readyz``, by name: each
    raises with a reason when its part does not answer. ``timed`` gives the datasets whose rules in force have a
    reporting deadline; it may take its time and is called beside the event loop.
    """

    subjects: SubjectSource
    store: CreditStore
    broker: Broker
    in_force: Callable[[], Release]
    subject_of_person: Callable[[str], str]
    clock: Callable[[], float]
    audit_folder: Path
    token: str = field(repr=False)
    checks: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    timed: Callable[[], frozenset[str]] = frozenset

    @property
    def catalog(self) -> Catalog:
        """The datasets in force now."""
        return self.in_force().catalog

    @property
    def units(self) -> Units:
        """The reporting units in force now."""
        return self.in_force().units

    @property
    def regions(self) -> Regions:
        """The regions in force now."""
        return self.in_force().regions

    def __post_init__(self) -> None:
        if len(self.token) < MIN_TOKEN_LENGTH:
            raise ValueError(f"the API token has fewer than {MIN_TOKEN_LENGTH} characters; set a longer, random one")
