"""What handlers call: flags, the current request, and third parties."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from os import PathLike, fspath
from typing import Any, Generic, Literal, TypeVar

from msgspec.structs import replace

from failsoft.consumer import consumer_of
from failsoft.controls.targets import covers
from failsoft.errors import DefinitionError, FlagUnavailable
from failsoft.flags import FlagDetails, FlagState, evaluate
from failsoft.flags._definitions import IN_CODE
from failsoft.flags._overlay import OVERLAYS
from failsoft.outbound._dependency import Dependency
from failsoft.outbound._stage import Dependencies
from failsoft.pipeline import CURRENT, SETTLED, Exchange, Plan
from failsoft.problem import REFUSED
from failsoft.runtime import Runtime, current_runtime
from failsoft.settings import (
    FAIL_POLICIES,
    DependencySettings,
    FlagDeclaration,
    is_date,
    is_dependency,
    is_flag_key,
)

__all__ = [
    "Flag",
    "current",
    "dependency",
    "flag",
    "flag_details",
    "http_transport",
]

_MAX_NOTED = 64
_MAX_DEPENDENCIES = 1000
_DEPENDENCIES: dict[str, Dependency] = {}
_UNSERVED = Dependencies()  # before any runtime, and in scripts without one
_NOTHING = FlagState()
_early = 0
_log = logging.getLogger("failsoft")
_T = TypeVar("_T", bool, str, int, float, dict[str, Any])
FailPolicy = Literal["last_known", "default", "off", "refuse"]


def current() -> Exchange | None:
    """Return the request that is being served, None outside of one."""
    return CURRENT.get()


def dependency(name: str) -> Dependency:
    """Return somebody whom this application calls, the same object for each name.

        stripe = failsoft.dependency("stripe")
        charge = await stripe.call(client.charge, order, timeout=2, fallback=queued)

    name: as in `[dependency.stripe]`; one that settings do not know gets the defaults.
    At most 1,000 of them; raises DefinitionError for what is no name.
    """
    found = _DEPENDENCIES.get(name)
    if found is None:
        if not is_dependency(name) or len(_DEPENDENCIES) >= _MAX_DEPENDENCIES:
            todo = "write a fixed name in letters, digits and ._-, at most 64"
            raise DefinitionError([f"failsoft.dependency({name!r}): {todo}"])
        found = _DEPENDENCIES.setdefault(name, Dependency(name, _gates))
    return found


def http_transport(
    name: str = "",
    *,
    contract: str | PathLike[str] = "",
    models: Mapping[tuple[str, str], Any] | None = None,
    hosts: Sequence[str] = (),
    version_header: str = "",
    transport: Any = None,
) -> Any:
    """Return a transport for a client of httpx or httpx2 that protects and watches.

    client = httpx.AsyncClient(transport=failsoft.http_transport("stripe"))

    name: of the dependency, as in `[dependency.stripe]`, whose keys these arguments
    are; "" = by the `hosts` of those declared, else the host is the name.  A refused
    call raises a `failsoft.errors.CallError` that is a TransportError of the client's
    module too.  contract: OpenAPI file, relative to the working directory.  models: or
    {("GET", "/v1/charges/{id}"): Charge}, types that pydantic reads.  transport:
    that does the work; what a client is told of TLS, limits, HTTP/2 and proxies does
    not reach it.  Sync and async clients may share the object, of one event loop as
    with any transport of httpx.  Answers are never changed, held back or read ahead;
    outside of a runtime nothing is observed.  Raises DefinitionError.
    """
    from failsoft.outbound._transport import open_transport

    given = DependencySettings(
        contract=fspath(contract),
        hosts=tuple(hosts),
        version_header=version_header.lower(),
    )
    return open_transport((name, given), _peers, models, transport, _gates)


def _gates() -> Dependencies:
    exchange = CURRENT.get()
    runtime = exchange.runtime if exchange is not None else current_runtime()
    return runtime.dependencies if runtime is not None else _UNSERVED


def _peers() -> Any:
    exchange = CURRENT.get()
    runtime = exchange.runtime if exchange is not None else current_runtime()
    return runtime.peers if runtime is not None else None


def flag(
    key: str,
    default: _T,
    *,
    targeting_key: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> _T:
    """Return the value of a flag, typed by `default`; never waits.

    targeting_key: who is asked for, at rollouts; else the request's.  Numbers and
    UUIDs are turned into text.  context: attributes for rules, on top of the
    request's.  An unknown key gives the default.  About a microsecond.  Raises
    FlagUnavailable alone, where the flag's fail policy is `refuse`.
    """
    value: _T = _ask(key, default, targeting_key, context).value
    return value


def flag_details(
    key: str,
    default: _T,
    *,
    targeting_key: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> FlagDetails:
    """Return the value of a flag with variant, reason, revision, metadata and age.

    Outside of a request the newest snapshot of the process decides; without one
    the coded default is served with error PROVIDER_NOT_READY, after a fault of
    ours with error GENERAL.  Raises FlagUnavailable as `flag` does.
    """
    details = _ask(key, default, targeting_key, context)
    exchange = CURRENT.get()
    runtime: Runtime | None = exchange.runtime if exchange else current_runtime()
    age_s = runtime.control_age_s if runtime is not None else 0.0
    for overlay in OVERLAYS:
        age_s = max(age_s, overlay.age_s)
    # Not `replace`: it costs four times as much.
    return FlagDetails(
        details.value,
        details.variant,
        details.reason,
        details.error,
        details.revision,
        details.metadata,
        age_s,
        details.warning,
    )


class Flag(Generic[_T]):
    """A flag declared in code: `NEW = failsoft.Flag("pricing.new", default=False)`.

    Calling it gives the value.  fail: what to do where nothing is known of it or
    the controls are too old; None = what its document or `flags.default_fail` says.
    expires: ISO date or date, when it should be gone.  Declared at import: touches
    neither a loop nor a store.  Raises DefinitionError for what is no flag.
    """

    __slots__ = ("default", "expires", "fail", "key", "owner")

    default: _T

    def __init__(
        self,
        key: str,
        default: _T,
        *,
        fail: FailPolicy | None = None,
        owner: str = "",
        expires: str | date = "",
    ) -> None:
        self.key = key
        self.default = default
        self.fail = fail
        self.owner = owner
        self.expires = str(expires)
        if faults := self._faults():
            raise DefinitionError([f"failsoft.Flag({key!r}): {f}" for f in faults])
        IN_CODE[key] = FlagDeclaration(default, fail or "", owner, self.expires)
        _NOTHING.evaluators.pop(key, None)  # asked before: its policy is known now

    def _faults(self) -> list[str]:
        found = []
        if not isinstance(self.key, str) or not is_flag_key(self.key):
            found.append("the key must be text of 1 to 200 characters, without blanks")
        if not isinstance(self.default, bool | int | float | str | dict):
            found.append("the default must be a boolean, number, text or dict")
        if self.fail is not None and self.fail not in FAIL_POLICIES:
            found.append(
                f"fail = {self.fail!r} must be one of {', '.join(FAIL_POLICIES)}"
            )
        if not isinstance(self.owner, str):
            found.append(f"owner = {self.owner!r} must be text")
        if self.expires and not is_date(self.expires):
            found.append(f'expires = {self.expires!r} is no date; write "2027-01-31"')
        return found

    def __call__(
        self,
        *,
        targeting_key: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> _T:
        """Return the value, as `failsoft.flag` does."""
        value: _T = _ask(self.key, self.default, targeting_key, context).value
        return value

    def details(
        self,
        *,
        targeting_key: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> FlagDetails:
        """Return the value with its story, as `failsoft.flag_details` does."""
        return flag_details(
            self.key, self.default, targeting_key=targeting_key, context=context
        )

    def __repr__(self) -> str:
        """Return how it was declared."""
        return f"Flag({self.key!r}, default={self.default!r})"


def _ask(
    key: str,
    default: Any,
    targeting_key: str | None,
    context: Mapping[str, Any] | None,
) -> FlagDetails:
    exchange = CURRENT.get()
    runtime: Runtime | None = exchange.runtime if exchange else current_runtime()
    try:
        # Not `or`: 0 may be somebody's number.
        if exchange is not None and (targeting_key is None or targeting_key == ""):
            targeting_key = exchange.targeting_key
        if targeting_key is not None and type(targeting_key) is not str:
            targeting_key = str(targeting_key)  # numbers, UUIDs
        attributes = partial(_attributes, exchange, runtime, context)
        if runtime is None or OVERLAYS:
            asked = default, targeting_key, attributes
            return _ask_rarely(exchange, runtime, key, *asked)
        state = _pinned(exchange, runtime, key) if exchange else runtime.snapshot.flags
        now_ms = runtime.now_ms
        details = evaluate(state, key, default, targeting_key, attributes, now_ms)
        runtime.saw_flag(key, default, details.variant)
        if exchange is not None:
            _note(exchange, key, details)
    except FlagUnavailable:
        if exchange is not None:
            _note_refusal(exchange, key)
        raise
    except Exception as error:  # noqa: BLE001 - border: the handler must go on
        if runtime is not None:
            runtime.failed(f"flag {key!r}", error)
        return FlagDetails(default, None, "ERROR", "GENERAL")
    return details


def _ask_rarely(
    exchange: Exchange | None,
    runtime: Runtime | None,
    key: str,
    default: Any,
    targeting_key: str | None,
    attributes: Callable[[], dict[str, Any]],
) -> FlagDetails:
    """Evaluate below what a test lays over the flags, or before any runtime."""
    state = _NOTHING
    if runtime is not None:
        state = _pinned(exchange, runtime, key) if exchange else runtime.flags
    overlay = OVERLAYS[-1] if OVERLAYS else None
    if overlay is not None:
        state = overlay.over(state)
    now_ms = runtime.now_ms if runtime is not None else None
    details = evaluate(state, key, default, targeting_key, attributes, now_ms)
    if overlay is not None:
        overlay.saw(key, details, state)
    if runtime is not None:
        runtime.saw_flag(key, default, details.variant)
    else:
        _count_early(key)
        if details.reason == "DEFAULT":
            details = replace(details, error="PROVIDER_NOT_READY")
    if exchange is not None:
        _note(exchange, key, details)
    return details


def _attributes(
    exchange: Exchange | None,
    runtime: Runtime | None,
    context: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what rules may read: the request's context, the call's, and ours."""
    if exchange is None or runtime is None:
        return {**(context or {}), "failsoft": _facts(None, runtime)}
    ours = exchange.plan.facts
    if ours is None or ours["node"] is not runtime.node:  # a fork has a new name
        ours = exchange.plan.facts = _facts(exchange.plan, runtime)
    ours = _Ours(exchange, ours)
    if context:
        return {**exchange.context, **context, "failsoft": ours}
    return {**exchange.context, "failsoft": ours}


