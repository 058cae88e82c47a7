"""The value of a flag, in fixed order: kill, mode, edit, declaration, coded default.

Synchronous, lock-free, without any Redis command.  How a key is served is settled
at its first use in a revision; where that is the same for everybody the result is
made then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from failsoft.controls.records import KillDoc
from failsoft.controls.targets import covers
from failsoft.flags._compile import ASK, variant_of
from failsoft.flags._model import Flag, Rule, RuleFault
from failsoft.flags._state import FlagState, Ready, ready_flag

__all__ = ["FlagDetails", "evaluate"]

# Returns a fresh dict of attributes; asked by rules that read some.
Context = Callable[[], dict[str, Any]]
Clock = Callable[[], float]

_MAX_KEYS = 20_000
_MAX_FAULTS = 1_000
_NO_METADATA: Mapping[str, Any] = MappingProxyType({})


class FlagDetails(msgspec.Struct, frozen=True):
    """A value with its story.

    variant: None when the coded default is served.  reason: KILLED STATIC DEFAULT
    TARGETING_MATCH DISABLED ERROR.  error: "" or TYPE_MISMATCH, PARSE_ERROR,
    GENERAL, PROVIDER_NOT_READY, FLAG_NOT_FOUND (no layer knows the key).
    revision: of the snapshot that decided.  metadata: the flag's, read-only.
    """

    value: Any
    variant: str | None = None
    reason: str = "DEFAULT"
    error: str = ""
    revision: int = 0
    metadata: Mapping[str, Any] = _NO_METADATA


def evaluate(
    state: FlagState,
    key: str,
    default: Any,
    targeting_key: str | None,
    context: Context | None = None,
    now_ms: Clock | None = None,
) -> FlagDetails:
    """Evaluate one flag; never raises.

    default: the coded value, and its type.  context: returns the attributes that
    rules read.  now_ms: store time.
    """
    served = state.evaluators.get(key)
    if served is None:
        served = _serve(state, key)
    details: FlagDetails | None = served.fixed
    if details is None:
        details = served.decide(default, targeting_key, context, now_ms)
    kind = type(details.value)
    if kind is type(default) and kind is not dict:
        return details
    return _typed(details, default, state.revision)


def _typed(details: FlagDetails, default: Any, revision: int) -> FlagDetails:
    """Fit the value to the type of the default; bool is never a number."""
    value = details.value
    if isinstance(value, dict) and isinstance(default, dict):
        # The receiver may change it; the stored one must not follow.
        return msgspec.structs.replace(details, value=_copy(value))
    if isinstance(value, bool) == isinstance(default, bool):
        if isinstance(default, type(value)):
            return details
        if isinstance(default, float) and isinstance(value, int):
            return msgspec.structs.replace(details, value=float(value))
    return FlagDetails(default, None, "ERROR", "TYPE_MISMATCH", revision)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(part) for name, part in value.items()}
    return [_copy(part) for part in value] if isinstance(value, list) else value


class _Served:
    """How a key is served at one revision.

    fixed: the result for everybody, None if there is none.  reason: why the coded
    default is served where nothing else is known.
    """

    __slots__ = ("fixed", "reason", "revision")

    def __init__(self, revision: int, reason: str, fixed: FlagDetails | None) -> None:
        self.revision = revision
        self.reason = reason
        self.fixed = fixed

    def decide(
        self,
        default: Any,
        targeting_key: str | None,
        context: Context | None,
        now_ms: Clock | None,
    ) -> FlagDetails:
        """Return the coded default."""
        return FlagDetails(default, None, self.reason, "", self.revision)

    def variant(self, data: dict[Any, Any]) -> str | None:
        """Return the variant served in a context, None where a value has no name."""
        return self.fixed.variant if self.fixed else None


class _Unknown(_Served):
    """Serves a key that no layer knows."""

    __slots__ = ()

    def decide(
        self,
        default: Any,
        targeting_key: str | None,
        context: Context | None,
        now_ms: Clock | None,
    ) -> FlagDetails:
        return FlagDetails(default, None, "DEFAULT", "FLAG_NOT_FOUND", self.revision)


class _Off(_Served):
    """Serves the off value: False for a boolean, else the coded default."""

    __slots__ = ()

    def decide(
        self,
        default: Any,
        targeting_key: str | None,
        context: Context | None,
        now_ms: Clock | None,
    ) -> FlagDetails:
        value = False if isinstance(default, bool) else default
        return FlagDetails(value, None, self.reason, "", self.revision)


class _Ruled(_Served):
    """Serves what the rule of an edit gives."""

    __slots__ = (
        "_fallback",
        "_key",
        "_matches",
        "_needs_ours",
        "_reads",
        "_rule",
        "_state",
    )

    def __init__(self, state: FlagState, ready: Ready, rule: Rule) -> None:
        super().__init__(state.revision, "DEFAULT", None)
        flag = ready.flag
        self._state, self._key, self._rule = state, flag.key, rule
        self._matches = {
            name: _details(flag, name, "TARGETING_MATCH", state.revision)
            for name in flag.variants
        }
        self._fallback: FlagDetails | None = None
        if flag.default is not None:
            self._fallback = _details(flag, flag.default, "DEFAULT", state.revision)
        self._needs_ours = bool(
            flag.prerequisites or flag.reads.intersection(("$flagd", "*"))
        )
        self._reads = bool(flag.reads or flag.prerequisites)

    def decide(
        self,
        default: Any,
        targeting_key: str | None,
        context: Context | None,
        now_ms: Clock | None,
    ) -> FlagDetails:
        try:
            data: dict[Any, Any]
            if not self._reads:
                data = {"targetingKey": targeting_key}
            else:
                data = context() if context is not None else {}
                data["targetingKey"] = targeting_key
                if self._needs_ours:
                    self._add_ours(data, now_ms)
            result = self._rule(data)
            if type(result) is str and (found := self._matches.get(result)):
                return found
            other = self._named(result)
        except Exception as error:  # noqa: BLE001 - border: any rule, any context
            code = error.code if isinstance(error, RuleFault) else "GENERAL"
            self._count()
            return FlagDetails(default, None, "ERROR", code, self.revision)
        return other or FlagDetails(default, None, "DEFAULT", "", self.revision)

    def variant(self, data: dict[Any, Any]) -> str | None:
        data = {**data, "$flagd": {**data["$flagd"], "flagKey": self._key}}
        try:
            found = self._named(self._rule(data))
        except Exception:  # noqa: BLE001 - border: a rule that fails serves no variant
            self._count()
            return None
        return found.variant if found else None

    def _named(self, result: Any) -> FlagDetails | None:
        """Return what a result names; None for the coded default."""
        if result is None:
            return self._fallback
        name = variant_of(result)
        if name not in self._matches:
            raise RuleFault("GENERAL", f"{name:.50} is no variant")
        return self._matches[name]

    def _add_ours(self, data: dict[Any, Any], now_ms: Clock | None) -> None:
        timestamp = int(now_ms() // 1000) if now_ms is not None else 0
        data["$flagd"] = {"flagKey": self._key, "timestamp": timestamp}
        data[ASK] = _asker(self._state, self._key, data)

    def _count(self) -> None:
        faults = self._state.kept.faults
        if self._key in faults or len(faults) < _MAX_FAULTS:
            faults[self._key] = faults.get(self._key, 0) + 1


def _asker(
    state: FlagState, own_key: str, data: dict[Any, Any]
) -> Callable[[str], str | None]:
    """Return key -> variant for the prerequisites of one evaluation."""
    known: dict[str, str | None] = {own_key: None}

    def ask(key: str) -> str | None:
        # Asked once each: flags that share prerequisites else double the work.
        if key not in known:
            known[key] = None
            served = state.evaluators.get(key) or _serve(state, key)
            known[key] = served.variant(data)
        return known[key]

    return ask


def _serve(state: FlagState, key: str) -> _Served:
    served = _served(state, key)
    if len(state.evaluators) < _MAX_KEYS:
        state.evaluators[key] = served
    return served


def _served(state: FlagState, key: str) -> _Served:
    revision = state.revision
    for glob, kill in state.kills:
        if covers(glob, key):
            return _killed(state, key, kill)
    if key in state.disabled:
        return _Off(revision, "DISABLED", None)
    ready = ready_flag(state, key)
    if ready is not None:
        return _edited(state, ready)
    if key in state.declared:
        declared = FlagDetails(state.declared[key], None, "STATIC", "", revision)
        return _Served(revision, "STATIC", declared)
    return _Unknown(revision, "DEFAULT", None)


def _edited(state: FlagState, ready: Ready) -> _Served:
    flag, revision = ready.flag, state.revision
    if not flag.enabled:
        return _Served(revision, "DISABLED", None)
    if ready.rule is not None:
        return _Ruled(state, ready, ready.rule)
    if flag.default is None:
        return _Served(revision, "DEFAULT", None)
    return _Served(revision, "STATIC", _details(flag, flag.default, "STATIC", revision))


def _killed(state: FlagState, key: str, kill: KillDoc) -> _Served:
    ready = ready_flag(state, key)
    flag = ready.flag if ready else None
    for name in (kill.variant, flag.metadata.get("x.kill") if flag else None):
        if flag is not None and name in flag.variants:
            fixed = _details(flag, name, "KILLED", state.revision)
            return _Served(state.revision, "KILLED", fixed)
    return _Off(state.revision, "KILLED", None)


def _details(flag: Flag, name: str, reason: str, revision: int) -> FlagDetails:
    """Return the details of one variant."""
    metadata = MappingProxyType(flag.metadata) if flag.metadata else _NO_METADATA
    return FlagDetails(flag.variants[name], name, reason, "", revision, metadata)
