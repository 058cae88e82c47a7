"""Versions x consumers, who would break, pins and brownouts in force.  Pure.

Usage is counted by day; what a minute brings is the difference of two reads.
"""

from __future__ import annotations

from calendar import timegm
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from failsoft.controls.records import BrownoutDoc, PinDoc, SunsetDoc
from failsoft.controls.targets import covers
from failsoft.ops.contractrows import (
    Break,
    BrownoutRow,
    PinRow,
    UseRow,
    VersionRow,
    VersionsView,
)
from failsoft.ops.views import ControlRow
from failsoft.settings import is_date
from failsoft.store.usage import Called
from failsoft.telemetry import BrownoutDef, Definitions, VersionDef

__all__ = [
    "Changes",
    "Days",
    "UsageBook",
    "brownout_rows",
    "date_ms",
    "decoded",
    "pin_rows",
    "sunset_of",
    "versions_view",
    "would_break",
]

_Changed = VersionDef | VersionRow
Days = Mapping[str, Mapping[Called, int]]  # ISO date -> counts, newest first

DAY_MS = 86_400_000
_RATE_MS = 60_000
_FRESH_DAYS = 2  # that still grow
_Doc = TypeVar("_Doc", bound=msgspec.Struct)


def date_ms(date: str) -> int | None:
    """Return the instant of an ISO date, UTC midnight; None when it is none."""
    if not is_date(date):
        return None
    year, month, day = (int(part) for part in date.split("-"))
    return timegm((year, month, day, 0, 0, 0)) * 1000


def decoded(row: ControlRow, kind: type[_Doc]) -> _Doc | None:
    """Return a control's document; None when it is of another release."""
    try:
        return msgspec.json.decode(row.doc, type=kind) if row.doc else None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


class UsageBook:
    """Counts of 30 days, and how they grew within the last minute.

    counts: of all days.  today: of the newest day.  last_days, last_ms: of each
    (version, consumer), the newest day with a request, and when it was seen to grow.
    """

    def __init__(self) -> None:
        self.read_ms = 0
        self.counts: dict[Called, int] = {}
        self.today: dict[tuple[str, str], int] = {}
        self.last_days: dict[tuple[str, str], str] = {}
        self.last_ms: dict[tuple[str, str], int] = {}
        self._past_of: Days = {}
        self._past: dict[Called, int] = {}
        self._past_days: dict[tuple[str, str], str] = {}
        self._reads: deque[tuple[int, str, dict[tuple[str, str], int]]] = deque()

    def take(self, days: Days, now_ms: int) -> None:
        """Take a read of all days."""
        before = self._reads[-1] if self._reads else None
        self.read_ms = now_ms
        self._sum(days)
        newest = max(days, default="")
        self.today = _by_consumer(days.get(newest, {}))
        if before is not None and (before[1] != newest or before[0] >= now_ms):
            self._reads.clear()  # another day begins at zero, another store anywhere
            before = None
        for key, n in self.today.items() if before else ():
            if before and n > before[2].get(key, 0):
                self.last_ms[key] = now_ms
        self._reads.append((now_ms, newest, self.today))
        while len(self._reads) > 2 and self._reads[1][0] <= now_ms - _RATE_MS:
            self._reads.popleft()

    def _sum(self, days: Days) -> None:
        # Days that are over come as the same objects again: 30 days of 20,000
        # counters would hold up the loop for 0.3 s each time.
        past = {day: days[day] for day in sorted(days)[:-_FRESH_DAYS]}
        if past.keys() != self._past_of.keys() or any(
            days[day] is not held for day, held in self._past_of.items()
        ):
            self._past_of, self._past, self._past_days = past, {}, {}
            for day in past:
                _add(day, past[day], self._past, self._past_days)
        self.counts, self.last_days = dict(self._past), dict(self._past_days)
        for day in sorted(days.keys() - past.keys()):
            _add(day, days[day], self.counts, self.last_days)

    @property
    def has_rates(self) -> bool:
        """Whether two reads tell how counts grow."""
        return len(self._reads) > 1

    def per_s(self, version: str, consumer: str) -> float | None:
        """Return requests per second of the last minute, None before two reads."""
        if not self.has_rates:
            return None
        (first_ms, _, first), (last_ms, _, last) = self._reads[0], self._reads[-1]
        key = (version, consumer)
        return (last.get(key, 0) - first.get(key, 0)) * 1000 / (last_ms - first_ms)


def _add(
    day: str,
    counts: Mapping[Called, int],
    sums: dict[Called, int],
    last_days: dict[tuple[str, str], str],
) -> None:
    for called, n in counts.items():
        sums[called] = sums.get(called, 0) + n
        last_days[called.version, called.consumer] = day


