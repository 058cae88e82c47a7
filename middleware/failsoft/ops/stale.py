"""Words for how old the picture is.  The painter asks, not the reader: a dead reader
must not look alive.  Pure; `now` is `clock.elapsed()`.
"""

from __future__ import annotations

from typing import Literal

from failsoft.ops.views import FleetView, NodeRow

__all__ = [
    "LIVE_S",
    "SILENT_S",
    "STALE_S",
    "Word",
    "age_s",
    "left",
    "link_word",
    "node_age_s",
    "span",
]

LIVE_S = 2.0
STALE_S = 2.5  # beyond it writes are refused
SILENT_S = 3.0

Word = Literal["CONNECTING", "LIVE", "SLOW", "STALE", "EMPTY", "REWOUND"]


def age_s(view: FleetView, now: float) -> float:
    """Return seconds since the last complete reply (never negative)."""
    return max(0.0, now - view.received)


def node_age_s(node: NodeRow, view: FleetView, now: float) -> float:
    """Return seconds since the node's last heartbeat; it goes on without replies."""
    return node.age + age_s(view, now)


def span(seconds: float) -> str:
    """Return a span as people say it: `0.8s 12s 4m10s 3h05m 2d`."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d"


def left(until_ms: int, now_ms: int) -> str:
    """Return how long something still lasts: `4m10s left`, `no end`, `ended`."""
    if not until_ms:
        return "no end"
    left_s = (until_ms - now_ms) / 1000
    return f"{span(left_s)} left" if left_s > 0 else "ended"


def link_word(view: FleetView, now: float) -> tuple[Word, str]:
    """Return the word and the text that a header prints.

    A link that is down is STALE at once, whatever the age of the last reply.
    """
    if not view.seq or not view.received:
        return "CONNECTING", _connecting(view, now)
    age = age_s(view, now)
    if view.link.state in ("down", "auth") or age > STALE_S:
        return "STALE", f"STALE {span(age)}"
    if view.controls_state == "missing":
        return "EMPTY", "EMPTY"
    if view.controls_state == "rewound":
        return "REWOUND", "REWOUND"
    word: Word = "LIVE" if age <= LIVE_S else "SLOW"
    return word, f"{word} {span(age)}"


def _connecting(view: FleetView, now: float) -> str:
    link = view.link
    if link.state == "auth":
        return f"REFUSED {link.cause}"
    waited = span(now - link.since) if link.since else span(0)
    tries = f" try {link.tries}" if link.tries > 1 else ""
    cause = f": {link.cause}" if link.cause else ""
    return f"CONNECTING {waited}{tries}{cause}"
