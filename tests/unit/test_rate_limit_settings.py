"""`[rate_limit.<name>]` and what routes say of it: values, and findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from failsoft.errors import DefinitionError
from failsoft.settings import RatePart, Settings, load_settings


def load(**sections: Any) -> Settings:
    return load_settings(sections, {}, Path("/nowhere"))


def finding(**sections: Any) -> str:
    with pytest.raises(DefinitionError) as told:
        load(**sections)
    (text,) = told.value.findings
    return text


def test_a_limit_says_its_rates_the_shortest_window_first() -> None:
    limit = {"rate": "2000/hour; 100 per 2 minutes", "key": "header:X-Team"}

    found = load(rate_limit={"api": limit}).rate_limits["api"]

    assert found.rate == (RatePart(100, 120, "2minute"), RatePart(2000, 3600, "hour"))
    assert (found.key, found.cost, found.on_store_error) == (
        "header:x-team",
        1,
        "local",
    )


def test_limits_may_have_a_server_of_their_own() -> None:
    found = load(store={"limits_url": "redis://limits:6379/0"})

    assert (found.store.limits_url, found.store.url) == ("redis://limits:6379/0", "")


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"rate": "100/fortnight"}, "arguments: rate_limit.api.rate is no rate"),
        ({"rate": "0/second"}, "lets nothing pass"),
        ({}, 'has no rate; add rate = "100/minute"'),
        ({"rate": "5/second", "cost": 6}, "lower cost to at most 5"),
        ({"rate": "5/second", "burst": 6}, "write at most 5"),
        ({"rate": "5/second;9/minute", "burst": 2}, "split it into limits of one rate"),
        ({"rate": "5/second", "burst": 2, "how": "exact"}, "drop burst"),
        ({"rate": "5/second", "key": "user"}, "write one of these"),
        ({"rate": "5/second", "on_store_error": "close"}, "did you mean closed?"),
        ({"rates": "5/second", "rate": "5/second"}, "did you mean rate?"),
    ],
)
def test_a_limit_that_cannot_be_used_is_named_with_the_cure(
    limit: dict[str, Any], said: str
) -> None:
    assert said in finding(rate_limit={"api": limit})


def test_a_route_names_a_limit_that_exists_or_a_rate_that_can_be_read() -> None:
    api = {"api": {"rate": "5/second"}}

    assert finding(rate_limit=api, defaults={"rate_limit": "apo"}) == (
        "settings: defaults: rate_limit = 'apo' is not declared; did you mean api?"
    )
    assert finding(routes={"GET /a": {"rate_limit": "api"}}) == (
        "settings: routes.\"GET /a\": rate_limit = 'api' is not declared; "
        "add [rate_limit.api]"
    )
    assert "granularity" in finding(routes={"GET /a": {"rate_limit": "5/moment"}})
