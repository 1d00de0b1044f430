"""Catalog and rules as they are shipped, read once for all tests of a process: nobody changes them."""

from __future__ import annotations

from rules.ruleset import RuleSet
from schemas.catalog import Catalog

CATALOG = Catalog.load()
RULES = RuleSet.load(CATALOG)
