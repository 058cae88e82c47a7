"""Parameters of a mode, judged before they are written.  Pure.

The nodes judge again: only they know the definition in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from failsoft.controls.records import ModeDoc
from failsoft.errors import DefinitionError, Invalid
from failsoft.modes._model import USED_BY, activate, read_outline, summary_of
from failsoft.settings import CRITICALITIES, RANGES, ModeDefinition, Shed
from failsoft.telemetry import ModeDef

__all__ = ["Entered", "enter_mode", "told_params"]

# What a node of an older release does not tell: this one reads every parameter.
_ANY = ModeDefinition("", "minor", actions=(("shed", Shed(1.0)), ("banner", "")))
_TOLD = {
    "share": "0 to 1",
    "class": " | ".join(CRITICALITIES),
    "text": "up to 200 characters",
    "timeout": "5ms to 1h",
    "stale": "1s to 7d",
    "alerts": "names or globs, a comma between",
}
_SPANS = ("timeout", "stale")


class Entered(msgspec.Struct, frozen=True):
    """What a mode would do: what clients get, and on which routes (globs)."""

    answer: str
    routes: tuple[str, ...]


def enter_mode(mode: ModeDef, params: Mapping[str, Any]) -> Entered:
    """Return what a mode does with these parameters; Invalid on one it cannot use."""
    definition = read_outline(mode.scope, mode.actions) if mode.actions else _ANY
    doc = ModeDoc("", "", params=dict(params))
    try:
        active = activate(mode.name, definition, doc, since_ms=0, until_ms=0)
    except DefinitionError as error:
        raise Invalid("--set", "; ".join(error.findings)) from None
    if definition is _ANY:
        routes = active.routes if "routes" in params else mode.scope
        return Entered(mode.summary or mode.title, routes)
    _check_used(mode, params)
    answer = summary_of(ModeDefinition("", actions=active.actions))
    return Entered(answer or mode.title, active.routes)


def _check_used(mode: ModeDef, params: Mapping[str, Any]) -> None:
    names = [name for name, _ in mode.actions]
    for param in params:
        users = USED_BY.get(param)
        if users is not None and not any(name in users for name in names):
            raise Invalid(
                "--set",
                f"mode {mode.name} makes no use of {param}: it has no action "
                f"{' or '.join(users)}, but {', '.join(names)}",
            )


def told_params(mode: ModeDef) -> tuple[tuple[str, str], ...]:
    """Return (name, range and what holds unless given) of each parameter it takes."""
    found = []
    for param, users in USED_BY.items():
        used = [(name, value) for name, value in mode.actions if name in users]
        if used:
            ranges = [RANGES[name] for name, _ in used if name in RANGES]
            told = _TOLD.get(param, "")
            if ranges:  # one value goes to all of them
                lows, highs = zip(*ranges, strict=True)
                told = f"{max(lows):g} to {min(highs):g}"
            found.append((param, f"{told}; {_unless(param, used)}"))
    return tuple(found)


def _unless(param: str, used: list[tuple[str, Any]]) -> str:
    values = [_declared(param, name, value) for name, value in used]
    if None in values:
        return "must be given"
    return f"{values[0]} unless given"


def _declared(param: str, action: str, value: Any) -> Any:
    """Return what the definition gives an action; another release may say anything."""
    if isinstance(value, list | tuple):
        if action == "shed" and len(value) == 2:
            return (value[1] or "all") if param == "class" else value[0]
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}{'s' if param in _SPANS else ''}"
    return value
