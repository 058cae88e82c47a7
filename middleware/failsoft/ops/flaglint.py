"""What is wrong with flags: what no node could serve, and habits.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from failsoft.errors import FlagError
from failsoft.flags._model import Flag
from failsoft.flags._parse import parse_flag
from failsoft.flags.importers.flagd import FlagdFile, unhashed
from failsoft.ops.views import FleetView

__all__ = ["Finding", "lint_file", "lint_store"]

_MAX_CHAIN = 8
_NAMES = "hash fail max_stale kill owner expires kind link tags desc over"
_KNOWN = frozenset(f"x.{name}" for name in _NAMES.split())


class Finding(msgspec.Struct, frozen=True):
    """One line.  error: a flag cannot be served as it is meant."""

    level: Literal["error", "warning"]
    text: str


def lint_file(file: FlagdFile, today: str) -> tuple[Finding, ...]:
    """Return what is wrong in a file, errors first; today: ISO date."""
    found = [Finding("error", fault) for fault in file.bad.values()]
    return _sorted([*found, *_flags(file.parsed, today)])


def lint_store(view: FleetView, today: str) -> tuple[Finding, ...]:
    """Return what is wrong with the edits in the store, errors first."""
    parsed: dict[str, Flag] = {}
    found = []
    for row in view.controls:
        if row.kind == "flag" and row.rev:
            key = row.target[5:]
            try:
                parsed[key] = parse_flag(key, row.doc, view.evaluators)
            except FlagError as error:
                found.append(Finding("error", str(error)))
    for node in view.nodes:
        bad = [name for name in node.bad if name.startswith("flag:")]
        if bad:
            text = f"{node.short} cannot enforce {', '.join(bad)}"
            found.append(Finding("error", text))
    return _sorted([*found, *_flags(parsed, today)])


def _sorted(found: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda one: (one.level != "error", one.text)))


def _flags(parsed: Mapping[str, Flag], today: str) -> Iterator[Finding]:
    for key, flag in parsed.items():
        where = f"flag:{key}"
        if flag.dangling:
            names = ", ".join(sorted(flag.dangling))
            yield Finding("error", f"{where}: no evaluator {names}")
        fault = _chain_fault(key, parsed)
        if fault:
            yield Finding("error", f"{where}: {fault}")
        for other in sorted(flag.prerequisites - parsed.keys()):
            yield Finding("warning", f"{where}: its prerequisite {other} is not here")
        for text in _habits(flag, today):
            yield Finding("warning", f"{where} {text}")


def _habits(flag: Flag, today: str) -> Iterator[str]:
    metadata: Mapping[str, Any] = flag.metadata
    if unhashed(flag):
        yield "metadata: splits users without x.hash; absent means 3, for ever"
    if flag.default is None:
        yield "defaultVariant: none, so the coded default is served where no rule says"
    if not flag.enabled:
        yield "state: DISABLED serves the coded default, not off"
    expires = metadata.get("x.expires")
    if isinstance(expires, str) and expires < today:
        yield f"metadata.x.expires: expired {expires}"
    if "x.owner" not in metadata:
        yield "metadata: no x.owner"
    for name in metadata:
        if name.startswith("x.") and name not in _KNOWN and name[:8] != "x.guard.":
            yield f"metadata.{name} is not known"


def _chain_fault(key: str, parsed: Mapping[str, Flag]) -> str:
    """Return what is wrong with the prerequisites below a flag."""
    path: list[tuple[str, tuple[str, ...]]] = [(key, (key,))]
    steps = 0
    while path and steps < 10_000:
        steps += 1
        name, above = path.pop()
        flag = parsed.get(name)
        for other in sorted(flag.prerequisites) if flag else ():
            if other == key:
                return f"prerequisites go round: {' -> '.join((*above, other))}"
            if len(above) > _MAX_CHAIN:
                return f"more than {_MAX_CHAIN} prerequisites in a row"
            if other not in above:
                path.append((other, (*above, other)))
    return ""
