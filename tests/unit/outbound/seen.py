"""What a tap reports, noted down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from failsoft.outbound._announced import Said
from failsoft.outbound._contract import Contract
from failsoft.outbound._openapi import compile_document
from failsoft.outbound._tap import Asked, Copy, Tap
from failsoft.settings import DependencySettings
from failsoft.shapes.findings import Finding
from failsoft.shapes.graph import Node

CHARGE = {
    "type": "object",
    "required": ["id", "amount"],
    "properties": {
        "id": {"type": "string"},
        "amount": {"type": "integer"},
        "note": {"type": "string", "nullable": True},
        "card": {"type": "string", "writeOnly": True},
    },
}


def document(**operations: Any) -> dict[str, Any]:
    """Return a document with GET /charges/{id}, and whatever else is given."""
    answer = {"content": {"application/json": {"schema": deepcopy(CHARGE)}}}
    get = {"responses": {"200": answer, "404": {}, "5XX": {}}}
    return {"openapi": "3.0.3", "paths": {"/charges/{id}": {"get": get}, **operations}}


class Seen:
    """A `Peers` that notes what it is told."""

    def __init__(self, **settings: Any) -> None:
        self.settings = DependencySettings(**settings)
        self.findings: list[tuple[str, str, str]] = []
        self.notes: list[tuple[str, Said]] = []
        self.skipped: list[str] = []
        self.faults: list[str] = []
        self.walks = 100

    def settings_of(self, dependency: str) -> DependencySettings:
        return self.settings

    def note(self, dependency: str, operation: str, said: Said) -> None:
        self.notes.append((operation, said))

    def found(
        self, dependency: str, operation: str, findings: Iterable[Finding]
    ) -> None:
        self.findings += [(f.path, f.kind, f.got) for f in findings]

    def with_members(
        self,
        place: tuple[str, str],
        node: Node,
        body: bytes,
        findings: tuple[Finding, ...],
    ) -> tuple[Finding, ...]:
        return tuple(replace(one, got=f"named:{one.got}") for one in findings)

    def may_walk(self, operation: str) -> bool:
        self.walks -= 1
        return self.walks >= 0

    def skip(self, why: str) -> None:
        self.skipped.append(why)

    def failed(self, what: str, error: BaseException) -> None:
        self.faults.append(f"{what}: {error}")


class Watched:
    """A tap whose thread is a list; `work` does what is on it."""

    def __init__(
        self,
        seen: Seen | None = None,
        contract: Contract | None = None,
        dice: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self.seen = seen or Seen()
        self.jobs: list[Callable[[], None]] = []
        self.room = 100
        self.contract = contract
        self.tap = Tap(
            ("pay", DependencySettings()),
            lambda: self.seen,
            self.load,
            self._later,
            dice,
        )

    def load(self, declared: DependencySettings) -> Contract:
        return compile_document(document()) if self.contract is None else self.contract

    def _later(self, job: Callable[[], None]) -> bool:
        if self.room:
            self.jobs.append(job)
        return bool(self.room)

    def work(self) -> None:
        while self.jobs:
            self.jobs.pop(0)()

    def begin(
        self,
        path: str = "/charges/1",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
    ) -> Copy | None:
        said = {"Content-Type": "application/json"} | dict(headers or {})
        raw = [(name.encode(), value.encode("latin-1")) for name, value in said.items()]
        return self.tap.begin(self.seen, Asked(method, "x.test", path), status, raw)

    def answer(self, body: bytes, **how: Any) -> list[tuple[str, str, str]]:
        """Let an answer be read to its end; return what was found in it."""
        self.seen.findings.clear()
        copy = self.begin(**how)
        if copy is not None:
            copy.add(body)
            copy.end()
        self.work()
        return list(self.seen.findings)
