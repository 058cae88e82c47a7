"""Rows of versions and drift that operators see.

All strings are raw, as in `views`; surfaces pass them through `text.safe`.  Ratios
are 0..1, rates per second, instants the store's milliseconds with 0 for none; None =
not known yet, printed as `-`, never as 0.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = [
    "Break",
    "BrownoutRow",
    "DriftRow",
    "DriftView",
    "PeerRow",
    "PinRow",
    "ToleranceRow",
    "UseRow",
    "VersionRow",
    "VersionsView",
]

Source = Literal["control", "declared"]


class Break(msgspec.Struct, frozen=True):
    """A change that a client of an older version would meet on a route it calls.

    version: the one that brings the change.  op: the change in words.
    """

    route: str
    version: str
    op: str


class UseRow(msgspec.Struct, frozen=True):
    """One version x consumer over 30 days of UTC, those with most requests first.

    n: requests of the 30 days, today: of this day.  share: of all requests of the
    30 days.  per_s: of the last minute, None until two reads tell.  last_day: ISO
    date of the newest request; last_ms: its instant, 0 where only the day is known.
    routes: (route, n), most called first.  pinned: version of its pin, "" for none.
    breaks: what it would meet if its version were retired, empty for the newest.
    """

    version: str
    consumer: str
    n: int
    today: int
    share: float
    per_s: float | None = None
    last_day: str = ""
    last_ms: int = 0
    routes: tuple[tuple[str, int], ...] = ()
    pinned: str = ""
    breaks: tuple[Break, ...] = ()


class VersionRow(msgspec.Struct, frozen=True):
    """One version, newest first; then labels in use that no release declares.

    state: newest, supported, deprecated, retired (past its sunset and refused),
    past_sunset (past it and still served), unknown (declared nowhere).  sunset: ISO
    date in force, declared: the one of the code where operators moved it.
    days_left: whole days until the sunset, negative after it, None without one.
    consumers: in 30 days.  breaking: those that would meet a change on a route they
    call, were this version and all older ones retired.  brownouts: names of open ones
    that reach it.  changes: what it brought, as in `VersionDef`.
    """

    id: str
    state: str
    deprecated: str = ""
    sunset: str = ""
    declared: str = ""
    days_left: int | None = None
    link: str = ""
    n: int = 0
    today: int = 0
    share: float = 0.0
    per_s: float | None = None
    last_day: str = ""
    last_ms: int = 0
    consumers: int = 0
    breaking: int = 0
    brownouts: tuple[str, ...] = ()
    changes: tuple[tuple[str, tuple[str, ...]], ...] = ()


class PinRow(msgspec.Struct, frozen=True):
    """A consumer's version.  A control wins over what is declared."""

    consumer: str
    version: str
    source: Source
    until_ms: int = 0
    by: str = ""
    why: str = ""
    at_ms: int = 0
    rev: int = 0


class BrownoutRow(msgspec.Struct, frozen=True):
    """A brownout, declared or by hand, open ones first.

    state: open, next (a window is to come), stopped (by an operator), over.
    start_ms, end_ms: of the open or the next window.  routes: globs; versions: empty
    for all.  by_hand: who started or stopped it, "" for nobody.
    """

    name: str
    source: Source
    state: str
    routes: tuple[str, ...]
    versions: tuple[str, ...]
    percent: float
    by: str
    status: int
    start_ms: int = 0
    end_ms: int = 0
    only: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    by_hand: str = ""
    why: str = ""
    rev: int = 0


class VersionsView(msgspec.Struct, frozen=True):
    """Versions and who uses them, as of one read.

    read_ms: when it was read.  has_contract: whether a live release declares
    versions.  default: what a consumer without version or pin gets: oldest, newest,
    required or an id.  days: how many were read.  total: requests of all of them.
    """

    read_ms: int
    has_contract: bool = False
    default: str = ""
    days: int = 30
    total: int = 0
    versions: tuple[VersionRow, ...] = ()
    uses: tuple[UseRow, ...] = ()
    pins: tuple[PinRow, ...] = ()
    brownouts: tuple[BrownoutRow, ...] = ()


class ToleranceRow(msgspec.Struct, frozen=True):
    """A tolerance or a handling, those in force first.

    state: active, expired, ended (declared, and ended by an operator).  handling:
    the level it sets, "" for a repair.  until_ms: its end.  covers: ids of drift
    entries that it meets.
    """

    name: str
    source: Source
    state: str
    route: str
    consumer: str
    path: str = ""
    kind: str = ""
    value: Any = None
    handling: str = ""
    until_ms: int = 0
    owner: str = ""
    by: str = ""
    why: str = ""
    rev: int = 0
    covers: tuple[str, ...] = ()


class DriftRow(msgspec.Struct, frozen=True):
    """One difference between bodies and their schema, newest first.  Types only.

    direction: request or response; dependency: "" for our own API.  n: times seen
    in 30 days, today: of this day.  severity: of a new entry, warning or info.
    acked_until_ms: 0 = nobody acked it; -1 = acked without end.  tolerance: name of
    the active one that covers it.
    suggests: repair kind that would meet it, "" for none.
    """

    id: str
    route: str
    direction: str
    dependency: str
    path: str
    kind: str
    expected: str
    got: str
    consumer: str
    version: str
    n: int
    today: int
    first_ms: int
    last_ms: int
    acked_until_ms: int = 0
    acked_by: str = ""
    tolerance: str = ""
    suggests: str = ""
    severity: str = "info"


class PeerRow(msgspec.Struct, frozen=True):
    """What a third party announced of one operation.

    deprecated, sunset: ISO dates, "" for none; `true` where it gave no date.
    days_left: to the sunset, None without one.  versions: those it calls deprecated.
    version: the one that answered last, was: the one before.
    """

    dependency: str
    operation: str
    deprecated: str = ""
    sunset: str = ""
    days_left: int | None = None
    link: str = ""
    successor: str = ""
    warning: str = ""
    versions: tuple[str, ...] = ()
    version: str = ""
    was: str = ""
    first_ms: int = 0
    last_ms: int = 0


class DriftView(msgspec.Struct, frozen=True):
    """The drift ledger, tolerances and third parties' notes, as of one read.

    entries: in the ledger; rows are the newest 2,000 of them.  overflow: differences
    that were counted without an entry, as the ledger was full.  tallies: whatever
    is counted without an entry, as `repaired:NAME`, `skipped:size`.
    """

    read_ms: int
    entries: int = 0
    overflow: int = 0
    tallies: tuple[tuple[str, int], ...] = ()
    rows: tuple[DriftRow, ...] = ()
    tolerances: tuple[ToleranceRow, ...] = ()
    peers: tuple[PeerRow, ...] = ()