class _Ours(dict[str, str]):
    """What failsoft says of one request.  The caller is named once a rule asks."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange, facts: dict[str, str]) -> None:
        super().__init__(facts, version=exchange.version)
        self._exchange = exchange

    def get(self, name: str, default: Any = None, /) -> Any:
        if name == "consumer":
            return consumer_of(self._exchange)
        return super().get(name, default)


def _facts(plan: Plan | None, runtime: Runtime | None) -> dict[str, str]:
    return {
        "route": plan.key if plan is not None else "",
        "method": plan.method if plan is not None else "",
        "criticality": plan.criticality if plan is not None else "",
        "consumer": "",
        "version": "",
        "env": runtime.settings.store.env if runtime is not None else "",
        "node": runtime.node if runtime is not None else "",
    }


def _pinned(exchange: Exchange, runtime: Runtime, key: str) -> FlagState:
    """A request keeps its snapshot, but kills are those that hold now.

    A task that outlives its request is pinned no longer.
    """
    newest = runtime.flags
    pinned: FlagState = exchange.snapshot.flags
    if newest is pinned or exchange.phase == SETTLED:
        return newest
    if any(covers(glob, key) for glob, _ in newest.kills):
        return newest
    if newest.kills is not pinned.kills:  # one ended, or holds a prerequisite
        pinned = dataclasses.replace(pinned, kills=newest.kills, evaluators={})
        exchange.snapshot = dataclasses.replace(exchange.snapshot, flags=pinned)
    return pinned


def _note(exchange: Exchange, key: str, details: FlagDetails) -> None:
    """Keep the flags that a request saw, 64 at most."""
    seen = exchange.flags
    if seen is None:
        seen = exchange.flags = {}
    if key not in seen and exchange.span is not None:
        _add_event(exchange, key, details)
    if len(seen) < _MAX_NOTED:
        seen[key] = details.variant or "(default)"


def _note_refusal(exchange: Exchange, key: str) -> None:
    """Keep that a flag refused; of too many flags another one gives way."""
    seen = exchange.flags = exchange.flags or {}
    if len(seen) >= _MAX_NOTED:
        seen.popitem()
    seen[key] = REFUSED


def _count_early(key: str) -> None:
    """Count what is asked before any start; say so once, as it may be a mistake."""
    global _early
    _early += 1
    if _early == 1 and not OVERLAYS:
        _log.warning("flag %.200r is asked before failsoft started: no controls", key)


def _add_event(exchange: Exchange, key: str, details: FlagDetails) -> None:
    """Tell the sampled span of a flag's first evaluation; values never leave."""
    if len(exchange.flags or ()) >= _MAX_NOTED:
        return
    if not exchange.runtime.settings.flags.span_events:
        return
    # Semantic conventions for feature flags: reasons in lower case.
    attributes = {
        "feature_flag.key": key,
        "feature_flag.result.reason": details.reason.lower(),
        "feature_flag.provider.name": "failsoft",
    }
    if details.variant is not None:
        attributes["feature_flag.result.variant"] = details.variant
    exchange.span.add_event("feature_flag.evaluation", attributes)
