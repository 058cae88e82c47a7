"""Degraded modes as data: what is defined, and what is active with which parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from failsoft.controls.records import ModeDoc
from failsoft.errors import DefinitionError
from failsoft.settings import (
    CRITICALITIES,
    RANGES,
    ModeDefinition,
    Shed,
    StaticAnswer,
    parse_span_s,
)

__all__ = [
    "USED_BY",
    "ActiveMode",
    "activate",
    "outlined",
    "read_outline",
    "summary_of",
]

# Parameter -> the actions whose value it gives.
USED_BY: Mapping[str, tuple[str, ...]] = {
    "share": ("shed",),
    "class": ("shed",),
    "text": ("maintenance", "banner"),
    "scale": ("timeout_scale", "rate_limit_scale"),
    "max": ("concurrency",),
    "timeout": ("timeout",),
    "stale": ("stale",),
    "alerts": ("mute",),
}
_SPANS_S = {"timeout": (0.005, 3600.0), "stale": (1.0, 7 * 86_400.0)}
_PARAM_OF = {action: param for param, names in USED_BY.items() for action in names}


@dataclass(frozen=True, slots=True)
class ActiveMode:
    """One activation, resolved: definition plus parameters of the operator.

    share: of the callers it holds for, 0..1.  probe: share of its requests that still
    reach the application.  dry_run: it is only counted.  via: who entered it.
    """

    name: str
    definition: ModeDefinition
    routes: tuple[str, ...]
    actions: tuple[tuple[str, Any], ...]
    since_ms: int
    until_ms: int
    share: float = 1.0
    probe: float = 0.0
    dry_run: bool = False
    via: str = "operator"

    @property
    def is_drill(self) -> bool:
        """Whether it is only an exercise, which no SLO counts."""
        return self.via == "drill"

    @property
    def disables_flags(self) -> bool:
        """Whether flags go off.

        They do for a whole process: not for a canary, and until the end of a recovery.
        """
        is_part = (
            self.share < 1 if self.via in ("operator", "drill") else not self.share
        )
        return not (self.dry_run or is_part or self.is_drill)


def activate(
    name: str, definition: ModeDefinition, doc: ModeDoc, since_ms: int, until_ms: int
) -> ActiveMode:
    """Apply an operator's parameters; DefinitionError names what cannot be used.

    params: `routes` (glob or list), and those of `USED_BY`.
    """
    params = dict(doc.params)
    routes = _globs(name, params.pop("routes", definition.routes))
    if unknown := sorted(set(params) - set(USED_BY)):
        known = ", ".join(("routes", *USED_BY))
        text = f"mode {name}: parameter {{}} is not known; use {known}"
        raise DefinitionError([text.format(key) for key in unknown])
    if not 0 <= doc.share <= 1:
        raise DefinitionError([f"mode {name}: share = {doc.share} must be 0 to 1"])
    actions = tuple((n, _with(n, value, params)) for n, value in definition.actions)
    return ActiveMode(
        name,
        definition,
        routes,
        actions,
        since_ms,
        until_ms,
        share=doc.share,
        # People decide themselves when what they entered ends.
        probe=definition.probe if doc.via == "auto" and definition.answers else 0.0,
        dry_run=doc.dry_run,
        via=doc.via,
    )


def outlined(definition: ModeDefinition) -> tuple[tuple[str, Any], ...]:
    """Return the actions as plain data for operators' tools, without any body."""
    return tuple((name, _plain(value)) for name, value in definition.actions)


def _plain(value: Any) -> Any:
    if isinstance(value, Shed):
        return (value.share, value.criticality)
    return value.status if isinstance(value, StaticAnswer) else value


def read_outline(routes: tuple[str, ...], outline: Any) -> ModeDefinition:
    """Return the definition that `outlined` described, as far as it says."""
    actions = tuple((name, _read_plain(name, value)) for name, value in outline)
    return ModeDefinition("", routes=routes, actions=actions)


def _read_plain(name: str, value: Any) -> Any:
    if name == "shed":
        return Shed(*value)
    if isinstance(value, list):
        return tuple(value)
    return StaticAnswer(b"", status=value) if name == "static" else value


