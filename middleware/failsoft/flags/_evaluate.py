"""The value of a flag, in fixed order: kill, mode, edit, declaration, coded default.

Synchronous, lock-free, without any Redis command; a flag's evaluator is built at
its first use in a snapshot and kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from failsoft.controls.records import FlagDoc, KillDoc, Record
from failsoft.controls.targets import covers, literal_weight
from failsoft.errors import FlagError
from failsoft.flags._compile import compile_flag

__all__ = ["FlagDetails", "FlagState", "compile_flags", "evaluate"]

_Evaluator = Callable[[Any, str | None], tuple[Any, str | None, str]]


@dataclass(frozen=True, slots=True)
class FlagDetails:
    """A value with its story.

    variant: None when the coded default is served.  reason: KILLED STATIC DEFAULT
    TARGETING_MATCH DISABLED ERROR.  error: "" or TYPE_MISMATCH,
    PROVIDER_NOT_READY, GENERAL.  revision: of the snapshot that decided.
    """

    value: Any
    variant: str | None = None
    reason: str = "DEFAULT"
    error: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class FlagState:
    """All flags at one revision.

    kills: (glob, document), the most literal first.  disabled: keys that an
    active mode switches off.  bad: keys whose edit this node cannot enforce.
    """

    revision: int = 0
    kills: tuple[tuple[str, KillDoc], ...] = ()
    disabled: frozenset[str] = frozenset()
    edits: Mapping[str, _Evaluator] = field(default_factory=dict)
    declared: Mapping[str, Any] = field(default_factory=dict)
    bad: tuple[str, ...] = ()
    evaluators: dict[str, _Evaluator] = field(default_factory=dict)


def compile_flags(
    revision: int,
    records: Iterable[Record],
    declared: Mapping[str, Any],
    disabled: Iterable[str],
) -> FlagState:
    """Compile the flag edits and `flag:` kills among the records.

    declared: key -> default of failsoft.toml.  disabled: keys off by a mode.
    """
    edits: dict[str, _Evaluator] = {}
    kills: list[tuple[str, KillDoc]] = []
    bad: list[str] = []
    for record in records:
        if record.kind == "kill" and record.name.startswith("flag:"):
            # One that cannot be read is told by whoever reads all kills.
            with contextlib.suppress(msgspec.DecodeError):
                kills.append((record.name[5:], record.doc()))
        elif record.kind == "flag":
            try:
                edits[record.name] = _edited(record)
            except (FlagError, msgspec.DecodeError):
                bad.append(record.name)
    kills.sort(key=lambda kill: literal_weight(kill[0]), reverse=True)
    return FlagState(
        revision, tuple(kills), frozenset(disabled), edits, declared, tuple(bad)
    )


def evaluate(
    state: FlagState, key: str, default: Any, targeting_key: str | None
) -> FlagDetails:
    """Evaluate one flag; never raises.  default: the coded value, and its type."""
    evaluator = state.evaluators.get(key)
    if evaluator is None:
        evaluator = _evaluator_for(state, key)
        if len(state.evaluators) < 10_000:
            state.evaluators[key] = evaluator
    value, variant, reason = evaluator(default, targeting_key)
    if type(value) is not type(default) and not _fits(value, default):
        return FlagDetails(default, None, "ERROR", "TYPE_MISMATCH", state.revision)
    return FlagDetails(value, variant, reason, "", state.revision)


def _fits(value: Any, default: Any) -> bool:
    """A number may be stored as int where float is asked; bool is never a number."""
    if isinstance(value, bool) or isinstance(default, bool):
        return False
    return isinstance(default, float) and isinstance(value, int)


def _evaluator_for(state: FlagState, key: str) -> _Evaluator:
    for glob, kill in state.kills:
        if covers(glob, key):
            return _killed(state, key, kill)
    if key in state.disabled:
        return _off("DISABLED")
    edit = state.edits.get(key)
    if edit is not None:
        return edit
    if key in state.declared:
        return _constant(state.declared[key], None, "STATIC")
    return lambda default, targeting_key: (default, None, "DEFAULT")


def _killed(state: FlagState, key: str, kill: KillDoc) -> _Evaluator:
    edit = state.edits.get(key)
    variants: Mapping[str, Any] = getattr(edit, "variants", {})
    if kill.variant is not None and kill.variant in variants:
        return _constant(variants[kill.variant], kill.variant, "KILLED")
    return _off("KILLED")


def _off(reason: str) -> _Evaluator:
    """Return the off value: False for a boolean, else the coded default."""

    def off(default: Any, targeting_key: str | None) -> tuple[Any, str | None, str]:
        return False if isinstance(default, bool) else default, None, reason

    return off


def _constant(value: Any, variant: str | None, reason: str) -> _Evaluator:
    result = (value, variant, reason)
    return lambda default, targeting_key: result


class _Edited:
    """The evaluator of an edit; also knows its variants, for a kill's `variant`."""

    __slots__ = ("_pick", "variants")

    def __init__(self, key: str, doc: FlagDoc) -> None:
        self._pick, self.variants = compile_flag(key, doc)

    def __call__(
        self, default: Any, targeting_key: str | None
    ) -> tuple[Any, str | None, str]:
        variant, reason = self._pick(targeting_key)
        if variant is None:
            return default, None, reason
        return self.variants[variant], variant, reason


def _edited(record: Record) -> _Edited:
    return _Edited(record.name, record.doc())
