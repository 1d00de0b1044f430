"""The questions that the read side asks, with ``$name`` for our own identifiers and ``{name:Type}`` for values.

Values travel as server-side parameters; text from outside is hex-encoded, so that nothing in it can be special.
Questions of the live page run every second: they are bounded by time where they can be (an index skips what is older),
take one core at most, and none may hang.
"""

from __future__ import annotations

from string import Template

#: What stands for ``$live``.
LIVE = "SETTINGS max_threads = 1, max_execution_time = 10, log_queries = 0"

DATASETS_OF_SUBJECT = Template(
    "SELECT DISTINCT dataset FROM $subject_index WHERE subject = unhex({subject:String}) $live"
)

#: Not FINAL: that would hide withdrawn records, and the newest version of few candidates is found as fast. Of one
#: version that was judged again the newest verdict counts.
SUBJECT_CANDIDATES = Template(
    """SELECT $columns FROM $records
    WHERE (unit, record_id) IN (
        SELECT unit, record_id FROM $subject_index
        WHERE subject = unhex({subject:String}) AND dataset = unhex({dataset:String})
    )
    ORDER BY unit, record_id, ordering DESC, governed_at DESC
    LIMIT 1 BY unit, record_id
    $live"""
)

TOTALS = Template("SELECT verdict, count() FROM $verdicts FINAL GROUP BY verdict $live")

#: Counts distinct messages instead of reading FINAL: only the window is read, and replays still count once.
PER_SECOND = Template(
    """SELECT intDiv(toUnixTimestamp64Milli(governed_at), 1000) AS second,
        uniqExact(cityHash64(source_topic, source_partition, source_offset))
    FROM $verdicts
    WHERE governed_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND NOT again
    GROUP BY second ORDER BY second
    $live"""
)

LATENCY = Template(
    """SELECT count(), quantilesExact(0.5, 0.99, 1)(
        greatest(0, toUnixTimestamp64Milli(governed_at) - toUnixTimestamp64Milli(reported_at)))
    FROM $verdicts
    WHERE governed_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND NOT again
    $live"""
)

FRESHNESS = Template(
    """SELECT city, max(least(reported_at, governed_at)), max(governed_at), count()
    FROM $verdicts FINAL
    WHERE verdict IN ('accepted', 'suspect') AND city != ''
    GROUP BY city ORDER BY city
    $live"""
)

NEWEST_REJECTS = Template(
    """SELECT governed_at, dataset, unit, city, record_id, verdict, violations FROM (
        SELECT * FROM $verdicts
        WHERE governed_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
            AND verdict IN ('rejected', 'quarantined')
        ORDER BY governed_at DESC, source_topic, source_partition, source_offset DESC
        LIMIT 1 BY source_topic, source_partition, source_offset
    ) LIMIT {limit:UInt32}
    $live"""
)

#: The key of the table, so that few rows are read however long the history is. Not FINAL: the newest of these few is
#: found as fast.
VERDICT_OF = Template(
    """SELECT dataset, unit, record_id, version, verdict, rule_set, schema_id, reported_at, governed_at,
        violations, again
    FROM $verdicts
    WHERE source_topic = unhex({topic:String})
        AND source_partition = {partition:Int32} AND source_offset = {offset:Int64}
    ORDER BY governed_at DESC LIMIT 1
    $live"""
)

VERDICT_ROWS = Template("SELECT $columns FROM $verdicts FINAL")

CURRENT_RECORDS = Template("SELECT $columns FROM $records FINAL")
