"""The files that catalog and rules are written in, where the settings say: what ``zhida catalog publish`` publishes."""

from __future__ import annotations

from dataclasses import dataclass

from rules.document import RuleDocument
from rules.errors import RuleError
from rules.ruleset import LIBRARY_DIR, RuleSet
from schemas.assignments import AssignmentError, Assignments
from schemas.catalog import CATALOG_DIR, Catalog, CatalogError
from schemas.release import Release
from schemas.units import Regions, Units
from zhida.settings import Settings


class FilesError(Exception):
    """Files cannot be published; ``problems`` has one line for each fault, most of them ``file:line: …``."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class Files:
    """What the files say: a release without a number, the rule library, and the rules compiled for that catalog."""

    release: Release
    rules: RuleDocument
    rule_set: RuleSet


def load_catalog(settings: Settings) -> Catalog:
    """The catalog as its files say; raises CatalogError."""
    return Catalog.load(settings.catalog_dir or CATALOG_DIR)


def load_release(settings: Settings) -> Release:
    """Catalog, regions, units and assignments as their files say; raises FilesError."""
    folder = settings.catalog_dir or CATALOG_DIR
    try:
        catalog = Catalog.load(folder)
        regions, units = Regions.load(folder / "data" / "regions.csv"), Units.load(folder / "data" / "units.csv")
        assignments = Assignments.load(catalog, units, regions, folder / "assignments")
    except CatalogError as error:
        raise FilesError(str(error).splitlines()) from error
    except AssignmentError as error:
        raise FilesError(str(error).splitlines()) from error
    except OSError as error:
        raise FilesError([f"{error.filename}: {error.strerror}"]) from error
    except (TypeError, ValueError) as error:
        raise FilesError([f"{folder / 'data'}: {error}"]) from error
    return Release(catalog, regions, units, assignments)


def load_files(settings: Settings) -> Files:
    """Everything that is published together, verified; raises FilesError."""
    release = load_release(settings)
    folder = settings.rules_dir or LIBRARY_DIR
    try:
        rules = RuleDocument.read(folder)
        rule_set = RuleSet.load(release.catalog, folder)
        for dataset in release.catalog:
            rule_set.dataset(dataset.code)
    except RuleError as error:
        raise FilesError(list(error.problems)) from error
    return Files(release, rules, rule_set)
