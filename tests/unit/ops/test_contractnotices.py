"""What versions and drift tell without being asked."""

from __future__ import annotations

import msgspec

from failsoft.controls.records import DriftAckDoc, SunsetDoc
from failsoft.ops.contractnotices import contract_notices
from failsoft.ops.sources.fake import START_MS
from failsoft.ops.views import FleetView
from failsoft.telemetry import Definitions, VersionDef
from unit.ops.contractfleet import DAY_MS, Records, look, stored


def told(records: Records | None = None) -> list[str]:
    view, _ = look(records)
    return [notice.text for notice in view.notices]


def at(view: FleetView, now_ms: int, **versions: str) -> list[str]:
    made = tuple(VersionDef(id_, sunset=date) for id_, date in versions.items())
    declared = Definitions(versions=made)
    return [one.text for one in contract_notices(declared, view.controls, None, now_ms)]


def test_new_drift_that_can_break_somebody_is_told() -> None:
    assert told() == ["new drift: payments POST /charge /amount type integer -> object"]


def test_drift_that_is_acked_is_told_no_more() -> None:
    view, _ = look()
    assert view.drift is not None
    (id_,) = (row.id for row in view.drift.rows if row.dependency)

    assert told({("drift", id_): stored(DriftAckDoc("ana", "known"))}) == []


def test_drift_is_old_after_a_day() -> None:
    view, _ = look()
    later = contract_notices(Definitions(), (), view.drift, START_MS + 2 * DAY_MS)

    assert later == []


def test_a_sunset_is_told_in_its_last_week() -> None:
    view, _ = look()

    soon = at(view, START_MS, v1="2026-09-28", v2="2026-09-29", v3="2026-09-21", v4="")

    assert soon == [
        "sunset of version v1 in 6d, on 2026-09-28 (S on Versions moves it)"
    ]


def test_a_sunset_that_was_moved_is_not_told() -> None:
    doc = stored(SunsetDoc("ana", "later", "2099-01-01"))
    view, _ = look({("version", "v1"): doc})

    assert at(view, START_MS, v1="2026-09-28") == []


def test_a_third_party_that_ends_within_days_is_told() -> None:
    view, _ = look()
    assert view.drift is not None
    soon = msgspec.structs.replace(view.drift.peers[0], days_left=7)
    drift = msgspec.structs.replace(view.drift, rows=(), peers=(soon,))

    (notice,) = contract_notices(Definitions(), (), drift, START_MS)

    assert notice.text == "payments ends POST /charge on 2026-11-01, in 7d"
