"""Contract tests from the drift ledger, and a watch on it during tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from failsoft.asgi import Failsoft
from failsoft.errors import Invalid
from failsoft.shapes.pointer import unescaped
from failsoft.shapes.sample import samples
from failsoft.testing.contractapp import OpenedApp
from failsoft.testing.contractcases import ContractCase
from failsoft.testing.exchange import send_started
from failsoft.testing.spoken import speak
from failsoft.tolerance._ledger import Ledger

__all__ = ["drift_cases", "drift_since", "ledger_of"]

_MAX_LAYERS = 100
_ABSENT: Any = object()
_MARK = "failsoft twice"
# What stands for a body that no reader of JSON can read, or not each of them.
_BROKEN: dict[str, Callable[[str], bytes]] = {
    "not_json": lambda text: text[:-1].encode(),
    "encoding": lambda text: text.encode("utf-16"),
}
# What stands for each type that a ledger names.
_VALUES: dict[str, Any] = {
    "null": None,
    "bool": True,
    "int": 7,
    "float": 1.5,
    "str": "unseen",
    "array": [],
    "object": {},
    "absent": _ABSENT,
    "str:int": "7",
    "str:bool": "true",
    "str:date": "2026-01-31",
    "str:uuid": "6f1e2d3c-4b5a-4978-8a6b-7c8d9e0f1a2b",
    "str:empty": "",
}


class _Entry(msgspec.Struct, frozen=True):
    """What is read of an exported entry."""

    route: str
    path: str
    kind: str
    expected: str = ""
    got: str = ""
    direction: str = "request"
    dependency: str = ""
    version: str = ""


def drift_cases(raw: bytes, where: str, opened: OpenedApp) -> Iterator[ContractCase]:
    """Yield a case for each entry of a request; raw: JSON lines of `drift export`."""
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = msgspec.json.decode(line, type=_Entry)
        except msgspec.DecodeError as error:
            text = f"line {number} is no drift entry: {error}"
            raise Invalid(where, text) from None
        if entry.dependency or entry.direction != "request":
            continue
        body = _body_of(entry, opened)
        if body is not None:
            run = _sends(opened, entry, body)
            yield ContractCase(
                "from-drift", entry.version, entry.route, number, body, run
            )


def _body_of(entry: _Entry, opened: OpenedApp) -> bytes | None:
    """Return a sample of the route's body with the difference in it."""
    is_old = entry.version in opened.older
    models = opened.old_models(entry.version) if is_old else opened.models
    shapes = models.routes.get(entry.route)
    if shapes is None or shapes.request is None:
        return None
    made = samples(shapes.request).values
    if not made:
        return None
    if entry.kind in _BROKEN:
        return _BROKEN[entry.kind](json.dumps(made[0]))
    steps = [unescaped(step) for step in entry.path.split("/")[1:]]
    if entry.kind == "duplicate":
        return _twice(made[0], steps) if steps else None
    # The application's own word for it, where it refused the body.
    is_missed = entry.kind == "rejected" and entry.expected == "missing"
    got = "absent" if is_missed else entry.got
    if got not in _VALUES or (got == "absent" and not steps):
        return None
    return json.dumps(_with(made[0], steps, got)).encode()


def _twice(value: Any, steps: list[str]) -> bytes:
    """Return a body with a key twice, the first time with another value."""
    marked = json.dumps(_with(value, [*steps[:-1], _MARK], "int"))
    last = json.dumps(steps[-1])
    return marked.replace(f'"{_MARK}": 7', f"{last}: 7, {last}: 8").encode()


def _with(value: Any, steps: list[str], got: str) -> Any:
    """Return a value with another type at a path; what is missing on it is made."""
    if not steps:
        return _VALUES[got]
    step, rest = steps[0], steps[1:]
    if step == "*" and isinstance(value, list | type(None)):
        items = value or [{}]
        inner = _with(items[0], rest, got)
        return [*([] if inner is _ABSENT else [inner]), *items[1:]]
    name = "key_1" if step == "{*}" else step
    found = dict(value) if isinstance(value, dict) else {}
    inner = _with(found.get(name), rest, got)
    if inner is _ABSENT:
        found.pop(name, None)
    else:
        found[name] = inner
    return found


def _sends(opened: OpenedApp, entry: _Entry, body: bytes) -> Callable[[], None]:
    def run() -> None:
        scope = speak(opened.contract, entry.version, entry.route)
        sent = asyncio.run(send_started(opened.app, scope, body))
        assert sent.status < 500, (
            f"{entry.route} answers {sent.status} to {entry.kind} at"
            f" {entry.path or '/'} (got {entry.got})\nbody: {body.decode()}"
        )

    return run


def ledger_of(client: Any) -> Ledger:
    """Return the ledger of the Failsoft in an application, or in a client of one."""
    app = getattr(client, "app", client)
    for start in (client, app, getattr(app, "middleware_stack", None)):
        layer = start
        for _ in range(_MAX_LAYERS):
            if isinstance(layer, Failsoft):
                return layer.runtime.ledger
            layer = getattr(layer, "app", None)
            if layer is None:
                break
    todo = "pass the application or its client after it was started"
    raise Invalid("client", f"{type(client).__name__} holds no Failsoft; {todo}")


def drift_since(ledger: Ledger) -> Callable[[], list[str]]:
    """Return what tells, in words, which entries were counted from now on."""
    before = ledger.totals()

    def since() -> list[str]:
        found = []
        for entry, count in ledger.totals().items():
            fresh = count - before.get(entry, 0)
            if fresh > 0:
                whose = f"{entry.dependency} " if entry.dependency else ""
                sides = f"{entry.expected or 'nothing'} expected, got {entry.got}"
                found.append(
                    f"  {whose}{entry.route} {entry.direction} {entry.path or '/'}"
                    f" {entry.kind}: {sides} ({fresh}x)"
                )
        return found

    return since
