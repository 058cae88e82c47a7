"""Which version a request asks for: sources, values, and when they disagree."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.versions import (
    Contract,
    Header,
    MediaTypeParam,
    PathPrefix,
    Query,
    Version,
)
from failsoft.versions._negotiate import Choice, Negotiation, VersionIds
from failsoft.versions._windows import date_s

NOW_S = float(date_s("2026-03-01"))
DATES = ("2025-01-15", "2025-06-01", "2026-02-01")
NUMBERS = ("1", "2", "2.1", "3")
EVERYWHERE = [Header("X-API-Version"), MediaTypeParam("v"), PathPrefix(), Query("ver")]


def dated(*ids: str, **options: Any) -> VersionIds:
    return VersionIds(Contract(map(Version, ids or DATES), **options))


def numbered(**options: Any) -> VersionIds:
    return VersionIds(Contract(map(Version, NUMBERS), scheme="number", **options))


def ask(*headers: tuple[str, str], query: str = "", **options: Any) -> Choice | None:
    contract = Contract(map(Version, DATES), **{"read": EVERYWHERE, **options})
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"headers": pairs, "query_string": query.encode()}
    return Negotiation(contract).choose(scope, None, lambda: NOW_S)


@pytest.mark.parametrize(
    ("text", "version", "slug"),
    [
        ("2025-01-15", "2025-01-15", ""),
        ("2025-05-31", "2025-01-15", ""),
        ("2026-02-28", "2026-02-01", ""),
        ("2025-01-14", "", "version-retired"),
        ("2025-02-30", "", "version-invalid"),
        ("2025-1-15", "", "version-invalid"),
        ("v2", "", "version-invalid"),
        ("", "", "version-invalid"),
        ("2025-01-15 ", "", "version-invalid"),
        ("٢٠٢٥-01-15", "", "version-invalid"),
        ("2025-01-15." + "a" * 60, "", "version-invalid"),
    ],
)
def test_a_date_means_the_newest_version_not_later(
    text: str, version: str, slug: str
) -> None:
    found = dated().find(text)

    assert (found.version, found.slug) == (version, slug)


def test_a_date_beyond_tomorrow_is_unknown_until_then() -> None:
    contract = Contract(map(Version, DATES))
    scope = {"headers": [(b"x-api-version", b"2026-03-03")]}
    choose = Negotiation(contract).choose

    early = choose(scope, None, lambda: NOW_S)
    then = choose(scope, None, lambda: NOW_S + 86_400)

    assert early is not None
    assert early.slug == "version-unknown"
    assert then is not None
    assert then.version == "2026-02-01"


def test_a_declared_version_of_the_future_can_be_asked_for() -> None:
    contract = Contract(map(Version, (*DATES, "2027-01-01")))
    scope = {"headers": [(b"x-api-version", b"2027-01-01")]}

    found = Negotiation(contract).choose(scope, None, lambda: NOW_S)

    assert found is not None
    assert found.version == "2027-01-01"


def test_a_bare_date_means_the_last_name_of_that_day() -> None:
    ids = dated("2025-01-15.acacia", "2025-06-01.basil", "2025-06-01.clover")

    assert ids.find("2025-06-01").version == "2025-06-01.clover"
    assert ids.find("2025-06-01.basil").version == "2025-06-01.basil"
    assert ids.find("2025-05-01.acacia").version == "2025-01-15.acacia"


@pytest.mark.parametrize(
    ("text", "version", "slug"),
    [
        ("2", "2.1", ""),
        ("v2", "2.1", ""),
        ("2.0", "2", ""),
        ("v2.1", "2.1", ""),
        ("3", "3", ""),
        ("2.2", "", "version-unknown"),
        ("4", "", "version-unknown"),
        ("0", "", "version-retired"),
        ("2.", "", "version-invalid"),
        ("1" * 10, "", "version-invalid"),
    ],
)
def test_a_major_number_means_its_highest_minor(
    text: str, version: str, slug: str
) -> None:
    found = numbered().find(text)

    assert (found.version, found.slug) == (version, slug)


def test_an_exact_match_knows_declared_versions_only() -> None:
    assert dated(match="exact").find("2025-05-31").slug == "version-unknown"
    assert dated(match="exact").find("2025-06-01").version == "2025-06-01"
    assert numbered(match="exact").find("2").version == "2"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([("x-api-version", "2025-06-01")], ""),
        ([("accept", "application/json; v=2025-06-01")], ""),
        ([("accept", 'text/html, application/json;q=0.9; V="2025-06-01"')], ""),
        ([], "a=1&ver=2025-06-01"),
        ([("x-api-version", "2025-06-01"), ("x-api-version", "2025-06-02")], ""),
        ([("x-api-version", "2025-06-01")], "ver=2025-06-30"),
    ],
)
def test_sources_that_mean_the_same_version_agree(
    headers: list[tuple[str, str]], query: str
) -> None:
    found = ask(*headers, query=query)

    assert found is not None
    assert found.version == "2025-06-01"


def test_sources_that_differ_are_a_conflict_that_names_both() -> None:
    found = ask(("x-api-version", "2025-06-01"), query="ver=2025-01-15")

    assert found is not None
    assert found.slug == "version-conflict"
    assert found.sources == ("header X-API-Version", "query ver")
    assert found.requested == "2025-06-01, 2025-01-15"


def test_a_repeated_header_that_differs_is_a_conflict() -> None:
    found = ask(("x-api-version", "2025-06-01"), ("x-api-version", "2025-01-15"))

    assert found is not None
    assert found.slug == "version-conflict"


def test_a_bad_value_is_told_though_another_source_is_fine() -> None:
    found = ask(("x-api-version", "2025-06-01"), query="ver=nonsense")

    assert found is not None
    assert (found.slug, found.sources) == ("version-invalid", ("query ver",))


def test_the_media_range_a_client_likes_best_decides() -> None:
    accept = "application/json;v=2025-01-15;q=0.4, application/json;v=2025-06-01;q=0.8"

    found = ask(("accept", accept))

    assert found is not None
    assert found.version == "2025-06-01"
    assert ask(("accept", "application/json;v=2025-01-15;q=0")) is None


def test_a_parameter_is_read_however_its_name_is_escaped() -> None:
    found = ask(query="x=%zz&%76er=2025-06-01")

    assert found is not None
    assert found.version == "2025-06-01"


def test_nothing_asked_is_nothing_chosen() -> None:
    assert ask(("accept", "*/*"), query="verb=1&x") is None


def test_an_unknown_prefix_is_just_a_path() -> None:
    contract = Contract(map(Version, NUMBERS), scheme="number", read=[PathPrefix("v")])
    in_path = Negotiation(contract).in_path

    found = in_path("/v2/orders")

    assert found is not None
    assert (found[0].version, found[1]) == ("2.1", "/v2")
    assert [in_path(p) for p in ("/v9/x", "/v", "/videos", "/", "/x/v2")] == [None] * 5


@given(st.text(max_size=80))
def test_any_text_is_a_declared_version_or_a_fault_and_the_same_each_time(
    text: str,
) -> None:
    for ids in (dated(), numbered()):
        found = ids.find(text)

        assert bool(found.version) != bool(found.slug)
        assert found.version in ("", *ids.ids)
        assert len(found.requested) <= 64
        assert ids.find(text) == found


@given(st.dates(), st.dates())
def test_a_later_date_never_means_an_older_version(one: Any, two: Any) -> None:
    ids = dated()
    order = ["", *DATES]
    first, second = sorted((one.isoformat(), two.isoformat()))

    versions = [ids.find(text).version for text in (first, second)]

    assert order.index(versions[0]) <= order.index(versions[1])


def test_endless_values_do_not_grow_the_memo() -> None:
    ids = dated()

    found = {ids.find(f"2025-02-{day:02}.n{n}") for n in range(200) for day in (3, 4)}
    many = [ids.find(str(n)).slug for n in range(5000)]

    assert {choice.version for choice in found} == {"2025-01-15"}
    assert set(many) == {"version-invalid"}


def test_long_values_are_not_kept() -> None:
    """A header may be 64 KiB long, and a thousand of them are remembered."""
    contract = Contract(map(Version, DATES), read=[MediaTypeParam("v")])
    negotiation = Negotiation(contract)
    gc.collect()
    tracemalloc.start()

    for n in range(300):
        accept = f"*/*;v={n}{'x' * 20_000}".encode()
        scope = {"headers": [(b"accept", accept)], "query_string": b""}
        found = negotiation.choose(scope, None, lambda: NOW_S)
        assert found is not None
        assert found.slug == "version-invalid"

    kept_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept_bytes < 500_000


def test_an_id_that_its_scheme_cannot_read_is_refused() -> None:
    with pytest.raises(ValueError, match="'v1' is no date"):
        dated("v1")
