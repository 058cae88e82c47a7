"""One contract test each: a body, what is done with it, what must come out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from failsoft.errors import FailsoftError
from failsoft.routes.models import base_name
from failsoft.shapes.graph import Node, reached
from failsoft.shapes.sample import samples
from failsoft.shapes.walk import walk
from failsoft.testing.contractapp import PROBE, OpenedApp
from failsoft.versions._chain import Migrated, Migration
from failsoft.versions._edits import is_lossy
from failsoft.versions._model import Body

__all__ = [
    "ContractCase",
    "document_cases",
    "down_cases",
    "old_cases",
    "round_trip_cases",
    "skipped_in",
]


@dataclass(frozen=True)
class ContractCase:
    """One generated test.

    kind: `round-trip`, `old-sample`, `down-fits`, `from-drift` or `document`.
    version: whose body it is.  route: `METHOD template`, or the name of a schema.
    body: JSON as a client, or the application, would send it.  `check()` raises
    AssertionError with what came out; `str(case)` is a short id for pytest.
    """

    kind: str
    version: str
    route: str
    number: int
    body: bytes = b""
    run: Callable[[], None] = field(repr=False, default=lambda: None)

    def __str__(self) -> str:
        version = f"{self.version} " if self.version else ""
        return f"{self.kind} {version}{self.route} #{self.number}"

    def check(self) -> None:
        """Raise AssertionError if the contract does not hold for this body."""
        self.run()


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _failed(migrated: Migrated, what: str) -> str:
    fault = migrated.failure
    at = f" at {fault.pointer}" if fault and fault.pointer else ""
    return f"{what} failed{at}: {fault.detail if fault else ''}"


def _migrate(migration: Migration | None, body: bytes, what: str) -> bytes:
    if migration is None:
        return body
    migrated = migration(body, "json")
    assert migrated.failure is None, f"{_failed(migrated, what)}\nbody: {_text(body)}"
    return migrated.body


def _text(body: bytes) -> str:
    return body.decode(errors="replace")


# --- down(up(x)) == x ---------------------------------------------------------


def round_trip_cases(opened: OpenedApp, seed: int = 0) -> Iterator[ContractCase]:
    """Yield a case for each sample of each old schema that a chain touches."""
    chains = opened.probe_chains
    for version in opened.older:
        old = opened.probes.old_models(version)
        for key, shapes in old.routes.items():
            up, down = chains.up(key, version), chains.down(key, version, 200)
            if shapes.request is None or (up is None and down is None):
                continue
            exact = not _loses(opened, version, key)
            name = key.partition(PROBE)[2]
            made = samples(shapes.request, seed=seed).values
            for number, value in enumerate(made):
                body = _dump(value)
                run = _round_trip(up, down, body, exact=exact)
                yield ContractCase("round-trip", version, name, number, body, run)


def _loses(opened: OpenedApp, version: str, key: str) -> bool:
    """Whether an op on the way may change a body of the old version for good."""
    contract = opened.needed
    later = contract.versions[opened.versions.index(version) + 1 :]
    shapes = opened.probe_models.routes[key]
    roots = [shapes.request] if shapes.request is not None else []
    names = {base_name(node.name) for node in reached(roots).values() if node.name}
    for op in (op for v in later for op in v.ops if is_lossy(op)):
        target = getattr(op, "target", getattr(op, "on", ""))
        if not isinstance(target, Body) and str(target).split(".")[0] in names:
            return True
    return False


def _round_trip(
    up: Migration | None, down: Migration | None, body: bytes, *, exact: bool
) -> Callable[[], None]:
    def there_and_back(given: bytes) -> bytes:
        return _migrate(down, _migrate(up, given, "up"), "down")

    def run() -> None:
        back = there_and_back(body)
        # What a lossy op has lost once must not change again.
        before, after = (body, back) if exact else (back, there_and_back(back))
        law = "down(up(x)) == x" if exact else "down(up(y)) == y for y = down(up(x))"
        assert json.loads(after) == json.loads(before), (
            f"{law} does not hold\nbefore: {_text(before)}\nafter:  {_text(after)}"
        )

    return run


# --- up, and the head's own model ---------------------------------------------


def old_cases(opened: OpenedApp, version: str, seed: int = 0) -> Iterator[ContractCase]:
    """Yield a case for each sample of each old request body."""
    chains = opened.chains
    moved = dict(chains.moved_paths(version))
    for old_key, shapes in opened.old_models(version).routes.items():
        key = moved.get(old_key, old_key)
        head = opened.models.routes.get(key)
        if shapes.request is None or head is None or head.request is None:
            continue
        up = chains.up(key, version)
        for number, value in enumerate(samples(shapes.request, seed=seed).values):
            body = _dump(value)
            run = _fits(up, body, head.request, key)
            yield ContractCase("old-sample", version, old_key, number, body, run)


def _fits(
    migration: Migration | None, body: bytes, node: Node, route: str
) -> Callable[[], None]:
    is_patch = route.startswith("PATCH ")

    def run() -> None:
        made = body
        if migration is not None:
            migrated = migration(body, "merge" if is_patch else "json")
            assert migrated.failure is None, (
                f"{_failed(migrated, 'migration')}\nbody: {_text(body)}"
            )
            made = migrated.body
        found = walk(node, made, is_patch=is_patch).findings
        listed = "\n".join(
            f"  {one.path or '/'} {one.kind}: {one.expected} expected, got {one.got}"
            for one in found
        )
        assert not found, f"does not fit:\n{listed}\nbody: {_text(made)}"

    return run


# --- down, and the schema that the version publishes -----------------------------


def down_cases(opened: OpenedApp, seed: int = 0) -> Iterator[ContractCase]:
    """Yield a case for each sample of each answer of the head, in each version."""
    chains = opened.chains
    for version in opened.older:
        back = {now: was for was, now in chains.moved_paths(version)}
        old = opened.old_models(version).routes
        for key, head in opened.models.routes.items():
            shapes = old.get(back.get(key, key))
            if shapes is None or head.is_stream:
                continue
            edits = chains.request_edits(key, version)
            statuses = (edits.statuses if edits else None) or {}
            for status, node in _answers(head.responses):
                published = shapes.response(statuses.get(status, status))
                down = chains.down(key, version, status)
                if published is None or down is None:
                    continue
                for number, value in enumerate(samples(node, seed=seed).values):
                    body = _dump(value)
                    run = _fits(down, body, published, "GET")
                    where = f"{key} {status}"
                    yield ContractCase("down-fits", version, where, number, body, run)


def _answers(responses: Mapping[int, Node]) -> Iterator[tuple[int, Node]]:
    """Yield a status for each schema: 2 stands for 2XX, 0 for all others."""
    exact = {slot: node for slot, node in responses.items() if slot >= 100}
    yield from exact.items()
    for slot, node in responses.items():
        if slot < 100 and not any(node is one for one in exact.values()):
            status = slot * 100 if slot else 500
            if status not in exact:
                yield status, node


# --- the contract itself --------------------------------------------------------


def document_cases(opened: OpenedApp) -> Iterator[ContractCase]:
    """Yield a case for each version: its document and its migrations can be made."""
    for number, version in enumerate(opened.versions):
        run = _made(opened, version)
        yield ContractCase("document", version, "openapi", number, b"", run)


def _made(opened: OpenedApp, version: str) -> Callable[[], None]:
    def run() -> None:
        try:
            opened.old_models(version)
            opened.chains.touched(version)
        except FailsoftError as error:
            raise AssertionError(str(error)) from error

    return run


def skipped_in(opened: OpenedApp) -> tuple[str, ...]:
    """Name each place of the head that has no sample, and why."""
    found: dict[str, None] = {}
    for key, shapes in opened.models.routes.items():
        nodes = [shapes.request, *shapes.responses.values()]
        for node in nodes:
            for why in samples(node).skipped if node is not None else ():
                found[f"{key} {why}"] = None
    return tuple(found)
