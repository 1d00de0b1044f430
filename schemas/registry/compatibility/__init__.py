"""Whether a reader with one schema can read what a writer with another wrote, and by the seven levels.

Avro's schema resolution as the specification has it (and Confluent's registry applies it), with messages that name the
field by its path.
"""

from __future__ import annotations

from schemas.registry.compatibility.levels import LEVELS, check, versions_that_count
from schemas.registry.compatibility.resolution import incompatibilities

__all__ = ["LEVELS", "check", "incompatibilities", "versions_that_count"]
