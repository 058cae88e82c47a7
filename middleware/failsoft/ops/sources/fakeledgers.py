"""Versions, their use and drift of a fleet that does not exist; same for each run."""

from __future__ import annotations

from typing import Any

import msgspec

from failsoft.clock import utc_date
from failsoft.ops.sources.ledgers import Ledgers, Section
from failsoft.outbound._announced import PeerNote, note_id
from failsoft.store.drift import DriftEntry, DriftRead, DriftRow, id_of
from failsoft.store.usage import Called
from failsoft.telemetry import BrownoutDef, ToleranceDef, VersionDef, encode

__all__ = ["CONTRACT", "fake_ledgers"]

_DAY_MS = 86_400_000

# Fields of the pretended release's `Definitions`.
CONTRACT: dict[str, Any] = {
    "versions": (
        VersionDef("2025-01-15", "2026-02-01", "2026-11-01", "https://docs.shop/2025"),
        VersionDef(
            "2025-06-01",
            deprecated="2026-08-01",
            sunset="2027-03-01",
            changes=(
                (
                    "rename Order.email to customer_email",
                    ("POST /checkout", "GET /orders/{id}"),
                ),
                ("split Customer.name into first, last", ("POST /checkout",)),
            ),
        ),
        VersionDef(
            "2026-02-01",
            changes=(
                (
                    "add Order.currency = EUR",
                    ("POST /checkout", "GET /orders/{id}"),
                ),
                ("gone POST /reviews", ("POST /reviews",)),
            ),
        ),
    ),
    "brownouts": (
        BrownoutDef(
            "autumn",
            versions=("2025-01-15",),
            windows=((1_790_600_000_000, 1_790_607_200_000),),
            percent=50.0,
        ),
    ),
    "pins": (("acct_42", "2025-01-15"),),
    "tolerances": (
        ToleranceDef(
            "old-ios-qty",
            "POST /cart",
            "ios-3",
            "/items/*/qty",
            "string_to_number",
            until="2026-12-01",
            reason="app 3.x until December",
            owner="mobile",
        ),
    ),
    "version_default": "oldest",
}
_USES = (  # version, route, consumer, requests per second, of past days
    ("2025-01-15", "POST /checkout", "ios-3", 2, 61_000),
    ("2025-01-15", "GET /orders/{id}", "ios-3", 3, 80_400),
    ("2025-01-15", "GET /items", "9f2c51e07a3b44d0", 1, 1_200),
    ("2025-06-01", "POST /checkout", "android-7", 3, 120_000),
    ("2025-06-01", "GET /orders/{id}", "android-7", 5, 205_000),
    ("2025-06-01", "POST /reviews", "partner.bot", 0, 300),
    ("2026-02-01", "POST /checkout", "web", 10, 400_000),
    ("2026-02-01", "GET /items", "web", 60, 2_400_000),
)
_DRIFT = (  # entry, of past days, per second
    (
        DriftEntry(
            route="POST /cart",
            path="/items/*/qty",
            kind="type",
            expected="integer",
            got="str:int",
            consumer="ios-3",
            version="2025-01-15",
        ),
        18_220,
        2,
    ),
    (
        DriftEntry(
            route="POST /charge",
            direction="response",
            dependency="payments",
            path="/amount",
            kind="type",
            expected="integer",
            got="object",
        ),
        0,
        3,
    ),
    (
        DriftEntry(
            route="POST /checkout",
            path="/coupon",
            kind="unknown",
            got="str",
            consumer="web",
            version="2026-02-01",
        ),
        604,
        0,
    ),
    (
        DriftEntry(
            route="POST /reviews",
            path="/rating",
            kind="missing",
            expected="integer",
            got="absent",
            consumer="partner.bot",
            version="2025-06-01",
        ),
        80,
        0,
    ),
)
_NOTE = (
    note_id("payments", "POST /charge"),
    PeerNote(
        dependency="payments",
        operation="POST /charge",
        is_deprecated=True,
        deprecated_at=1_788_220_800,
        sunset_at=1_793_491_200,
        links=(("successor-version", "https://docs.payments.example/v2"),),
        version="v1",
        first_ms=1_789_000_000_000,
        last_ms=1_790_000_000_000,
    ),
)


def fake_ledgers(
    wanted: frozenset[Section], now_ms: int, start_ms: int
) -> Ledgers | None:
    """Return the ledgers at a moment, None when nothing is wanted."""
    if not wanted:
        return None
    seconds = (now_ms - start_ms) // 1000
    usage = drift = notes = None
    if "versions" in wanted:
        usage = _usage(now_ms, seconds)
    if "drift" in wanted:
        drift, notes = _drift(now_ms, start_ms, seconds), {_NOTE[0]: encode(_NOTE[1])}
    return Ledgers(now_ms, usage, drift, notes)


def _usage(now_ms: int, seconds: int) -> dict[str, dict[Called, int]]:
    today, before = utc_date(now_ms / 1000), utc_date(now_ms / 1000 - 86_400)
    return {
        today: {Called(v, r, c): n * seconds for v, r, c, n, _ in _USES if n},
        before: {Called(v, r, c): past for v, r, c, _, past in _USES},
    }


def _drift(now_ms: int, start_ms: int, seconds: int) -> DriftRead:
    rows = []
    for place, (entry, past, per_s) in enumerate(_DRIFT):
        count = past + per_s * seconds
        last_ms = now_ms if per_s else start_ms - (place + 1) * 3_600_000
        first_ms = start_ms - (3 * _DAY_MS if past else 0)
        shown = msgspec.structs.replace(entry, first_ms=first_ms)
        day = utc_date(last_ms / 1000).replace("-", "")
        if count:
            rows.append(DriftRow(id_of(entry), shown, count, last_ms, {day: count}))
    rows.sort(key=lambda row: -row.last_ms)
    return DriftRead(now_ms, tuple(rows), len(rows), {"repaired:old-ios-qty": 40})
