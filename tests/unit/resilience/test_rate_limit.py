"""What a limit means: its quotas, keys and words; when its store is asked again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from failsoft.pipeline import Exchange
from failsoft.resilience._rate_limit import (
    Limiter,
    Link,
    exceeded,
    key_reader,
    policy_header,
    quotas_of,
    standing,
)
from failsoft.settings import RateLimitSettings, parse_rates


def quotas(text: str, *, shared: bool = True, **said: Any) -> Any:
    return quotas_of("api", RateLimitSettings(parse_rates(text), **said), shared=shared)


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("1000/second", "leased"),
        ("500/second", "leased"),
        ("499/second", "exact"),
        ("1200/minute", "leased"),
        ("1199/minute", "exact"),
        ("2000/hour", "exact"),
    ],
)
def test_often_used_limits_are_leased_and_the_others_exact(text: str, how: str) -> None:
    assert [one.how for one in quotas(text)] == [how]
    assert [one.how for one in quotas(text, shared=False)] == ["local"]
    assert [one.how for one in quotas(text, how="local")] == ["local"]


def test_exact_quotas_come_last_as_they_cannot_be_taken_back() -> None:
    found = quotas("10/second;100000/hour")

    assert [(one.name, one.how) for one in found] == [
        ("api-hour", "leased"),
        ("api-second", "exact"),
    ]


def test_headers_name_policies_as_strings_of_structured_fields() -> None:
    (quota,) = quotas_of(
        'GET /a"ö', RateLimitSettings(parse_rates("100/minute")), shared=True
    )

    name, policy = policy_header((quota,))

    assert (name, policy) == (b"ratelimit-policy", b'"GET /a\\"?";q=100;w=60')
    assert standing(quota, 0, 20.2) == b'"GET /a\\"?";r=0;t=21'
    assert policy_header(quotas("5/second;9/2 minutes"))[1] == (
        b'"api-second";q=5;w=1, "api-2minute";q=9;w=120'
    )


def test_a_refusal_names_the_policy_it_is_for() -> None:
    refusal = exceeded(quotas("5/second")[0])

    said = msgspec.json.decode(refusal.body + b"}")
    assert refusal.status == 429
    assert said["violated-policies"] == ["api"]
    assert said["type"].endswith("#quota-exceeded")


def test_a_mode_scales_rate_and_burst_and_always_lets_something_pass() -> None:
    (quota,) = quotas("1000/second")

    assert (quota.scaled(0.1).burst, quota.scaled(0.1).rate_per_s) == (100, 100.0)
    assert quota.scaled(0.00001).burst == 1
    assert quota.scaled(1.0) is quota


def key_of(key: Any, **scope: Any) -> str:
    runtime = SimpleNamespace(snapshot=None, consumers=None)
    exchange = Exchange({"headers": [], **scope}, runtime, 0)
    exchange.consumer = "shop"
    return key_reader(key)(exchange)


def test_keys_are_consumers_addresses_routes_headers_or_what_a_function_says() -> None:
    headers = [(b"x-team", b"blue")]

    assert key_of("consumer") == "shop"
    assert key_of("route") == "*"
    assert key_of("ip", client=("192.0.2.7", 1)) == "192.0.2.7"
    assert key_of("ip", client=("2001:db8::7%eth0", 1)) == "2001:db8::/64"
    assert key_of("ip", client=("::ffff:192.0.2.7", 1)) == "192.0.2.7"
    assert key_of("ip", client=("no:address", 1)) == "no:address"
    assert key_of("ip", client=None) == "-"
    assert key_of("header:x-team", headers=headers) == "=blue"
    assert key_of("header:x-team") == "-"
    assert key_of(lambda scope: scope["user"], user=b"ann") == "ann"
    assert key_of(lambda _scope: None) == ""
    assert len(key_of(lambda _scope: "x" * 9_999)) == 512


def limiter(most: int = 3, **said: Any) -> Limiter:
    settings = RateLimitSettings(parse_rates("5/second"), **said)
    return Limiter("api", settings, quotas_of("api", settings, shared=False), most)


def test_a_node_forgets_the_key_that_was_not_seen_for_longest() -> None:
    found = limiter()
    first = found.gates("a", 0.0)

    for key in ("b", "c", "a", "d"):
        found.gates(key, 0.0)

    assert list(found.keys) == ["c", "a", "d"]
    assert found.gates("a", 0.0) is first


def test_exempt_keys_and_networks_have_no_gate() -> None:
    found = limiter(exempt=("shop", "10.0.0.0/8", "blue"))

    assert found.gates("shop", 0.0) == ()
    assert found.gates("10.1.2.3", 0.0) == ()
    assert found.gates("=blue", 0.0) == ()
    assert found.gates("192.0.2.7", 0.0) != ()


def test_rows_tell_of_the_last_thirty_seconds() -> None:
    found = limiter()
    found.allowed = 100
    found.row(10.0, "")
    found.allowed, found.refused = 130, 7

    row = found.row(45.0, "x")

    assert (row.allowed, row.refused, row.how, row.fault) == (30, 7, "local", "")


def test_after_three_errors_only_a_ping_asks_after_ever_longer_pauses() -> None:
    link = Link()
    for _ in range(3):
        assert not link.is_lost
        link.failed(0.0, "no answer")
    link.failed(0.01, "in flight still")

    pauses, now = [], 0.0
    for _ in range(7):
        start = now
        while not link.is_due(now):
            now += 0.25
        pauses.append(now - start)
        link.failed(now, "no answer")

    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    link.worked()
    assert (link.is_lost, link.fault) == (False, "")
