"""What operators can ask for: frozen commands with a target `kind:name`.

for_s: seconds until it ends by itself; None takes the default of the kind,
`NEVER` means no end.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "NEVER",
    "Command",
    "Extend",
    "FlagDelete",
    "FlagEdit",
    "FlagPut",
    "FlagRevert",
    "GroupLift",
    "GuardApply",
    "Kill",
    "ModeEnter",
    "ModeLeave",
    "Unkill",
]

NEVER = 0.0


class Kill(msgspec.Struct, frozen=True, tag=True):
    """Refuse a route, a tag or pin a flag: target `route: | tag: | flag:` (globs)."""

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
    """Activate a defined or built-in mode: target `mode:name`."""

    target: str
    for_s: float | None = None
    params: dict[str, Any] = {}
    group: str | None = None


class ModeLeave(msgspec.Struct, frozen=True, tag=True):
    """End a mode's activation."""

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
    | FlagEdit
    | FlagPut
    | FlagRevert
    | FlagDelete
    | Extend
)
