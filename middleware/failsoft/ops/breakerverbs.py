"""The verbs on breakers.  Pure."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from failsoft.ops.command import BreakerAuto, BreakerSet, Command
from failsoft.ops.words import Verb, Word, as_target

__all__ = ["BREAKER_VERBS"]

_NAME = Word("name", "name of the dependency")
_FORCE = Word("--force", "write although nothing calls it", "switch", False)
_GROUP = Word("--group", "incident this belongs to", required=False)


def _set(state: str) -> Callable[[argparse.Namespace], Command]:
    def make(values: argparse.Namespace) -> Command:
        return BreakerSet(
            as_target("dependency", values.name),
            state,
            for_s=values.for_s,
            group=values.group,
            force=values.force,
        )

    return make


def _verb(name: str, state: str, help_: str, end: str = "1h") -> Verb:
    span = Word("--for", f"how long: 10s to 30d, {end} unless said", "span", False)
    make = _set(state)
    words = (_NAME, span, _GROUP, _FORCE)
    return Verb(f"breaker {name}", help_, words, "operator", make)


BREAKER_VERBS: tuple[Verb, ...] = (
    Verb("breaker list", "dependencies, open ones first, and what each node says"),
    _verb("open", "open", "refuse calls to a dependency on every node"),
    _verb("close", "closed", "send all calls, whatever fails"),
    _verb("metrics-only", "metrics_only", "count calls, refuse none"),
    _verb("probe", "probe", "half open now: a few calls tell if it is back", "1m"),
    Verb(
        "breaker auto",
        "end what was set: nodes and fleet decide again",
        (_NAME,),
        "operator",
        lambda values: BreakerAuto(as_target("dependency", values.name)),
    ),
)
