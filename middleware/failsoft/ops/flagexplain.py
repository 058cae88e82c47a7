"""Why a flag has the value it has for one user: the layer and the rule.  Pure.

In the order of the nodes: kill, mode, edit, file, coded default.  Test overrides live
in tests alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from failsoft.controls.records import KillDoc
from failsoft.controls.targets import covers, literal_weight
from failsoft.errors import FlagError, Invalid, TargetGone
from failsoft.flags._compile import ASK
from failsoft.flags._model import Flag
from failsoft.flags._parse import parse_flag
from failsoft.flags._trace import Bucket, buckets, trace
from failsoft.ops.flagplans import flag_below
from failsoft.ops.plan import known_flags, nearest_targets, row_of
from failsoft.ops.views import ControlRow, FleetView
from failsoft.telemetry import Definitions

__all__ = ["Explanation", "context_of", "explain", "flag_buckets"]

_MAX_CHAIN = 8


class Explanation(msgspec.Struct, frozen=True):
    """One answer.

    layer: kill, mode, edit, file, code or settings (a default), none.  value: None
    where the coded default is served and no release tells it.
    """

    key: str
    layer: str
    value: Any
    variant: str | None
    reason: str
    lines: tuple[str, ...]
    error: str = ""


def context_of(values: Mapping[str, Any], targeting_key: str | None) -> dict[str, Any]:
    """Return a context: `user.tier` leads to `{"user": {"tier": ...}}`.

    Raises Invalid where a path leads through another one's value.
    """
    data: dict[str, Any] = {}
    for path, value in values.items():
        *above, last = path.split(".")
        inner = data
        for name in above:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                message = f"{name} of {path} is a value already"
                raise Invalid("--context", message)
        inner[last] = value
    if targeting_key is not None:
        data["targetingKey"] = targeting_key
    return data


def explain(
    key: str, context: Mapping[str, Any], view: FleetView, definitions: Definitions
) -> Explanation:
    """Return what decides a flag in a context; TargetGone for an unknown key."""
    known = known_flags(view, definitions)
    if key not in known and flag_below(key, definitions) is None:
        raise TargetGone(f"flag:{key}", nearest_targets("flag", key, known))
    return _Explainer(context, view, definitions).explained(key, 0)


def flag_buckets(
    key: str, user: str, view: FleetView, definitions: Definitions
) -> tuple[Bucket, ...]:
    """Return where a user falls in each split of the flag that is served."""
    flag = _Explainer({}, view, definitions).served(key)[1]
    return () if flag is None else buckets(flag, {"targetingKey": user})


class _Explainer:
    def __init__(
        self, context: Mapping[str, Any], view: FleetView, definitions: Definitions
    ) -> None:
        self._context = context
        self._view = view
        self._definitions = definitions

    def explained(self, key: str, depth: int) -> Explanation:
        """Return the answer of the first layer that has one."""
        layer, flag, notes = self.served(key)
        kill = self._kill(key)
        if kill is not None:
            return self._killed(key, kill, flag)
        mode = self._mode(key)
        if mode:
            line = f"mode {mode} disables it: the off value is served"
            return Explanation(key, "mode", False, None, "DISABLED", (line,))
        if flag is None:
            return self._coded(key, "DEFAULT", notes)
        return self._ruled(key, layer, flag, notes, depth)

    def served(self, key: str) -> tuple[str, Flag | None, tuple[str, ...]]:
        """Return (layer, document, notes) of what is served without a kill."""
        row = row_of(self._view, "flag", f"flag:{key}")
        below = flag_below(key, self._definitions)
        layers = []
        if row is not None and row.rev and row.active:
            layers.append(("edit", row.doc, _edit_note(row)))
        if below is not None and below.doc:
            layers.append(("file", below.doc.encode(), f"file version {below.sha8}"))
        notes: list[str] = []
        for layer, doc, note in layers:
            try:
                flag = parse_flag(key, doc, self._view.evaluators)
            except FlagError as error:
                notes.append(f"{layer} cannot be used: {error}")
                continue
            over = flag.metadata.get("x.over")
            if (
                layer == "edit"
                and below
                and below.sha8
                and over not in (None, below.sha8)
            ):
                note += f"; it overrides an older definition (file is now {below.sha8})"
            return layer, flag, (*notes, note)
        return "", None, tuple(notes)

    def _kill(self, key: str) -> ControlRow | None:
        found = [
            row
            for row in self._view.controls
            if row.kind == "kill"
            and row.active
            and row.target.startswith("flag:")
            and covers(row.target[5:], key)
        ]
        return max(found, key=lambda row: literal_weight(row.target[5:]), default=None)

    def _killed(self, key: str, row: ControlRow, flag: Flag | None) -> Explanation:
        line = f"kill {row.target} by {row.by} (rev {row.rev}): {row.why}"
        try:
            wanted = msgspec.json.decode(row.doc, type=KillDoc).variant
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            wanted = None
        for name in (wanted, flag.metadata.get("x.kill") if flag else None):
            if flag is not None and name in flag.variants:
                value = flag.variants[name]
                return Explanation(key, "kill", value, name, "KILLED", (line,))
        lines = (line, "the off value is served: false, else the coded default")
        return Explanation(key, "kill", False, None, "KILLED", lines)

    def _mode(self, key: str) -> str:
        on = {
            row.target.partition(":")[2]
            for row in self._view.controls
            if row.kind == "mode" and row.active
        }
        modes = (mode for mode in self._definitions.modes if mode.name in on)
        found = (m.name for m in modes if key in m.disables)
        return next(found, "")

    def _coded(
        self, key: str, reason: str, notes: tuple[str, ...], error: str = ""
    ) -> Explanation:
        below = flag_below(key, self._definitions)
        text = below.default if below else dict(self._definitions.flags).get(key, "")
        origin = below.origin if below and below.origin != "file" else "code"
        value = msgspec.json.decode(text) if text else None
        line = f"coded default {text}" if text else "the default that the code gives"
        layer = origin if text else "none"
        return Explanation(key, layer, value, None, reason, (*notes, line), error)

    def _ruled(
        self,
        key: str,
        layer: str,
        flag: Flag,
        notes: tuple[str, ...],
        depth: int,
    ) -> Explanation:
        if not flag.enabled:
            lines = (
                *notes,
                "the flag is DISABLED, which is the coded default, not off",
            )
            return self._coded(key, "DISABLED", lines)
        found = trace(flag, self._data(key, depth))
        lines = (*notes, *found.lines)
        if found.reason == "ERROR":
            return self._coded(key, "ERROR", lines, found.error)
        variant = flag.default if found.variant is None else found.variant
        if variant is None:
            return self._coded(key, "DEFAULT", lines)
        value = flag.variants[variant]
        return Explanation(key, layer, value, variant, found.reason, lines)

    def _data(self, key: str, depth: int) -> dict[Any, Any]:
        def ask(other: str) -> str | None:
            if depth >= _MAX_CHAIN:
                return None
            return self.explained(other, depth + 1).variant

        timestamp = self._view.server_ms // 1000
        ours = {"env": self._view.env}
        data: dict[Any, Any] = {"failsoft": ours, **self._context, ASK: ask}
        data["$flagd"] = {"flagKey": key, "timestamp": timestamp}
        return data


def _edit_note(row: ControlRow) -> str:
    return f"edit by {row.by} (rev {row.rev}): {row.why}"
