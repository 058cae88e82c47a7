"""How ends are announced: exact header lines, and the earlier of two dates."""

from __future__ import annotations

import pytest

from failsoft.versions import Contract, Version, deprecate
from failsoft.versions._lifecycle import (
    Lifecycle,
    announce,
    earliest,
    lifecycle_of,
    lifecycles_of,
    notices_of,
    warning_due,
)
from failsoft.versions._windows import date_s

OLD = Version(
    "2025-01-15",
    deprecated="2026-02-01",
    sunset="2026-11-01",
    link="https://docs.example/2025",
)
DAY_S = 86_400


def test_the_lines_are_those_of_the_standards() -> None:
    lines = announce(lifecycle_of(OLD), "https://docs.example/2026")

    assert lines == (
        (b"deprecation", b"@1769904000"),
        (b"sunset", b"Sun, 01 Nov 2026 00:00:00 GMT"),
        (b"link", b'<https://docs.example/2025>; rel="deprecation"'),
        (b"link", b'<https://docs.example/2025>; rel="sunset"'),
        (b"link", b'<https://docs.example/2026>; rel="successor-version"'),
    )


def test_what_does_not_end_says_nothing() -> None:
    assert announce(lifecycle_of(Version("2025-06-01", link="https://x"))) == ()


def test_a_link_cannot_break_out_of_its_header() -> None:
    life = Lifecycle(1, None, ('https://x/>; rel="evil"\r\nset-cookie: a',))

    ((_, _), (_, value)) = announce(life)

    assert value == b'<https://x/;rel=evilset-cookie:a>; rel="deprecation"'


def test_of_a_version_and_its_route_the_earlier_date_of_each_holds() -> None:
    op = deprecate("GET /x", since="2025-12-01", sunset="2027-01-01", link="https://r")

    both = earliest(lifecycle_of(OLD), lifecycle_of(op))

    assert both.deprecated_s == date_s("2025-12-01")
    assert both.sunset_s == date_s("2026-11-01")
    assert both.links == ("https://docs.example/2025", "https://r")


def test_after_serve_nothing_is_refused() -> None:
    served = Version("2025-01-15", sunset="2026-11-01", after="serve")

    assert lifecycle_of(served).ends_s == float("inf")
    assert lifecycle_of(OLD).ends_s == date_s("2026-11-01")


def test_operators_move_a_sunset_later_never_earlier() -> None:
    contract = Contract([OLD, Version("2025-06-01")])

    later, none = lifecycles_of(contract, {"2025-01-15": "2026-12-31"})
    same, bad = lifecycles_of(
        contract, {"2025-01-15": "2026-10-01", "2020-01-01": "2027-01-01"}
    )

    assert later["2025-01-15"].sunset_s == date_s("2026-12-31")
    assert none == []
    assert same["2025-01-15"].sunset_s == date_s("2026-11-01")
    assert sorted(bad) == ["version:2020-01-01", "version:2025-01-15"]


@pytest.mark.parametrize(
    ("days_left", "told"),
    [(31, None), (30, 30), (8, 30), (7, 7), (1.5, 7), (1, 1), (0.01, 1), (0, None)],
)
def test_an_end_is_told_30_7_and_1_days_before(
    days_left: float, told: int | None
) -> None:
    assert warning_due(1_000_000_000, 1_000_000_000 - days_left * DAY_S) == told


def test_a_notice_says_what_ends_when_and_what_then() -> None:
    lives = {"2025-01-15": lifecycle_of(OLD), "2025-06-01": Lifecycle()}

    (notice,) = notices_of(lives, date_s("2026-10-25"))

    assert notice == ("2025-01-15", 7, "2026-11-01", "gone")
