"""The table of Versions: each version, and under it who uses it (pure)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from failsoft.ops.contractnotices import NEAR_DAYS
from failsoft.ops.contractrows import Break, UseRow, VersionRow, VersionsView
from failsoft.ops.text import safe
from failsoft_tui.figures import ago, percent, rate
from failsoft_tui.paint import Piece
from failsoft_tui.widgets.order import Column, RowOrder

__all__ = [
    "USES_SHOWN",
    "UsedRow",
    "breaks_text",
    "is_pressing",
    "last_text",
    "left_text",
    "used_rows",
    "version_order",
    "version_state",
]

USES_SHOWN = 2_000
_STATES = {
    "newest": ("newest", "good"),
    "supported": ("supported", ""),
    "deprecated": ("DEPRECATED", "warn"),
    "retired": ("RETIRED", "bad"),
    "past_sunset": ("PAST SUNSET", "bad"),
    "unknown": ("unknown", "warn"),
}


class UsedRow(NamedTuple):
    """A version, or one consumer of it.  place: of the default order."""

    place: int
    version: VersionRow
    use: UseRow | None = None

    @property
    def key(self) -> str:
        """The row's own name; no label holds this separator."""
        return f"{self.version.id}\x1f{self.use.consumer if self.use else ''}"


def used_rows(view: VersionsView) -> tuple[UsedRow, ...]:
    """Return versions, newest first, each above its consumers, at most 2,000."""
    uses: dict[str, list[UseRow]] = {}
    for use in view.uses[:USES_SHOWN]:
        uses.setdefault(use.version, []).append(use)
    rows: list[UsedRow] = []
    for version in view.versions:
        rows.append(UsedRow(len(rows), version))
        for use in uses.get(version.id, ()):
            rows.append(UsedRow(len(rows), version, use))
    return tuple(rows)


def is_pressing(row: VersionRow) -> bool:
    """Whether a version ends within days, or is browned out."""
    near = row.days_left is not None and 0 <= row.days_left <= NEAR_DAYS
    return near or bool(row.brownouts)


def _is_fault(row: UsedRow) -> bool:
    if row.use is not None:
        return bool(row.use.breaks) and bool(row.version.sunset)
    return is_pressing(row.version) or row.version.state in ("retired", "unknown")


def version_state(row: VersionRow) -> Piece:
    """Return a version's state as a word that needs no colour."""
    return _STATES.get(row.state, (safe(row.state, 20), ""))


def _state(row: UsedRow) -> Piece:
    if row.use is None:
        open_ = bool(row.version.brownouts)
        return ("W BROWNOUT", "warn") if open_ else version_state(row.version)
    pinned = row.use.pinned
    return (f"pin {safe(pinned, 40)}", "key") if pinned else ("-", "dim")


def _version(row: UsedRow) -> Piece:
    name = safe(row.version.id, 64)
    return (name, "bold") if row.use is None else (f"  {name}", "dim")


def _consumer(row: UsedRow) -> Piece:
    if row.use is not None:
        return safe(row.use.consumer, 64) or "(nobody known)", ""
    count = row.version.consumers
    return f"{count} consumer{'' if count == 1 else 's'}", "head"


def last_text(row: VersionRow | UseRow, now_ms: int) -> str:
    """Return when the newest request was seen: an age, or the day alone."""
    if row.last_ms:
        return ago((now_ms - row.last_ms) / 1000)
    return safe(row.last_day, 10)[5:] or "-"


def left_text(row: VersionRow) -> Piece:
    """Return days to the sunset; no colour alone: near ones bear a mark."""
    left = row.days_left
    if left is None:
        return "-", "dim"
    if left < 0:
        return "over", "bad"
    return (f"!{left}d", "warn") if left <= NEAR_DAYS else (f"{left}d", "")


def _sunset(row: UsedRow) -> Piece:
    if row.use is not None:
        return "", "dim"
    version = row.version
    moved = "+" if version.sunset != version.declared else ""
    return f"{safe(version.sunset, 10) or '-'}{moved}", "" if version.sunset else "dim"


def breaks_text(breaks: tuple[Break, ...]) -> str:
    """Return the first change that a consumer would meet, and how many more."""
    if not breaks:
        return "-"
    more = f" +{len(breaks) - 1}" if len(breaks) > 1 else ""
    return f"{safe(breaks[0].op, 100)}{more}"


def _broken(row: UsedRow) -> Piece:
    if row.use is not None:
        return (f"{len(row.use.breaks)}", "warn") if row.use.breaks else ("-", "dim")
    count = row.version.breaking
    return (f"{count}", "warn") if count else ("-", "dim")


def _meets(row: UsedRow) -> Piece:
    if row.use is not None:
        return breaks_text(row.use.breaks), "" if row.use.breaks else "dim"
    if row.version.brownouts:
        names = ", ".join(safe(name, 40) for name in row.version.brownouts)
        return f"brownout {names}", "warn"
    return "", "dim"


def version_order(now_ms: Callable[[], int]) -> RowOrder[UsedRow]:
    """Return the order of Versions: newest version first, most requests first."""
    columns = (
        Column("version", "VERSION", 12, _version, names=True,
               sort=lambda r: r.version.id),
        Column("consumer", "CONSUMER", 16, _consumer, grow=True, names=True,
               sort=lambda r: r.use.consumer if r.use else None),
        Column("state", "STATE", 14, _state, marks=True,
               sort=lambda r: r.version.state),
        Column("rps", "REQ/s", 6, lambda r: (rate((r.use or r.version).per_s), ""),
               ">", 0, lambda r: (r.use or r.version).per_s),
        Column("share", "SHARE%", 6,
               lambda r: (percent((r.use or r.version).share), ""), ">", 5,
               lambda r: (r.use or r.version).share),
        Column("last", "LAST", 5,
               lambda r: (last_text(r.use or r.version, now_ms()), "dim"), ">", 6,
               lambda r: (r.use or r.version).last_ms or None),
        Column("sunset", "SUNSET", 11, _sunset,
               sort=lambda r: r.version.sunset or None),
        Column("left", "LEFT", 5,
               lambda r: left_text(r.version) if r.use is None else ("", "dim"), ">",
               0, lambda r: r.version.days_left),
        Column("broken", "BREAKS", 6, _broken, ">", 4,
               lambda r: len(r.use.breaks) if r.use else r.version.breaking),
        Column("meets", "WOULD MEET", 26, _meets, drop=9),
    )  # fmt: skip
    return RowOrder(
        columns,
        key_of=lambda row: row.key,
        rank=lambda row: row.place,
        fault=_is_fault,
    )
