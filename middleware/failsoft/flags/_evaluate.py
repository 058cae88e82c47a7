"""The value of a flag: kill, test override, mode, edit, file, coded default.

Synchronous, lock-free, without any Redis command.  How a key is served is settled
at its first use in a revision; where that is the same for everybody the result is
made then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from failsoft.controls.targets import covers
from failsoft.errors import FlagUnavailable
from failsoft.flags._compile import ASK, variant_of
from failsoft.flags._model import Rule, RuleFault
from failsoft.flags._state import FlagState, Ready, ready_flag

__all__ = ["FlagDetails", "Override", "evaluate"]

# Returns a fresh dict of attributes; asked by rules that read some.
Context = Callable[[], dict[str, Any]]
Clock = Callable[[], float]

_log = logging.getLogger("failsoft")
_MAX_KEYS = 20_000
_MAX_FAULTS = 1_000
_NO_METADATA: Mapping[str, Any] = MappingProxyType({})
_BOOLEAN = {"on": True, "off": False}
_DECLARE = "declare it: failsoft.Flag, flags.declare or a flags file"
_EXPLAIN = "`failsoft flags explain` shows where"
_OLDER = "overrides an older definition"


class FlagDetails(msgspec.Struct, frozen=True):
    """A value with its story.

    variant: None when the coded default is served.  reason: KILLED OVERRIDE STATIC
    DEFAULT TARGETING_MATCH DISABLED STALE ERROR.  error: "" or TYPE_MISMATCH,
    PARSE_ERROR, GENERAL, PROVIDER_NOT_READY, FLAG_NOT_FOUND (no layer knows the
    key).  revision: of the snapshot that decided.  metadata: the flag's, read-only.
    age: seconds since the controls were proven current, as `flag_details` gives it.
    warning: "overrides an older definition" where an edit was made over another
    version of the flags file.
    """

    value: Any
    variant: str | None = None
    reason: str = "DEFAULT"
    error: str = ""
    revision: int = 0
    metadata: Mapping[str, Any] = _NO_METADATA
    age: float = 0.0
    warning: str = ""


class Override(msgspec.Struct, frozen=True):
    """What a test sets: a value, a callable(context) -> value, or a variant."""

    value: Any = None
    variant: str | None = None


def evaluate(
    state: FlagState,
    key: str,
    default: Any,
    targeting_key: str | None,
    context: Context | None = None,
    now_ms: Clock | None = None,
) -> FlagDetails:
    """Evaluate one flag; raises FlagUnavailable alone, where a policy says `refuse`.

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
        /,
    ) -> FlagDetails:
        """Return the coded default."""
        return FlagDetails(default, None, self.reason, "", self.revision)

    def variant(self, data: dict[Any, Any]) -> str | None:
        """Return the variant served in a context, None where a value has no name."""
        return self.fixed.variant if self.fixed else None


class _Unknown(_Served):
    """Serves a key without any usable document.  reason: the error."""

    __slots__ = ()

    def decide(self, default: Any, /, *_: Any) -> FlagDetails:
        shown = "DEFAULT" if self.reason == "FLAG_NOT_FOUND" else "ERROR"
        return FlagDetails(default, None, shown, self.reason, self.revision)


class _Refusing(_Served):
    """Serves nothing: `reason` is the message of the error."""

    __slots__ = ()

    def decide(self, default: Any, /, *_: Any) -> FlagDetails:
        raise FlagUnavailable(self.reason)


class _Overridden(_Served):
    """Serves what a test set."""

    __slots__ = ("_flag", "_override")

    def __init__(self, revision: int, override: Override, ready: Ready | None) -> None:
        super().__init__(revision, "OVERRIDE", None)
        self._override = override
        self._flag = ready.flag if ready else None

    def decide(
        self,
        default: Any,
        targeting_key: str | None,
        context: Context | None,
        now_ms: Clock | None,
        /,
    ) -> FlagDetails:
        data = context() if context is not None else {}
        value, name = self._set({**data, "targetingKey": targeting_key})
        return FlagDetails(value, name, "OVERRIDE", "", self.revision)

    def variant(self, data: dict[Any, Any]) -> str | None:
        return self._set(data)[1]

    def _set(self, data: dict[Any, Any]) -> tuple[Any, str | None]:
        """Return the value and the name of its variant, as far as it has one."""
        value, name = self._override.value, self._override.variant
        variants = self._flag.variants if self._flag else _BOOLEAN
        if name is not None:
            if name not in variants:
                known = ", ".join(variants)
                raise FlagUnavailable(f"variant {name!r} is not one of {known}")
            return variants[name], name
        if callable(value):
            try:
                value = value(data)
            except Exception as error:
                what = f"the override {value!r} raised {error!r}"
                raise FlagUnavailable(what) from error
        names = [
            n for n, v in variants.items() if type(v) is type(value) and v == value
        ]
        return value, names[0] if names else None


