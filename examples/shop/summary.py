"""Exact figures of one traffic run: counts, statuses and percentiles per route."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import ceil
from typing import Any


def percentile(ordered: list[float], ratio: float) -> float | None:
    """Return the smallest value with at least `ratio` of the values at or below it."""
    if not ordered:
        return None
    return ordered[max(ceil(ratio * len(ordered)), 1) - 1]


@dataclass
class Tally:
    """Answers of one route: counts by status (or how it went wrong), times."""

    by_status: Counter[str] = field(default_factory=Counter)
    took_ms: list[float] = field(default_factory=list)

    def add(self, status: str, took_ms: float) -> None:
        self.by_status[status] += 1
        self.took_ms.append(took_ms)

    def figures(self) -> dict[str, Any]:
        ordered = sorted(self.took_ms)
        return {
            "n": len(ordered),
            "by_status": dict(sorted(self.by_status.items())),
            **{
                f"p{q}_ms": _rounded(percentile(ordered, q / 100)) for q in (50, 95, 99)
            },
        }


@dataclass
class Summary:
    """All answers of one run.  dropped: not sent, too many were outstanding."""

    total: Tally = field(default_factory=Tally)
    routes: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    consumers: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    dropped: int = 0

    def add(self, route: str, consumer: str, status: str, took_ms: float) -> None:
        self.total.add(status, took_ms)
        self.routes[route].add(status, took_ms)
        self.consumers[consumer] += 1

    def figures(self, seconds: float) -> dict[str, Any]:
        """Return what is printed as JSON; times in milliseconds."""
        return {
            "sent": self.sent,
            "dropped": self.dropped,
            "seconds": round(seconds, 2),
            "rate_per_s": round(self.sent / seconds, 2) if seconds else 0.0,
            **self.total.figures(),
            "consumers": dict(sorted(self.consumers.items())),
            "routes": {
                name: tally.figures() for name, tally in sorted(self.routes.items())
            },
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
