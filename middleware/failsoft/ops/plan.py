"""A change that is ready to be written, and what all planners look up.  Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from failsoft.controls.records import encode_doc
from failsoft.controls.targets import nearest, split_target
from failsoft.errors import Invalid, TargetGone
from failsoft.ops.command import NEVER
from failsoft.ops.stale import span
from failsoft.ops.views import ControlRow, FleetView
from failsoft.store.protocols import Change
from failsoft.telemetry import Definitions

__all__ = [
    "DEFAULT_END_S",
    "MOST_END_S",
    "Plan",
    "active_row",
    "check_ended",
    "check_stored",
    "ends_in",
    "known_flags",
    "nearest_targets",
    "row_of",
    "split_kind",
    "stored_rev",
]

DEFAULT_END_S = 3600.0
MOST_END_S = 30 * 86_400.0
_LEAST_END_S = 10.0


class Plan(msgspec.Struct, frozen=True):
    """One change, ready but for who and why.

    if_rev: None = any.  until: as in `store.protocols.Change`.
    until_s: seconds from now, None = no end.  lifts: who set what ends by this.
    also: further changes of the same call.  covers: the targets they reach.
    was: the document before, of flags.  diff: what changes in it, in words.
    moves: ratio of users that change variant by a new split, None = no split.
    reason: what stands in the log where the operator gives none.  scope: globs of
    the routes that are reached, where the target does not name them.  ratio: of their
    requests that are met, None = not known.  consumers: whom it meets, most first.
    harmless: why nobody need confirm it.
    """

    target: str
    action: str
    kind: str
    name: str
    op: Literal["put", "del"]
    before: str
    after: str
    doc: msgspec.Struct | bytes = b""
    if_rev: int | None = None
    until: str = "0"
    until_s: float | None = None
    answer: str = ""
    conflict: str = ""
    lifts: str = ""
    earlier: bool = False
    needs_end: bool = True
    warnings: tuple[str, ...] = ()
    also: tuple[Change, ...] = ()
    covers: tuple[str, ...] = ()
    was: bytes = b""
    diff: tuple[str, ...] = ()
    moves: float | None = None
    reason: str = ""
    scope: tuple[str, ...] = ()
    ratio: float | None = 1.0
    consumers: tuple[str, ...] = ()
    harmless: str = ""

    def changes(self, who: str, why: str) -> tuple[Change, ...]:
        """Return all changes of the call with the author filled in."""
        return (self.change(who, why), *self.also)

    def change(self, who: str, why: str) -> Change:
        """Return the store's change with the author filled in."""
        doc = self.doc
        if isinstance(doc, bytes):
            json = doc
        else:
            json = encode_doc(msgspec.structs.replace(doc, who=who, why=why))
        return Change(self.kind, self.name, self.op, self.if_rev, self.until, json)


def split_kind(target: str, kinds: tuple[str, ...]) -> tuple[str, str]:
    """Return (kind, name); Invalid when the kind is none of these."""
    try:
        kind, name = split_target(target)
    except ValueError as error:
        raise Invalid("target", str(error)) from None
    if kind not in kinds:
        near = nearest(kind, kinds, 1)
        message = f"kind {kind!r} must be one of {', '.join(kinds)}"
        raise Invalid("target", message, nearest=near[0] if near else "")
    return kind, name


def row_of(view: FleetView, kind: str, target: str) -> ControlRow | None:
    """Return the row of a target, None when there is none."""
    rows = (r for r in view.controls if r.kind == kind and r.target == target)
    return next(rows, None)


def row_in_force(view: FleetView, kind: str, target: str) -> ControlRow | None:
    """Return the row of a control in force, None when there is none."""
    row = row_of(view, kind, target)
    return row if row is not None and row.active else None


def stored_rev(row: ControlRow | None) -> int:
    """Return the revision a write is compared with; 0 = Redis has no record.

    One that has ended is none: the write itself sweeps it away.
    """
    return 0 if row is None or row.lost or row.now == "ended" else row.rev


def check_stored(row: ControlRow) -> None:
    """Raise Invalid when nodes alone hold the record: none is there to take away."""
    if row.lost:
        raise Invalid(
            row.target,
            "is held by the nodes alone, Redis has lost it; run failsoft store "
            "rewound, then restore or accept",
        )


def check_ended(view: FleetView, kind: str, target: str) -> None:
    """Raise Invalid for a control that has ended by itself."""
    row = row_of(view, kind, target)
    if row is not None and row.now == "ended":
        ago = span((view.server_ms - row.until_ms) / 1000)
        raise Invalid(target, f"already ended {ago} ago")


def active_row(view: FleetView, kind: str, target: str) -> ControlRow:
    """Return the row of a control in force; Invalid if it ended, else TargetGone."""
    row = row_in_force(view, kind, target)
    if row is not None:
        check_stored(row)
        return row
    check_ended(view, kind, target)
    active = [r.target for r in view.controls if r.kind == kind and r.active]
    raise TargetGone(target, nearest(target, active) or tuple(sorted(active)[:3]))


def ends_in(
    for_s: float | None,
    default_s: float = DEFAULT_END_S,
    most_s: float = MOST_END_S,
    most: str = "30 d",
) -> tuple[str, float | None]:
    """Return (until, seconds) of an end; both say so when there is none.

    most: `most_s` in words.  Raises Invalid below 10 s or beyond it.
    """
    seconds = default_s if for_s is None else for_s
    if seconds == NEVER:
        return "0", None
    if not _LEAST_END_S <= seconds <= most_s:
        raise Invalid("for", f"{seconds:g} s must be 10 s to {most}")
    return f"+{int(seconds * 1000)}", seconds


def nearest_targets(kind: str, name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return up to three targets with close names."""
    return tuple(f"{kind}:{near}" for near in nearest(name, known))


def known_flags(view: FleetView, definitions: Definitions) -> tuple[str, ...]:
    """Return the keys of all flags that are declared or edited."""
    rows = [r.target[5:] for r in view.controls if r.kind == "flag"]
    return tuple(dict.fromkeys([*(key for key, _ in definitions.flags), *rows]))
