"""Names of the topics and headers that are not a dataset's own."""

from __future__ import annotations

#: Bytes that nobody can read, as they came; the reason and the source are in the headers.
QUARANTINE_TOPIC = "zhida.quarantine"
#: A copy of every rejection, for the verdict history; the unit's own copy is on its feedback topic.
REJECTED_TOPIC = "zhida.rejected"

#: Set by govern on every accepted record:
#: ``verdict=…;rules=…;schema=…;governed=<ms>;source=<topic>;partition=…;offset=…``
VERDICT_HEADER = "zhida-verdict"
#: Set by govern on suspect records only: the violations as a JSON list.
VIOLATIONS_HEADER = "zhida-violations"
#: Set by govern on quarantined records: a code of ``schemas.verdict.QUARANTINE_REASONS``.
REASON_HEADER = "zhida-reason"
#: Set by govern on quarantined records: what the decoder said, in English, without record content.
DETAIL_HEADER = "zhida-detail"
#: Headers with this prefix are ours alone: govern drops them from what units send.
HEADER_PREFIX = "zhida-"


#: The consumer group of all govern workers.
GOVERN_GROUP = "zhida-govern"


def sink_group(name: str) -> str:
    """The consumer group that feeds the sink called *name*."""
    return f"zhida-sink-{name}"


def feedback_topic(unit: str) -> str:
    """The topic on which *unit* (a unit code) is told what became of its records."""
    return f"zhida.feedback.{unit}"
