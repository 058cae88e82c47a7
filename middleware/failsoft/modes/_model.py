"""Degraded modes as data: what is defined, what is built in, what is active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from failsoft.controls.records import ModeDoc
from failsoft.errors import DefinitionError
from failsoft.settings import CRITICALITIES, ModeDefinition, Shed, StaticAnswer

__all__ = [
    "BUILT_IN",
    "ActiveMode",
    "activate",
    "outlined",
    "read_outline",
    "summary_of",
]

BUILT_IN: Mapping[str, ModeDefinition] = {
    "fs.read-only": ModeDefinition(
        "Changes are paused; reading works", "major", actions=(("read_only", True),)
    ),
    "fs.maintenance": ModeDefinition(
        "Down for maintenance",
        "critical",
        actions=(("maintenance", "Down for maintenance"),),
    ),
    "fs.shed": ModeDefinition(
        "Less important requests are refused",
        "minor",
        actions=(("shed", Shed(1.0, "sheddable_plus")),),
    ),
    "fs.banner": ModeDefinition(
        "Expect disturbances", "minor", actions=(("banner", "Expect disturbances"),)
    ),
}


@dataclass(frozen=True, slots=True)
class ActiveMode:
    """One activation, resolved: definition plus parameters of the operator."""

    name: str
    definition: ModeDefinition
    routes: tuple[str, ...]
    actions: tuple[tuple[str, Any], ...]
    since_ms: int
    until_ms: int


def activate(
    name: str, definition: ModeDefinition, doc: ModeDoc, since_ms: int, until_ms: int
) -> ActiveMode:
    """Apply an operator's parameters; DefinitionError names what cannot be used.

    params: `routes` (glob or list), `share` 0..1, `class`, `text`.
    """
    params = dict(doc.params)
    routes = _globs(name, params.pop("routes", definition.routes))
    actions = tuple((n, _with(n, value, params)) for n, value in definition.actions)
    unknown = set(params) - {"share", "class", "text"}
    if unknown:
        raise DefinitionError(
            [
                f"mode {name}: parameter {key} is not known; "
                "use routes, share, class or text"
                for key in sorted(unknown)
            ]
        )
    return ActiveMode(name, definition, routes, actions, since_ms, until_ms)


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
    return StaticAnswer(b"", status=value) if name == "static" else value


def _globs(name: str, routes: Any) -> tuple[str, ...]:
    globs = [routes] if isinstance(routes, str) else routes
    if isinstance(globs, list | tuple) and all(isinstance(g, str) for g in globs):
        return tuple(globs)
    raise DefinitionError([f"mode {name}: routes = {routes!r} must be globs"])


def _with(action: str, value: Any, params: Mapping[str, Any]) -> Any:
    if action in ("maintenance", "banner"):
        return str(params.get("text", value))[:200]
    if action != "shed":
        return value
    share = params.get("share", value.share)
    criticality = params.get("class", value.criticality)
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise DefinitionError([f"mode shed: share = {share!r} must be 0 to 1"])
    if criticality is not None and criticality not in CRITICALITIES:
        known = ", ".join(CRITICALITIES)
        raise DefinitionError([f"mode shed: class {criticality!r} is none of {known}"])
    return Shed(float(share), criticality)


def summary_of(definition: ModeDefinition) -> str:
    """Say in one line what clients get under the mode (`clients get ...`)."""
    return ", ".join(_action_text(name, value) for name, value in definition.actions)


def _action_text(name: str, value: Any) -> str:
    if name == "shed":
        who = f"{value.criticality} requests and below"
        return f"503 for {value.share:.0%} of {who if value.criticality else 'all'}"
    if name == "static":
        return f"a static {value.status} answer"
    if name == "disable":
        return f"answers without {', '.join(value)}"
    return {
        "read_only": "503 for all but GET, HEAD, OPTIONS",
        "maintenance": "503 maintenance",
        "banner": "answers carry a notice",
    }.get(name, name)
