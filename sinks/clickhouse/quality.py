"""The questions behind the quality indicators, put to ``verdicts`` alone (see docs/indicators.md).

A verdict counts on the day in China on which its message was sent, by the unit's clock or, where that runs ahead, by
ours: the same day however late it is judged, and however often.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from string import Template
from typing import Any

from sinks.indicators import DEADLINE_KIND

#: China has one time zone and no summer time.
_CHINA = timedelta(hours=8)
#: Not the limits of the live page: this reads history. Two run at a time (``dashboards.quality``), and what is
#: too large must fail before it takes the memory of the process, which is the sinks' too where the engine is embedded.
_LIMITS = "SETTINGS max_threads = 2, max_execution_time = 50, max_memory_usage = 2000000000, log_queries = 0"

_AT = "toUnixTimestamp64Milli(least(reported_at, governed_at))"
_DAY = "toInt32(intDiv(at + 28800000, 86400000))"
#: governed_at is never before `at`, so its index may skip what is older.
_WINDOW = "governed_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND at >= {since:Int64} AND at < {until:Int64}"
_WANTED = "({dataset:String} = '' OR dataset = unhex({dataset:String}))"
_IN_VIOLATIONS = "violations != '' AND arrayExists(one -> {condition}, JSONExtractArrayRaw(violations))"
_INCOMPLETE = _IN_VIOLATIONS.format(condition="JSONExtractString(one, 'dimension') = 'completeness'")
#: A rule's id is <dataset>.<field>.<kind>, and perhaps a word more.
_LATE = _IN_VIOLATIONS.format(condition=f"splitByChar('.', JSONExtractString(one, 'rule'))[3] = '{DEADLINE_KIND}'")


def _asked(text: str) -> Template:
    """*text* with the expressions above in it; the table is filled in by the reader."""
    return Template(
        Template(text).safe_substitute(
            at=_AT, day=_DAY, window=_WINDOW, wanted=_WANTED, incomplete=_INCOMPLETE, late=_LATE, limits=_LIMITS
        )
    )


#: From the inside out: each message once (FINAL), the older ones of its records too; numbered among those that repeat
#: it (one record, version and result); what each record came to on each day; their sums.
COUNTS = _asked(
    """SELECT day, dataset, unit,
        toInt64(sum(messages)) AS messages, toInt64(sum(repeats)) AS repeats,
        toInt64(countIf(outcome.1 != '')) AS records,
        toInt64(countIf(outcome.1 IN ('accepted', 'suspect'))) AS accepted,
        toInt64(countIf(outcome.1 = 'suspect')) AS suspect,
        toInt64(countIf(outcome.1 = 'rejected')) AS rejected,
        toInt64(countIf(outcome.1 = 'quarantined')) AS quarantined,
        toInt64(countIf(outcome.1 NOT IN ('', 'quarantined') AND NOT outcome.2)) AS complete,
        toInt64(countIf(outcome.1 IN ('accepted', 'suspect') AND NOT outcome.3)) AS in_time
    FROM (
        SELECT day, dataset, unit, record_id, place,
            count() AS messages, countIf(nth > 1) AS repeats,
            argMaxIf((verdict, $incomplete, $late),
                (readable, version, entered, -source_offset), nth = 1) AS outcome
        FROM (
            SELECT *, row_number() OVER (
                PARTITION BY dataset, unit, record_id, place, readable, version, entered
                ORDER BY at, source_topic, source_partition, source_offset
            ) AS nth
            FROM (
                SELECT toString(dataset) AS dataset, toString(unit) AS unit, record_id, version,
                    toString(verdict) AS verdict, violations,
                    source_topic, source_partition, source_offset,
                    $at AS at, $day AS day,
                    verdict != 'quarantined' AS readable, verdict IN ('accepted', 'suspect') AS entered,
                    concat(source_topic, ' ', toString(source_partition), ' ', toString(source_offset)) AS coordinates,
                    if(unit = '' OR record_id = '', coordinates, '') AS place
                FROM $verdicts FINAL
                WHERE at < {until:Int64} AND $wanted AND (at >= {since:Int64} OR (dataset, unit, record_id) IN (
                    SELECT toString(dataset), toString(unit), record_id
                    FROM (SELECT dataset, unit, record_id, governed_at, $at AS at FROM $verdicts)
                    WHERE $window AND $wanted AND unit != '' AND record_id != ''
                ))
            )
        )
        WHERE at >= {since:Int64}
        GROUP BY day, dataset, unit, record_id, place
    )
    GROUP BY day, dataset, unit
    $limits"""
)

REPORT_DAYS = _asked(
    """SELECT DISTINCT day, toString(dataset) AS dataset, toString(unit) AS unit
    FROM (SELECT dataset, unit, verdict, governed_at, $at AS at, $day AS day FROM $verdicts FINAL)
    WHERE $window AND $wanted AND unit != '' AND verdict != 'quarantined'
    $limits"""
)


def window(first: date, last: date) -> dict[str, Any]:
    """The parameters ``since`` and ``until`` (milliseconds since the epoch) for whole days in China."""
    return {"since": _midnight(first), "until": _midnight(last + timedelta(days=1))}


def _midnight(day: date) -> int:
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) - _CHINA
    return int(moment.timestamp() * 1000)
