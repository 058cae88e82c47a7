from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import SpanKind

from failsoft.tracing._sampling import LOW_64, NEVER, root_bound


def is_sampled(sampler: Sampler, trace_id: int) -> bool:
    result = sampler.should_sample(None, trace_id, "", SpanKind.SERVER, {}, ())
    return result.decision is Decision.RECORD_AND_SAMPLE


@given(st.floats(0, 1), st.integers(1, (1 << 128) - 1), st.booleans())
def test_what_is_dropped_unasked_is_what_the_sampler_drops(
    ratio: float, trace_id: int, wrapped: bool
) -> None:
    ratio_based = TraceIdRatioBased(ratio)
    sampler = ParentBased(ratio_based) if wrapped else ratio_based

    bound = root_bound(sampler)

    assert (trace_id & LOW_64 < bound) == is_sampled(sampler, trace_id)


class Pretender(TraceIdRatioBased):
    """Says it is a ratio sampler and samples everything."""

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        return ALWAYS_ON.should_sample(None, 1, "")


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF, Pretender(0.01)])
def test_other_samplers_are_always_asked(sampler: Sampler) -> None:
    assert root_bound(sampler) == NEVER