def _globs(name: str, routes: Any) -> tuple[str, ...]:
    globs = [routes] if isinstance(routes, str) else routes
    if isinstance(globs, list | tuple) and all(isinstance(g, str) for g in globs):
        return tuple(globs)
    raise DefinitionError([f"mode {name}: routes = {routes!r} must be globs"])


def _with(action: str, value: Any, params: Mapping[str, Any]) -> Any:
    """Return the value of an action under parameters; DefinitionError on a bad one."""
    if action == "shed":
        return _shed(value, params)
    param = _PARAM_OF.get(action, "")
    if param in params:
        return _READERS[action](action, param, params[param])
    if value is None:
        raise DefinitionError([f"mode action {action} needs --set {param}=..."])
    return value


def _shed(value: Shed, params: Mapping[str, Any]) -> Shed:
    share = params.get("share", value.share)
    criticality = params.get("class", value.criticality)
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise DefinitionError([f"mode shed: share = {share!r} must be 0 to 1"])
    if criticality is not None and criticality not in CRITICALITIES:
        known = ", ".join(CRITICALITIES)
        raise DefinitionError([f"mode shed: class {criticality!r} is none of {known}"])
    return Shed(float(share), criticality)


def _read_text(_action: str, _param: str, value: Any) -> str:
    return str(value)[:200]


def _read_number(action: str, param: str, value: Any) -> float:
    low, high = RANGES[action]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        said = f"mode {action}: {param} = {value!r}"
        raise DefinitionError([f"{said} must be a number from {low:g} to {high:g}"])
    return int(value) if action == "concurrency" else float(value)


def _read_span(action: str, param: str, value: Any) -> float:
    low_s, high_s = _SPANS_S[action]
    try:
        seconds = parse_span_s(value) if isinstance(value, str) else float(value)
        if low_s <= seconds <= high_s:
            return seconds
    except (TypeError, ValueError):
        pass
    said = f"mode {action}: {param} = {value!r}"
    raise DefinitionError([f"{said} must be a span from {low_s:g}s to {high_s:g}s"])


def _read_globs(action: str, param: str, value: Any) -> tuple[str, ...]:
    globs = value.split(",") if isinstance(value, str) else value
    if isinstance(globs, list | tuple) and all(isinstance(g, str) for g in globs):
        return tuple(glob.strip() for glob in globs)
    raise DefinitionError(
        [f"mode {action}: {param} = {value!r} must be names or globs"]
    )


_READERS: Mapping[str, Callable[[str, str, Any], Any]] = {
    "maintenance": _read_text,
    "banner": _read_text,
    "timeout_scale": _read_number,
    "rate_limit_scale": _read_number,
    "concurrency": _read_number,
    "timeout": _read_span,
    "stale": _read_span,
    "mute": _read_globs,
}


def summary_of(definition: ModeDefinition) -> str:
    """Say in one line what clients get under the mode (`clients get ...`)."""
    return ", ".join(_action_text(name, value) for name, value in definition.actions)


def _action_text(name: str, value: Any) -> str:
    if name == "shed":
        who = f"{value.criticality} requests and below"
        return f"503 for {value.share:.0%} of {who if value.criticality else 'all'}"
    if name == "static":
        return f"a static {value.status} answer"
    said = _ACTION_TEXTS.get(name, name)
    if "{" not in said:
        return said
    if value is None:
        return f"{said.partition('{')[0].strip()} as given"
    return said.format(", ".join(value) if isinstance(value, tuple) else value)


_ACTION_TEXTS = {
    "read_only": "503 for all but GET, HEAD, OPTIONS",
    "maintenance": "503 maintenance",
    "banner": "answers carry a notice",
    "disable": "answers without {}",
    "stale": "kept answers up to {:g} s old",
    "reroute": "answers of the handler {}",
    "timeout": "504 after {:g} s",
    "timeout_scale": "timeouts times {:g}",
    "rate_limit_scale": "rate limits times {:g}",
    "concurrency": "503 beyond {} requests at a time on a route",
    "no_retries": "no retries of outbound calls",
    "no_shed": "no load shedding",
    "quiet": "no telemetry samples",
    "mute": "no alerts {}",
}
