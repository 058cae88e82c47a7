"""How long a request has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from failsoft.pipeline import Scalars
from failsoft.resilience._deadline import heed, timeout_ns_of
from failsoft.settings import RouteRules

MS = 1_000_000


def exchange(deadline_ms: int = 0) -> Any:
    counts: dict[str, int] = {}
    runtime = SimpleNamespace(bad_headers=counts)
    deadline_ns = deadline_ms * MS
    return SimpleNamespace(started_ns=0, deadline_ns=deadline_ns, runtime=runtime)


@pytest.mark.parametrize(
    ("name", "value", "expected_ms"),
    [
        (b"failsoft-timeout-ms", b"250", 250),
        (b"failsoft-timeout-ms", b"3600000", 3_600_000),
        (b"x-envoy-expected-rq-timeout-ms", b"15", 15),
        (b"grpc-timeout", b"2S", 2000),
        (b"grpc-timeout", b"100m", 100),
        (b"grpc-timeout", b"9000u", 9),
        (b"grpc-timeout", b"99999999H", 3_600_000),
        (b"content-type", b"250", 0),
    ],
)
def test_a_caller_says_what_time_it_has(
    name: bytes, value: bytes, expected_ms: int
) -> None:
    one = exchange()

    refusal = heed(one, {name: value})

    assert (refusal, one.deadline_ns) == (None, expected_ms * MS)
    assert not one.runtime.bad_headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"failsoft-timeout-ms", b"0"),
        (b"failsoft-timeout-ms", b"3600001"),
        (b"failsoft-timeout-ms", b"99999999999999999999"),
        (b"failsoft-timeout-ms", b"1.5"),
        (b"failsoft-timeout-ms", "٣".encode()),
        (b"grpc-timeout", b"123456789S"),
        (b"grpc-timeout", b"1s"),
        (b"grpc-timeout", b""),
    ],
)
def test_what_is_malformed_is_counted_and_ignored(name: bytes, value: bytes) -> None:
    one = exchange(deadline_ms=700)

    refusal = heed(one, {name: value})

    assert (refusal, one.deadline_ns) == (None, 700 * MS)
    assert one.runtime.bad_headers == {name.decode(): 1}


def test_the_lowest_word_counts_and_none_raises() -> None:
    one = exchange(deadline_ms=500)

    heed(one, {b"failsoft-timeout-ms": b"900", b"grpc-timeout": b"300m"})

    assert one.deadline_ns == 300 * MS


@pytest.mark.parametrize("value", [b"1", b"4"])
def test_less_than_five_milliseconds_is_refused(value: bytes) -> None:
    refusal = heed(exchange(), {b"failsoft-timeout-ms": value})

    assert refusal is not None
    assert (refusal.status, refusal.is_refusal) == (504, False)


@pytest.mark.parametrize(
    ("declared_s", "scalars", "expected_ms"),
    [
        (None, Scalars(), 0),
        (0.8, Scalars(), 800),
        (0.8, Scalars(timeout_scale=0.5), 400),
        (0.8, Scalars(timeout_s=0.3), 300),
        (0.2, Scalars(timeout_s=0.3), 200),
        (None, Scalars(timeout_s=0.3), 300),
        (None, Scalars(timeout_scale=0.5), 0),
        (0.01, Scalars(timeout_scale=0.25), 5),
    ],
)
def test_modes_turn_the_timeout_of_a_route(
    declared_s: float | None, scalars: Scalars, expected_ms: int
) -> None:
    found = timeout_ns_of(RouteRules(timeout_s=declared_s), scalars)

    assert found == expected_ms * MS
