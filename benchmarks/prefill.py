"""What rules over several records look up before the load comes: its companies are registered, as they would be.

Without it the ways would not judge the same: the order in which partitions are read would decide who is known when.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
import redis

from benchmarks.corpus import Corpus, Framing
from rules.ruleset import RuleSet
from rules.state.texts import TextMaker
from schemas.catalog import Catalog
from schemas.registry.client import RegistryClient
from streams.decoding import BatchDecoder, CodecCache
from streams.govern import now_ms
from streams.governing import china_day
from streams.learning import learn_and_decode
from streams.state.marks import IndexMarks
from streams.state.store import RedisState
from zhida.settings import Settings

REFERENCE = "legal_person"
#: Behind every message of the load: what comes then with the same version replaces it.
_LAST_OFFSET = 1 << 62
_AT_ONCE = 5_000


def prefill(settings: Settings, corpus: Corpus, schema_ids: Mapping[str, int]) -> None:
    """Empty Redis, tell the state of the corpus's registrations, and say that every index is whole."""
    with redis.Redis.from_url(settings.redis().url) as client:
        client.flushdb()
    catalog = Catalog.load()
    rules = RuleSet.load(catalog)
    state = RedisState(settings.redis(), secret=settings.pii_key(), wait_days=settings.report_retention_days)
    plan = rules.plan(REFERENCE).index_only
    framing = Framing(catalog, schema_ids)
    with RegistryClient(settings.registry()) as registry:
        codecs = CodecCache(registry)
        decoder = BatchDecoder(plan.dataset, codecs, max_record_bytes=settings.max_record_bytes)
        maker = TextMaker(plan)
        entering = corpus.frame.filter(
            (pl.col("dataset") == REFERENCE) & pl.col("verdict").is_in(["accepted", "suspect"])
        )
        values = [framing(value) for value in entering["value"]]
        for start in range(0, len(values), _AT_ONCE):
            part = values[start : start + _AT_ONCE]
            decoded = learn_and_decode(lambda refused, part=part: decoder.decode(part, refused), codecs, plan.dataset)
            offsets = [_LAST_OFFSET + start + position for position in decoded.positions]
            texts = maker.columns(decoded.as_columns(plan.dataset), offsets, china_day(now_ms()))
            state.ask(plan, plan.dataset.report_topic, 0, texts)
    state.close()
    marks = IndexMarks(settings.redis())
    marks.mark_ready({index.id for dataset in catalog for index in rules.plan(dataset.code).indexes})
    marks.close()
