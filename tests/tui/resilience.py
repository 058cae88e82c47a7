"""Modes, dependencies and objectives on paper, as an incident gives them."""

from __future__ import annotations

from failsoft.ops.fleetrows import (
    BurnRow,
    CallRow,
    DependencyRow,
    DependencySeen,
    DependencyView,
    ModeRow,
    SloRow,
    SloView,
)

__all__ = ["dependencies", "modes", "objectives"]


def modes(now_ms: int) -> tuple[ModeRow, ...]:
    """One mode in each state."""
    return (
        ModeRow(
            "orders.cache-only", "Orders may be up to 5 minutes old", "minor", "on",
            "ON", scope=("GET /v1/orders*", "tag:orders"), via="auto",
            gives="answers up to 5m old, timeout 300ms, no retries",
            trigger="breaker orders-db open 42s", since_ms=now_ms - 180_000,
            until_ms=now_ms + 1_620_000, rev=8_402, rps=212.4,
            enter=("any of: burn orders (auto rule)",
                   "breaker orders-db open for 30s"),
            leave=("burn orders below 5.0%, and orders-db closed, for 5m",),
            timing="hold 5s, exit hold 5m, dwell 60s, recover 10 25 50 100%, probe 5%",
            drilled_ms=now_ms - 9 * 86_400_000, group="INC-311",
        ),
        ModeRow(
            "checkout.queue", "Orders are taken and paid later", "major", "recovering",
            "RECOVERING 25%", scope=("POST /v1/checkout",), via="auto", share=0.75,
            gives="reroute to queue_order", trigger="burn checkout 12.3% of 10.0%",
            since_ms=now_ms - 1_400_000, until_ms=now_ms + 1_100_000, rps=61.0,
            enter=("burn checkout (auto rule)",), leave=("burn checkout below 5.0%",),
            drilled_ms=now_ms - 40 * 86_400_000, drill_due=True,
        ),
        ModeRow(
            "reviews.off", "Reviews are paused", "minor", "latched", "LATCHED ON",
            scope=("* /v1/reviews*",), via="auto", gives="503 for all",
            trigger="burn reviews 22.0% of 10.0%", since_ms=now_ms - 900_000,
            enter=("burn reviews (auto rule)",), rps=31.0,
        ),
        ModeRow(
            "search.static", "Search shows best sellers", "minor", "kept off",
            "KEPT OFF", scope=("GET /v2/search",), via="operator", by="bob",
            why="INC-309 false alarm", gives="a static 200 answer",
            since_ms=now_ms - 600_000, until_ms=now_ms + 3_000_000,
            enter=("breaker elastic open for 30s",),
        ),
        ModeRow(
            "fs.maintenance", "Down for maintenance", "critical", "off", "off",
            scope=("* *",), gives="503 maintenance",
            params=(("text", "up to 200 characters; Down for it unless given"),),
        ),
        ModeRow("fs.read-only", "Changes are paused; reading works", "major", "off",
                "off", scope=("* *",), gives="503 for all but GET, HEAD, OPTIONS"),
        ModeRow("fs.timeouts", "Time-outs are scaled", "minor", "off", "off",
                scope=("* *",), gives="time-outs x scale", public=False,
                params=(("scale", "0.25 to 2; must be given"),)),
    )  # fmt: skip


def objectives(now_ms: int) -> SloView:
    """One that burns, one that is fine, one that nobody reported."""
    return SloView(
        now_ms,
        (
            SloRow(
                "checkout", 0.999, 0.8, ("POST /v1/checkout",), 1_204_233, 1_044, 31,
                0.108, 14.9, 0.123, 0.1,
                (
                    BurnRow("fast", "page", 14.4, (("1h", 14.9), ("5m", 122.0)),
                            "firing", now_ms - 240_000),
                    BurnRow("slow", "page", 6.0, (("6h", 3.1), ("30m", 31.0))),
                    BurnRow("day", "ticket", 3.0, (("1d", 1.2), ("2h", 8.8))),
                ),
            ),
            SloRow("all", 0.99, None, ("* *",), 98_233_120, 120_331, 3_000, 0.874, 0.4,
                   0.002, 0.5,
                   (BurnRow("fast", "page", 14.4, (("1h", 0.4), ("5m", 0.6))),)),
            SloRow("reports", 0.95, rules=(
                BurnRow("slow", "page", 6.0, (("6h", 1.0), ("30m", None)), "frozen",
                        now_ms - 3_600_000),)),
        ),
    )  # fmt: skip


def dependencies(now_ms: int) -> DependencyView:
    """Open on three of four, forced, throttled by its quota, and fine."""
    nodes = [
        DependencySeen(
            f"n{i}", f"w{i}", "open", "open", "41 of 60 failed", now_ms - 102_000, 60,
            41, 2, 310, now_ms + 4_000, 0.0, 2_100.0, now_ms - 103_000,
        )
        for i in (1, 2, 3)
    ]  # fmt: skip
    nodes.append(DependencySeen("n4", "w4", calls=58, fail=1, last_ok_ms=now_ms - 400))
    routes = (
        CallRow("POST /v1/checkout", "critical_plus", 2.0, "queue_order", None),
        CallRow("POST /v1/refunds", "critical", None, "", None),
    )
    return DependencyView(
        now_ms,
        (
            DependencyRow(
                "payments", "OPEN 3/4", "O", tuple(nodes), 3, 7.9, 31.0, 0.521, 0.025,
                2_100.0, 0.0, probe_ms=now_ms + 4_000, routes=routes,
            ),
            DependencyRow(
                "mail", "FORCED OPEN", "F",
                tuple(
                    DependencySeen(f"n{i}", f"w{i}", "forced_open", "closed",
                                   calls=4, refused=50) for i in (1, 2, 3, 4)
                ),
                0, 0.5, 6.7, None, None, 80.0, override="open", via="operator",
                by="ana", why="INC-311 provider asks for silence",
                since_ms=now_ms - 300_000, until_ms=now_ms + 480_000, rev=8_400,
            ),
            DependencyRow(
                "geo", "THROTTLED 40%", "T",
                (DependencySeen("n1", "w1", calls=900, throttle=0.4),), 0, 30.0, 12.0,
                0.031, 0.0, 41.0, throttle=0.4, quota_limit=5_000,
                quota_remaining=350, quota_reset_ms=now_ms + 1_140_000,
            ),
            DependencyRow(
                "elastic", "closed", ".",
                tuple(
                    DependencySeen(f"n{i}", f"w{i}", calls=2_200, fail=2,
                                   last_ok_ms=now_ms - 100) for i in (1, 2, 3, 4)
                ),
                0, 293.0, 0.0, 0.001, 0.003, 88.0, 10.0, quota_limit=100_000,
                quota_remaining=81_200, quota_reset_ms=now_ms + 40_000,
            ),
        ),
        leader="n2",
    )  # fmt: skip