class _Off(_Served):
    """Serves the off value: False for a boolean, else the coded default."""

    __slots__ = ()

    def decide(self, default: Any, /, *_: Any) -> FlagDetails:
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

    def __init__(self, state: FlagState, ready: Ready, rule: Rule, stale: str) -> None:
        super().__init__(state.revision, stale or "DEFAULT", None)
        flag = ready.flag
        self._state, self._key, self._rule = state, flag.key, rule
        self._matches = {
            name: _details(state, ready, name, stale or "TARGETING_MATCH")
            for name in flag.variants
        }
        self._fallback: FlagDetails | None = None
        if flag.default is not None:
            self._fallback = _details(state, ready, flag.default, self.reason)
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
        /,
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
            self._count(error)
            return FlagDetails(default, None, "ERROR", code, self.revision)
        return other or FlagDetails(default, None, self.reason, "", self.revision)

    def variant(self, data: dict[Any, Any]) -> str | None:
        data = {**data, "$flagd": {**data["$flagd"], "flagKey": self._key}}
        try:
            found = self._named(self._rule(data))
        except Exception as error:  # noqa: BLE001 - border: it then serves no variant
            self._count(error)
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

    def _count(self, error: Exception) -> None:
        key, faults = self._key, self._state.kept.faults
        if key not in faults and len(faults) < _MAX_FAULTS:
            # Not what it says: that may hold what a user sent.
            what = "flag %s: its rule fails (%s), the coded default is served; %s"
            _log.warning(what, key, type(error).__name__, _EXPLAIN)
            faults[key] = 0
        if key in faults:
            faults[key] += 1


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
    revision, definitions = state.revision, state.definitions
    for glob, kill in state.kills:
        if covers(glob, key):
            return _off(state, ready_flag(state, key), "KILLED", kill.variant)
    if definitions.settings.undeclared == "refuse" and not definitions.declares(key):
        return _Refusing(revision, f"flag {key} is not declared; {_DECLARE}", None)
    if (override := state.overrides.get(key)) is not None:
        return _Overridden(revision, override, ready_flag(state, key))
    if key in state.disabled:
        return _Off(revision, "DISABLED", None)
    return _by_policy(state, key, ready_flag(state, key))


def _by_policy(state: FlagState, key: str, ready: Ready | None) -> _Served:
    """Serve what edits and files hold, unless nothing is known or it is too old."""
    definitions = state.definitions
    metadata = ready.flag.metadata if ready else {}
    fail = definitions.fail_of(key) or metadata.get("x.fail")
    limit_s = metadata.get("x.max_stale", definitions.settings.max_stale_s)
    stale = "STALE" if state.age_s > limit_s else ""
    if stale or ready is None:
        fail = fail or definitions.settings.default_fail
        if fail == "off":
            return _off(state, ready, stale or "DEFAULT")
        if fail == "refuse":
            what = (
                f"the controls are {state.age_s:.0f} s old" if stale else "never seen"
            )
            return _Refusing(state.revision, f"flag {key} has no value: {what}", None)
        if fail == "default" or ready is None:
            return _coded(state, key, stale)
    return _edited(state, ready, stale)


def _coded(state: FlagState, key: str, stale: str) -> _Served:
    revision = state.revision
    if key in state.declared:
        reason = stale or "STATIC"
        declared = FlagDetails(state.declared[key], None, reason, "", revision)
        return _Served(revision, reason, declared)
    if stale:
        return _Served(revision, stale, None)
    is_bad = key in state.kept.bad
    return _Unknown(revision, "PARSE_ERROR" if is_bad else "FLAG_NOT_FOUND", None)


def _edited(state: FlagState, ready: Ready, stale: str) -> _Served:
    flag, revision = ready.flag, state.revision
    if not flag.enabled:
        return _Served(revision, "DISABLED", None)
    if ready.rule is not None:
        return _Ruled(state, ready, ready.rule, stale)
    if flag.default is None:
        return _Served(revision, stale or "DEFAULT", None)
    fixed = _details(state, ready, flag.default, stale or "STATIC")
    return _Served(revision, fixed.reason, fixed)


def _off(
    state: FlagState,
    ready: Ready | None,
    reason: str,
    variant: str | None = None,
) -> _Served:
    """Serve a kill's variant, else `x.kill`, else False or the coded default."""
    if ready is not None:
        for name in (variant, ready.flag.metadata.get("x.kill")):
            if name in ready.flag.variants:
                fixed = _details(state, ready, name, reason)
                return _Served(state.revision, reason, fixed)
    return _Off(state.revision, reason, None)


def _details(state: FlagState, ready: Ready, name: str, reason: str) -> FlagDetails:
    """Return the details of one variant."""
    flag = ready.flag
    metadata = MappingProxyType(flag.metadata) if flag.metadata else _NO_METADATA
    return FlagDetails(
        flag.variants[name],
        name,
        reason,
        "",
        state.revision,
        metadata,
        warning=_warning(state, ready),
    )


def _warning(state: FlagState, ready: Ready) -> str:
    files = state.definitions.files
    key, over = ready.flag.key, ready.flag.metadata.get("x.over")
    if over is None or key not in files.digests:
        return ""
    is_edit = files.records[key].json != ready.json
    return _OLDER if is_edit and files.digests[key] != over else ""
