"""Modes as operators see them: what is declared, and the record in force.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from failsoft.controls.records import ModeDoc
from failsoft.ops.fleetrows import ModeRow
from failsoft.ops.modeparams import told_params
from failsoft.ops.views import ControlRow
from failsoft.store.callmap import Seen
from failsoft.telemetry import ModeDef

__all__ = ["mode_action", "mode_doc", "mode_rows", "mode_text"]

_NOTHING = ModeDoc("", "")
_RECOVER = (10, 25, 50, 100)
_State = Literal["off", "on", "recovering", "latched", "kept off"]


def mode_doc(json: bytes) -> ModeDoc:
    """Return a stored document; one that says nothing where it cannot be read."""
    try:
        return msgspec.json.decode(json, type=ModeDoc) if json else _NOTHING
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _NOTHING


def mode_text(doc: ModeDoc, recover: tuple[int, ...] = _RECOVER) -> tuple[_State, str]:
    """Return the state of a record in force, and the same in words for a cell."""
    if doc.want == "auto":
        return "off", "off"
    if doc.want == "off":
        return "kept off", "KEPT OFF"
    if doc.latched:
        return "latched", "LATCHED ON"
    if doc.step:
        back = recover[min(doc.step, len(recover)) - 1] if recover else 100
        if doc.share < 1:  # what the record itself says
            back = round(100 * (1 - doc.share))
        return "recovering", f"RECOVERING {back}%"
    share = f" {100 * doc.share:g}%" if doc.share < 1 else ""
    word = "DRILL" if doc.via == "drill" else "DRY RUN" if doc.dry_run else "ON"
    return "on", f"{word}{share}"


def mode_action(doc: ModeDoc) -> str:
    """Return the word of the log for a record that was written."""
    if doc.want != "on":
        return "mode-leave" if doc.want == "off" else "mode-auto"
    if doc.via == "drill":
        return "mode-drill"
    return "mode-recover" if doc.step else "mode-enter"


def mode_rows(
    declared: Iterable[ModeDef],
    controls: Iterable[ControlRow],
    exercised: Mapping[Seen, int],
    now_ms: int,
) -> tuple[ModeRow, ...]:
    """Return every declared mode, and those that only a record names.

    exercised: when stand-ins answered last; `mode:NAME` is a drill of a mode.
    """
    held = {row.target[5:]: row for row in controls if row.kind == "mode"}
    known = {mode.name: mode for mode in declared}
    names = [*known, *(n for n, row in held.items() if row.active and n not in known)]
    return tuple(
        _row(known.get(name) or ModeDef(name, name, ()), held.get(name), exercised,
             now_ms)
        for name in names
    )  # fmt: skip


def _row(
    mode: ModeDef,
    control: ControlRow | None,
    exercised: Mapping[Seen, int],
    now_ms: int,
) -> ModeRow:
    drilled_ms = exercised.get(Seen(f"mode:{mode.name}"), 0)
    if control is not None and control.active:
        drilled_ms = max(drilled_ms, mode_doc(control.doc).exercised_ms)
    row = ModeRow(
        name=mode.name,
        title=mode.title,
        severity=mode.severity,
        state="off",
        now="off",
        scope=mode.scope,
        gives=mode.summary,
        public=mode.public,
        enter=mode.enter,
        leave=mode.leave,
        timing=mode.timing,
        params=told_params(mode),
        drilled_ms=drilled_ms,
        drill_due=0 < drilled_ms < now_ms - 1000 * mode.drill_every_s,
    )
    if control is None or not control.active:
        return row
    return msgspec.structs.replace(row, **_held(mode, control))


def _held(mode: ModeDef, control: ControlRow) -> dict[str, Any]:
    doc = mode_doc(control.doc)
    state, now = mode_text(doc, mode.recover)
    routes = doc.params.get("routes", mode.scope)
    return {
        "state": state,
        "now": now,
        "scope": (routes,) if isinstance(routes, str) else tuple(map(str, routes)),
        "via": doc.via,
        "by": control.by if doc.via == "operator" else "",
        "why": control.why,
        "trigger": doc.trigger,
        "since_ms": doc.since_ms or control.at_ms,
        "until_ms": control.until_ms,
        "rev": control.rev,
        "share": doc.share,
        "rps": control.rps,
        "dry_run": doc.dry_run,
        "group": doc.group or "",
    }
