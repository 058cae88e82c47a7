"""What handlers call: flags and the current request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

from failsoft.controls.targets import covers
from failsoft.flags import FlagDetails, FlagState, evaluate
from failsoft.pipeline import CURRENT, SETTLED, Exchange
from failsoft.runtime import Runtime, current_runtime

__all__ = ["current", "flag", "flag_details"]

_MAX_NOTED = 64
_T = TypeVar("_T", bool, str, int, float, dict[str, Any])


def current() -> Exchange | None:
    """Return the request that is being served, None outside of one."""
    return CURRENT.get()


def flag(
    key: str,
    default: _T,
    *,
    targeting_key: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> _T:
    """Return the value of a flag, typed by `default`; never waits, never raises.

    targeting_key: who is asked for, at rollouts; else the request's.  Numbers and
    UUIDs are turned into text.  context: attributes for rules, on top of the
    request's.  An unknown key gives the default.  About a microsecond.
    """
    value: _T = flag_details(
        key, default, targeting_key=targeting_key, context=context
    ).value
    return value


def flag_details(
    key: str,
    default: _T,
    *,
    targeting_key: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> FlagDetails:
    """Return the value of a flag with variant, reason and revision.

    Outside of a request the newest snapshot of the process decides; without one
    the coded default is served with error PROVIDER_NOT_READY, after a fault of
    ours with error GENERAL.
    """
    exchange = CURRENT.get()
    runtime: Runtime | None = exchange.runtime if exchange else current_runtime()
    if runtime is None:
        return FlagDetails(default, error="PROVIDER_NOT_READY")
    try:
        return _details(exchange, runtime, key, default, targeting_key, context)
    except Exception as error:  # noqa: BLE001 - border: the handler must go on
        runtime.failed(f"flag {key!r}", error)
        return FlagDetails(default, None, "ERROR", "GENERAL")


def _details(
    exchange: Exchange | None,
    runtime: Runtime,
    key: str,
    default: Any,
    targeting_key: str | None,
    context: Mapping[str, Any] | None,
) -> FlagDetails:
    if exchange is None:
        state = runtime.flags
    else:
        state = _pinned(exchange, runtime, key)
        targeting_key = targeting_key or exchange.targeting_key
    if targeting_key is not None and type(targeting_key) is not str:
        targeting_key = str(targeting_key)  # numbers, UUIDs
    attributes = partial(_attributes, exchange, runtime, context)
    details = evaluate(state, key, default, targeting_key, attributes, runtime.now_ms)
    runtime.saw_flag(key, default, details.variant)
    if exchange is not None:
        _note(exchange, key, details)
    return details


def _attributes(
    exchange: Exchange | None, runtime: Runtime, context: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what rules may read: the request's context, the call's, and ours."""
    ours = {"env": runtime.settings.store.env, "node": runtime.node}
    if exchange is None:
        return {**(context or {}), "failsoft": ours}
    plan = exchange.plan
    ours["route"] = plan.key
    ours["method"] = plan.method
    ours["criticality"] = plan.criticality
    return {**exchange.context, **(context or {}), "failsoft": ours}


def _pinned(exchange: Exchange, runtime: Runtime, key: str) -> FlagState:
    """A request keeps its snapshot, but a kill set meanwhile goes through.

    A task that outlives its request is pinned no longer.
    """
    newest = runtime.flags
    if exchange.phase == SETTLED:
        return newest
    pinned: FlagState = exchange.snapshot.flags
    if newest is not pinned and any(covers(glob, key) for glob, _ in newest.kills):
        return newest
    return pinned


def _note(exchange: Exchange, key: str, details: FlagDetails) -> None:
    if exchange.flags is None:
        exchange.flags = {}
    if len(exchange.flags) < _MAX_NOTED:
        exchange.flags[key] = details.variant or "(default)"
