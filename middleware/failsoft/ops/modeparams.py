"""Parameters of a mode, judged before they are written.  Pure.

The nodes judge again: only they know the definition in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from failsoft.controls.records import ModeDoc
from failsoft.errors import DefinitionError, Invalid
from failsoft.modes._model import activate, read_outline, summary_of
from failsoft.settings import ModeDefinition, Shed
from failsoft.telemetry import ModeDef

__all__ = ["Entered", "enter_mode"]

# What a node of an older release does not tell: this one reads every parameter.
_ANY = ModeDefinition("", "minor", actions=(("shed", Shed(1.0)), ("banner", "")))
_USED_BY = {
    "share": ("shed",),
    "class": ("shed",),
    "text": ("maintenance", "banner"),
}


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
        raise Invalid("--param", "; ".join(error.findings)) from None
    if definition is _ANY:
        routes = active.routes if "routes" in params else mode.scope
        return Entered(mode.summary or mode.title, routes)
    _check_used(mode, params)
    answer = summary_of(ModeDefinition("", actions=active.actions))
    return Entered(answer or mode.title, active.routes)


def _check_used(mode: ModeDef, params: Mapping[str, Any]) -> None:
    names = [name for name, _ in mode.actions]
    for param in params:
        users = _USED_BY.get(param)
        if users is not None and not any(name in users for name in names):
            raise Invalid(
                "--param",
                f"mode {mode.name} makes no use of {param}: it has no action "
                f"{' or '.join(users)}, but {', '.join(names)}",
            )