def _by_consumer(counts: Mapping[Called, int]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for called, n in counts.items():
        key = (called.version, called.consumer)
        found[key] = found.get(key, 0) + n
    return found


class Changes:
    """What each version changed, asked route by route; answers are kept.

    versions: oldest first.
    """

    def __init__(self, versions: Sequence[_Changed]) -> None:
        self._versions = versions
        self.places = {version.id: place for place, version in enumerate(versions)}
        self._known: dict[tuple[int, str], tuple[str, ...]] = {}

    @property
    def last(self) -> int:
        """Return the place of the newest version."""
        return len(self._versions) - 1

    def _ops(self, place: int, route: str) -> tuple[str, ...]:
        known = self._known.get((place, route))
        if known is None:
            known = self._known[place, route] = tuple(
                op
                for op, reached in self._versions[place].changes
                if any(covers(glob, route) for glob in reached)
            )
        return known

    def breaks(
        self, version: str, routes: Iterable[str], retired: str
    ) -> tuple[Break, ...]:
        """Return what a client meets on routes it calls if a version is retired.

        Clients of the retired version or an older one are then served as the next
        version, so what came in between reaches them.
        """
        start, end = self.places.get(version), self.places.get(retired)
        if start is None or end is None or end + 1 >= len(self._versions):
            return ()
        called = tuple(routes)
        return tuple(
            Break(route, self._versions[place].id, op)
            for place in range(start + 1, end + 2)
            for route in called
            for op in self._ops(place, route)
        )

    def first(self, use: UseRow) -> int:
        """Return the place of the first later version that a use would meet.

        Beyond all of them for none.
        """
        start = self.places.get(use.version, len(self._versions))
        for place in range(start + 1, len(self._versions)):
            if any(self._ops(place, route) for route, _ in use.routes):
                return place
        return len(self._versions) + 1


def would_break(
    view: VersionsView, retired: str
) -> tuple[tuple[UseRow, tuple[Break, ...]], ...]:
    """Return who uses a version or an older one, and what each would meet without it.

    Those that would meet nothing have no breaks: they need to ask for the next
    version, and no other change.  Most requests first.
    """
    known = [row for row in reversed(view.versions) if row.state != "unknown"]
    changes = Changes(known)
    end = changes.places.get(retired, -1)
    return tuple(
        (use, changes.breaks(use.version, (r for r, _ in use.routes), retired))
        for use in view.uses
        if changes.places.get(use.version, len(known)) <= end
    )


def sunset_of(version: VersionDef, controls: Iterable[ControlRow]) -> str:
    """Return the sunset in force, as ISO date: the operators', else the declared."""
    for row in controls:
        if row.kind == "version" and row.active and row.target[8:] == version.id:
            doc = decoded(row, SunsetDoc)
            if doc is not None:
                return doc.sunset
    return version.sunset


def pin_rows(
    controls: Iterable[ControlRow], definitions: Definitions
) -> tuple[PinRow, ...]:
    """Return all pins in force by consumer; a control wins over what is declared."""
    found = {who: PinRow(who, version, "declared") for who, version in definitions.pins}
    for row in controls:
        doc = decoded(row, PinDoc) if row.kind == "pin" and row.active else None
        if doc is not None:
            who, until_ms = row.target[4:], row.until_ms
            found[who] = PinRow(
                *(who, doc.version, "control", until_ms, row.by, row.why),
                at_ms=row.at_ms,
                rev=row.rev,
            )
    return tuple(found[who] for who in sorted(found))


def brownout_rows(
    controls: Iterable[ControlRow], definitions: Definitions, now_ms: int
) -> tuple[BrownoutRow, ...]:
    """Return all brownouts, those open now first."""
    found = {one.name: _declared(one, now_ms) for one in definitions.brownouts}
    for row in controls:
        doc = decoded(row, BrownoutDoc) if row.kind == "brownout" else None
        if doc is None or not row.active:
            continue
        name, blame = row.target[9:], {"by_hand": row.by, "why": row.why}
        if doc.stop and name in found:
            found[name] = msgspec.structs.replace(
                found[name], state="stopped", rev=row.rev, end_ms=row.until_ms, **blame
            )
        elif not doc.stop:
            found[name] = _by_hand(name, doc, row)
    order = ("open", "stopped", "next", "over")
    rows = found.values()
    return tuple(sorted(rows, key=lambda row: (order.index(row.state), row.name)))


def _by_hand(name: str, doc: BrownoutDoc, row: ControlRow) -> BrownoutRow:
    return BrownoutRow(
        name=name,
        source="control",
        state="open",
        routes=doc.routes,
        versions=doc.versions,
        percent=doc.percent,
        by=doc.by,
        status=doc.status,
        start_ms=row.at_ms,
        end_ms=row.until_ms,
        only=doc.only,
        exempt=doc.exempt,
        by_hand=row.by,
        why=row.why,
        rev=row.rev,
    )


def _declared(one: BrownoutDef, now_ms: int) -> BrownoutRow:
    coming = [window for window in one.windows if window[1] > now_ms]
    start_ms, end_ms = coming[0] if coming else (0, 0)
    state = "open" if coming and start_ms <= now_ms else "next" if coming else "over"
    return BrownoutRow(
        name=one.name,
        source="declared",
        state=state,
        routes=one.routes,
        versions=one.versions,
        percent=one.percent,
        by=one.by,
        status=one.status,
        start_ms=start_ms,
        end_ms=end_ms,
        only=one.only,
        exempt=one.exempt,
    )


def versions_view(
    book: UsageBook,
    controls: Iterable[ControlRow],
    definitions: Definitions,
    now_ms: int,
) -> VersionsView:
    """Return the picture of versions; O(counters of 30 days)."""
    shown = tuple(controls)
    pins = pin_rows(shown, definitions)
    brownouts = brownout_rows(shown, definitions, now_ms)
    total = sum(book.counts.values())
    changes = Changes(definitions.versions)
    pinned = {pin.consumer: pin.version for pin in pins}
    uses = _uses(book, changes, pinned, total)
    firsts = [(changes.places.get(u.version), changes.first(u), u) for u in uses]
    lives = _Lives(book, shown, definitions.versions, brownouts, now_ms)
    by_version: dict[str, list[UseRow]] = {}
    for use in uses:
        by_version.setdefault(use.version, []).append(use)
    rows = [
        msgspec.structs.replace(
            lives.row(version, by_version.pop(version.id, []), total),
            breaking=_broken(firsts, changes.places[version.id], changes.last),
        )
        for version in reversed(definitions.versions)
    ]
    rows += [
        lives.figures(VersionRow(version, "unknown"), held, total)
        for version, held in by_version.items()
    ]
    return VersionsView(
        read_ms=book.read_ms,
        has_contract=bool(definitions.versions),
        default=definitions.version_default,
        total=total,
        versions=tuple(rows),
        uses=uses,
        pins=pins,
        brownouts=brownouts,
    )


def _broken(
    firsts: Iterable[tuple[int | None, int, UseRow]], retired: int, last: int
) -> int:
    """Count consumers of a version or an older one that meet a change by its end."""
    if retired == last:
        return 0  # no version is left that could serve them
    return len(
        {
            use.consumer
            for place, first, use in firsts
            if place is not None and place <= retired and first <= retired + 1
        }
    )


def _uses(
    book: UsageBook, changes: Changes, pins: Mapping[str, str], total: int
) -> tuple[UseRow, ...]:
    routes: dict[tuple[str, str], dict[str, int]] = {}
    for called, n in book.counts.items():
        routes.setdefault((called.version, called.consumer), {})[called.route] = n
    rows = []
    for (version, consumer), counts in routes.items():
        most = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        n = sum(counts.values())
        rows.append(
            UseRow(
                version=version,
                consumer=consumer,
                n=n,
                today=book.today.get((version, consumer), 0),
                share=n / total if total else 0.0,
                per_s=book.per_s(version, consumer),
                last_day=book.last_days[version, consumer],
                last_ms=book.last_ms.get((version, consumer), 0),
                routes=tuple(most),
                pinned=pins.get(consumer, ""),
                breaks=changes.breaks(version, counts, version),
            )
        )
    return tuple(sorted(rows, key=lambda row: (-row.n, row.version, row.consumer)))


class _Lives:
    """What is known of all versions, to make the row of each."""

    def __init__(
        self,
        book: UsageBook,
        controls: tuple[ControlRow, ...],
        versions: tuple[VersionDef, ...],
        brownouts: tuple[BrownoutRow, ...],
        now_ms: int,
    ) -> None:
        self._book = book
        self._controls = controls
        self._versions = versions
        self._open = [one for one in brownouts if one.state == "open"]
        self._now_ms = now_ms

    def row(self, version: VersionDef, uses: list[UseRow], total: int) -> VersionRow:
        """Return the row of a declared version."""
        sunset = sunset_of(version, self._controls)
        at_ms = date_ms(sunset)
        left = None if at_ms is None else (at_ms - self._now_ms) // DAY_MS
        row = VersionRow(
            version.id,
            self._state(version, left),
            deprecated=version.deprecated,
            sunset=sunset,
            declared=version.sunset,
            days_left=left,
            link=version.link,
            brownouts=tuple(
                one.name
                for one in self._open
                if not one.versions or version.id in one.versions
            ),
            changes=version.changes,
        )
        return self.figures(row, uses, total)

    def _state(self, version: VersionDef, left: int | None) -> str:
        if left is not None and left < 0:
            return "retired" if version.after == "gone" else "past_sunset"
        if version.id == self._versions[-1].id:
            return "newest"
        since = date_ms(version.deprecated)
        is_old = since is not None and since <= self._now_ms
        return "deprecated" if is_old else "supported"

    def figures(self, row: VersionRow, uses: list[UseRow], total: int) -> VersionRow:
        """Return the row with the sums of its uses."""
        rates = [use.per_s for use in uses if use.per_s is not None]
        n = sum(use.n for use in uses)
        has_rates = bool(rates) or (self._book.has_rates and not uses)
        return msgspec.structs.replace(
            row,
            n=n,
            today=sum(use.today for use in uses),
            share=n / total if total else 0.0,
            per_s=sum(rates) if has_rates else None,
            last_day=max((use.last_day for use in uses), default=""),
            last_ms=max((use.last_ms for use in uses), default=0),
            consumers=len({use.consumer for use in uses}),
        )
