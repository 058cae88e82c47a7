from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from failsoft.consumer import rank_of
from failsoft.pipeline import Plan
from failsoft.resilience._criticality import criticality_of, is_trusted

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("own", "said", "found"),
    [
        ("critical", b"sheddable", "sheddable"),
        ("critical", b" Sheddable_Plus ", "sheddable_plus"),
        ("sheddable", b"critical_plus", "sheddable"),
        ("critical", b"urgent", "critical"),
        ("critical", b"", "critical"),
    ],
)
def test_a_header_may_only_lower(own: str, said: bytes, found: str) -> None:
    headers = {b"failsoft-criticality": said}

    assert criticality_of(own, headers, may_raise=False) == found


def test_a_trusted_peer_may_raise() -> None:
    said = {b"failsoft-criticality": b"critical_plus"}

    assert criticality_of("sheddable", said, may_raise=True) == "critical_plus"


@pytest.mark.parametrize("name", [b"sec-purpose", b"purpose"])
def test_a_prefetch_is_sheddable_whatever_else_it_says(name: bytes) -> None:
    said = {name: b"Prefetch;prerender", b"failsoft-criticality": b"critical_plus"}

    assert criticality_of("critical", said, may_raise=True) == "sheddable"


@pytest.mark.parametrize(
    ("client", "is_one"),
    [
        (("10.1.2.3", 5000), True),
        (("::ffff:10.1.2.3", 5000), True),
        (("2001:db8::1", 5000), True),
        (("192.0.2.1", 5000), False),
        (("testclient", 5000), False),
        (("", 0), False),
        (None, False),
    ],
)
def test_a_peer_is_trusted_by_the_address_of_its_socket(
    client: object, is_one: bool
) -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))

    assert is_trusted({"client": client}, networks) is is_one


class Asked:
    """An exchange, as far as the rank of its caller goes."""

    def __init__(self, client: Any = None, *headers: tuple[bytes, bytes]) -> None:
        self.scope = {"client": client, "headers": headers}
        self.runtime: Any = self
        self.plan = Plan("GET /x", "critical", None)
        self.said = None
        self.consumers = self
        self.headers = (b"x-app",)


def rank(asked: Any, hour: int = 0) -> float:
    return rank_of(asked, hour * HOUR_MS, lambda: 0.123)


def test_a_consumer_keeps_its_rank_for_an_hour_and_gets_another_then() -> None:
    one = Asked(("192.0.2.1", 1), (b"x-api-key", b"k"))

    assert rank(one) == rank_of(one, HOUR_MS - 1, lambda: 0.5)  # type: ignore[arg-type]
    assert rank(one) != rank(one, 1)


def test_ranks_spread_evenly() -> None:
    ranks = [rank(Asked(None, (b"x-api-key", b"%d" % n))) for n in range(1000)]

    assert 0 <= min(ranks) < 0.01
    assert 0.99 < max(ranks) < 1
    assert 0.47 < sum(ranks) / 1000 < 0.53


def test_an_app_id_counts_before_a_key_and_a_key_before_the_network() -> None:
    key = (b"x-api-key", b"k")

    app = Asked(("192.0.2.1", 1), (b"x-app", b"web"), key)

    assert rank(app) == rank(Asked(("198.51.100.9", 9), (b"x-app", b"web")))
    assert rank(Asked(("192.0.2.1", 1), key)) == rank(Asked(None, key))


@pytest.mark.parametrize(
    ("one", "other"),
    [("192.0.2.1", "192.0.2.200"), ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9")],
)
def test_callers_without_a_name_share_the_rank_of_their_network(
    one: str, other: str
) -> None:
    assert rank(Asked((one, 1))) == rank(Asked((other, 2)))
    assert rank(Asked((one, 1))) != rank(Asked(("203.0.113.1", 1)))


def test_the_dice_rank_whoever_cannot_be_told_apart() -> None:
    assert rank(Asked(None)) == 0.123
