"""The verbs on degraded modes.  Pure."""

from __future__ import annotations

import argparse
from typing import Any

from failsoft.errors import Invalid
from failsoft.ops.command import (
    NEVER,
    Command,
    ModeAuto,
    ModeDrill,
    ModeEnter,
    ModeLeave,
)
from failsoft.ops.words import Verb, Word, as_target

__all__ = ["MODE_VERBS", "entered"]

_MODE = Word("name", "name of the mode")
_SET = (
    Word("--set", "parameter of the mode, K=V, repeatable", "pairs", False),
    Word("--param", "the same as --set", "pairs", False),
    Word(
        "--routes", "only on these, METHOD /glob or tag:x, repeatable", "texts", False
    ),
)
_DRILLED = 5.0


def _params(values: argparse.Namespace) -> dict[str, Any]:
    params = {**(values.param or {}), **(values.set or {})}
    if values.routes:
        if "routes" in params:
            raise Invalid("--routes", "and --set routes=... exclude each other")
        params["routes"] = list(values.routes)
    return params


def _share(values: argparse.Namespace, default: float) -> float:
    return (default if values.share is None else float(values.share)) / 100


def entered(values: argparse.Namespace) -> ModeEnter:
    """Return the command of `mode enter`, and of `mode preview`."""
    if values.until_cleared and values.for_s is not None:
        raise Invalid("--until-cleared", "and --for exclude each other")
    return ModeEnter(
        as_target("mode", values.name),
        for_s=NEVER if values.until_cleared else values.for_s,
        params=_params(values),
        group=values.group,
        share=_share(values, 100.0),
        dry_run=values.observe,
    )


def _drilled(values: argparse.Namespace) -> Command:
    return ModeDrill(
        as_target("mode", values.name),
        for_s=values.for_s,
        params=_params(values),
        share=_share(values, _DRILLED),
    )


def _for(default: str) -> Word:
    return Word("--for", f"how long: 10s to 30d, {default} unless said", "span", False)


_ENTER = (
    _MODE,
    _for("1h"),
    Word("--until-cleared", "no end (asks for more)", "switch", False),
    *_SET,
    Word("--share", "percent of the consumers it is for (100)", "percent", False),
    Word("--observe", "only count what it would do", "switch", False),
    Word("--group", "incident this belongs to", required=False),
)

MODE_VERBS: tuple[Verb, ...] = (
    Verb("mode list", "modes and whether they are on"),
    Verb("mode show", "one mode: what it does, enters and leaves by", (_MODE,)),
    Verb("mode preview", "what entering it would reach; nothing is written", _ENTER),
    Verb("mode enter", "degrade on purpose", _ENTER, "operator", entered),
    Verb(
        "mode leave",
        "end a mode, and keep its trigger from entering it for a while",
        (_MODE, _for("1h")),
        "operator",
        lambda values: ModeLeave(as_target("mode", values.name), for_s=values.for_s),
    ),
    Verb(
        "mode auto",
        "leave a mode to its trigger again; clears a latch",
        (_MODE,),
        "operator",
        lambda values: ModeAuto(as_target("mode", values.name)),
    ),
    Verb(
        "mode drill",
        "try a mode on a few consumers; in no SLO",
        (
            _MODE,
            _for("10m"),
            *_SET,
            Word("--share", "percent of the consumers (5)", "percent", False),
        ),
        "operator",
        _drilled,
    ),
)
