"""A small sample, made once for all tests that only look at it."""

from __future__ import annotations

import pytest
from sample_province import RECORDS, Sample, make_sample


@pytest.fixture(scope="session")
def sample() -> Sample:
    return make_sample(RECORDS)
