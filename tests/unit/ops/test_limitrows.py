"""What operators see of rate limits, added up over nodes."""

from __future__ import annotations

from failsoft.ops.limitrows import limit_sums
from failsoft.store.fleet import FleetRead, LimitRow, NodeRow, encode_row

NOW_MS = 1_000_000


def read(**limits: LimitRow) -> FleetRead:
    rows = {
        node: encode_row(NodeRow(at_ms=NOW_MS - 1_000, limits=(row,)))
        for node, row in limits.items()
    }
    old = LimitRow("gone", "local", 5)
    rows["old"] = encode_row(NodeRow(at_ms=NOW_MS - 20_000, limits=(old,)))
    return FleetRead(NOW_MS, rows=rows | {"other": b"\xff"})


def test_a_limit_is_added_up_over_live_nodes() -> None:
    one = LimitRow("api", "leased", 2_700, 300, 60, 5, "", "100/second", 3)
    other = LimitRow("api", "leased", 300, 2_700, 30, 9, "no answer", "100/second", 4)

    (found,) = limit_sums(read(a=one, b=other), {"a": "w1", "b": "w2"}.__getitem__)

    assert (found.allowed_per_s, found.refused_per_s) == (100, 100)
    assert (found.refused, found.trips, found.lost_nodes) == (0.5, 0.015, 1)
    assert (found.how, found.policy) == ("leased", "100/second")
    assert [(n.short, n.trips, n.keys) for n in found.nodes] == [
        ("w1", 0.02, 3),
        ("w2", 0.01, 4),
    ]


def test_a_limit_without_requests_or_store_has_no_ratios() -> None:
    row = LimitRow("api", "local", policy="5/second")

    (found,) = limit_sums(read(a=row), str)

    assert (found.refused, found.trips, found.lost_nodes) == (None, None, 0)
