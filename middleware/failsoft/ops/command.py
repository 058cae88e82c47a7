"""What operators can ask for: frozen commands with a target `kind:name`.

for_s: seconds until it ends by itself; None takes the default of the kind,
`NEVER` means no end.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "NEVER",
    "BreakerAuto",
    "BreakerSet",
    "BrownoutStart",
    "BrownoutStop",
    "Command",
    "DriftAck",
    "Extend",
    "FlagDelete",
    "FlagEdit",
    "FlagPut",
    "FlagRevert",
    "GroupLift",
    "GuardApply",
    "Kill",
    "ModeAuto",
    "ModeDrill",
    "ModeEnter",
    "ModeLeave",
    "PinClear",
    "PinSet",
    "SunsetExtend",
    "ToleranceAdd",
    "ToleranceEnd",
    "Unkill",
]

NEVER = 0.0


class Kill(msgspec.Struct, frozen=True, tag=True):
    """Refuse a route, a tag or pin a flag: target `route: | tag: | flag:` (globs).

    `dependency:name` refuses its calls: as `BreakerSet` with state open.
    """

    target: str
    for_s: float | None = None
    variant: str | None = None
    status: int = 503
    retry_after: int = 30
    public: str | None = None
    group: str | None = None
    force: bool = False  # write although nothing matches


class Unkill(msgspec.Struct, frozen=True, tag=True):
    """Lift a kill; compares with its revision, or with the one given as if_rev."""

    target: str
    if_rev: int | None = None


class GroupLift(msgspec.Struct, frozen=True, tag=True):
    """Lift every kill and mode of a group at once: target `group:INC-311`.

    Each is compared with its own revision; one that moved refuses the whole call.
    """

    target: str


class ModeEnter(msgspec.Struct, frozen=True, tag=True):
    """Activate a defined or built-in mode: target `mode:name`.

    share: of the callers, 0..1.  dry_run: only count what it would do.
    """

    target: str
    for_s: float | None = None
    params: dict[str, Any] = {}
    group: str | None = None
    share: float = 1.0
    dry_run: bool = False


class ModeDrill(msgspec.Struct, frozen=True, tag=True):
    """Try a mode on a share of the callers, in no SLO: target `mode:name`.

    for_s: None takes 10 min.  share: 0..1.
    """

    target: str
    for_s: float | None = None
    params: dict[str, Any] = {}
    share: float = 0.05


class ModeLeave(msgspec.Struct, frozen=True, tag=True):
    """End a mode's activation; one with a trigger is kept off for a while.

    for_s: how long, None takes 1 h.
    """

    target: str
    for_s: float | None = None


class ModeAuto(msgspec.Struct, frozen=True, tag=True):
    """Leave a mode to its trigger again, latched or not: target `mode:name`."""

    target: str


class BreakerSet(msgspec.Struct, frozen=True, tag=True):
    """Decide for all nodes what becomes of calls: target `dependency:name`.

    state: open (refuse), closed (send, whatever fails), metrics_only (count, refuse
    none) or probe (half open now).  for_s: None takes 1 h, of probe 1 min.
    """

    target: str
    state: str
    for_s: float | None = None
    group: str | None = None
    force: bool = False  # write although nobody declares or calls it


class BreakerAuto(msgspec.Struct, frozen=True, tag=True):
    """Let nodes and fleet decide again: target `dependency:name`."""

    target: str


class FlagEdit(msgspec.Struct, frozen=True, tag=True):
    """Edit a flag: target `flag:key`.

    enabled: serve on/off to everybody (boolean flags).  rollout: 0..100 percent of
    those whom no rule matches get `variant` (None = the true one of a boolean).
    default: variant served where nothing else is said.  Exactly one of the three.
    rebucket: write although users change variant by it.  if_rev: revision of the
    record that was seen, None = the newest.
    """

    target: str
    enabled: bool | None = None
    rollout: float | None = None
    force: bool = False  # write although no release declares the flag
    variant: str | None = None
    default: str | None = None
    rebucket: bool = False
    if_rev: int | None = None


class FlagPut(msgspec.Struct, frozen=True, tag=True):
    """Write a flag's whole document: target `flag:key`.

    json: the document.  base: the one it was made of, if_rev: that one's revision
    (0 = there was no record, None = the newest).  rebucket: as in `FlagEdit`.
    """

    target: str
    json: bytes
    base: bytes = b""
    if_rev: int | None = None
    rebucket: bool = False
    force: bool = False  # write although no release declares the flag


class FlagDelete(msgspec.Struct, frozen=True, tag=True):
    """Delete a flag that lives in the store alone; others are reverted."""

    target: str


class GuardApply(msgspec.Struct, frozen=True, tag=True):
    """Set the kill that a guard proposes: target `flag:key`."""

    target: str


class FlagRevert(msgspec.Struct, frozen=True, tag=True):
    """Drop the edit of a flag, so the layer below decides again."""

    target: str


class PinSet(msgspec.Struct, frozen=True, tag=True):
    """Give a consumer that asks for no version this one: target `consumer:name`.

    version: an id that a release declares.  for_s: None = no end.
    """

    target: str
    version: str
    for_s: float | None = None
    force: bool = False  # write although no release declares the version


class PinClear(msgspec.Struct, frozen=True, tag=True):
    """Take a pin away, so the declared one or the default decides: `consumer:name`."""

    target: str


class BrownoutStart(msgspec.Struct, frozen=True, tag=True):
    """Refuse part of the traffic of old versions on purpose, to be noticed.

    target: `version:id`, `route:METHOD /path` (globs), or `brownout:name` of a
    declared one, whose fields hold where none is said.  name: of the record, the
    version or route unless said.  percent: 0..100 of `by` request or consumer.
    status 503, 410 or 429.  for_s: None takes 15 min, 24 h at most.
    """

    target: str
    name: str = ""
    versions: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    percent: float | None = None
    by: str = ""
    only: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    status: int | None = None
    for_s: float | None = None
    force: bool = False  # write although it covers critical_plus routes


class BrownoutStop(msgspec.Struct, frozen=True, tag=True):
    """End a brownout: one set by hand, or a declared one's open or next window.

    target `brownout:name`.  for_s: how long a declared one stays stopped (24 h).
    """

    target: str
    for_s: float | None = None


class ToleranceAdd(msgspec.Struct, frozen=True, tag=True):
    """Repair one kind of difference, named and for a while; or set a handling.

    target: `tolerance:name`, or `drift:id` of an entry, whose route, consumer and
    path hold where none is said, and which names the repair.  kind: of repair.
    value: what the kind needs.  handling: off, observe, warn, tolerate or strict
    instead of a kind.  for_s: None takes 30 d, 90 d at most.
    """

    target: str
    route: str = ""
    consumer: str = ""
    path: str = ""
    kind: str = ""
    value: Any = None
    handling: str = ""
    owner: str = ""
    for_s: float | None = None
    force: bool = False  # write although no route matches


class ToleranceEnd(msgspec.Struct, frozen=True, tag=True):
    """End a tolerance, set or declared: target `tolerance:name`."""

    target: str


class DriftAck(msgspec.Struct, frozen=True, tag=True):
    """Say that a drift entry is known: target `drift:id`.  for_s: None takes 30 d."""

    target: str
    for_s: float | None = None


class SunsetExtend(msgspec.Struct, frozen=True, tag=True):
    """Move a version's sunset to a later date: target `version:id`.

    sunset: ISO date, UTC midnight.
    """

    target: str
    sunset: str


class Extend(msgspec.Struct, frozen=True, tag=True):
    """Move the end of a control: target as the control's; for_s from now."""

    target: str
    for_s: float


Command = (
    Kill
    | Unkill
    | GroupLift
    | GuardApply
    | ModeEnter
    | ModeLeave
    | ModeAuto
    | ModeDrill
    | BreakerSet
    | BreakerAuto
    | FlagEdit
    | FlagPut
    | FlagRevert
    | FlagDelete
    | PinSet
    | PinClear
    | BrownoutStart
    | BrownoutStop
    | ToleranceAdd
    | ToleranceEnd
    | DriftAck
    | SunsetExtend
    | Extend
)
