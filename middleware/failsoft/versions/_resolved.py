"""What a contract and the controls in force make of each version: put together once.

Pure: instants are passed in, in Unix seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from failsoft.controls.records import Record
from failsoft.pipeline import Rejection
from failsoft.versions._brownout import BrownoutRule, compile_brownouts
from failsoft.versions._headers import Stamp
from failsoft.versions._lifecycle import Lifecycle, announce, earliest, lifecycles_of
from failsoft.versions._model import Contract, Header
from failsoft.versions._windows import FOREVER_S

__all__ = ["INVALID", "UNVERSIONED", "Resolved", "Standing"]

# The version of a request that names none we know; no client can name it so.
INVALID = "(invalid)"


class Resolved:
    """What is known of the version of a request; shared by all that are alike.

    version: a declared id, INVALID with a `refusal`, "" where no contract applies.
    ends_s: from when on it is refused.  original: of a request that was edited, the
    scope's `path`, `query_string` and `headers` before.  is_head_body: the answer
    could not be migrated and goes out as the head's.
    """

    __slots__ = (
        "ends_s",
        "is_head_body",
        "life",
        "original",
        "refusal",
        "stamp",
        "version",
    )

    def __init__(
        self,
        version: str,
        stamp: Stamp,
        life: Lifecycle = Lifecycle(),  # noqa: B008 - frozen
        refusal: Rejection | None = None,
    ) -> None:
        self.version = version
        self.stamp = stamp
        self.life = life
        self.ends_s = life.ends_s
        self.refusal = refusal
        self.original: Mapping[str, Any] | None = None
        self.is_head_body = False

    def copy(self) -> Resolved:
        """Return one of its own for a request that differs."""
        return Resolved(self.version, self.stamp, self.life, self.refusal)


UNVERSIONED = Resolved("", Stamp((), frozenset(), {}))


class Standing:
    """One contract under the controls in force at one revision.

    resolved: by id, INVALID included.  pins: consumer -> id.  due_s: the next
    instant at which `supported` changes.  bad: controls that cannot be enforced.
    """

    def __init__(
        self,
        contract: Contract,
        records: Iterable[Record],
        vary: tuple[str, ...],
        now_s: float,
    ) -> None:
        self.contract = contract
        self._echo = _echo_of(contract)
        self.ids = tuple(version.id for version in contract.versions)
        self.bad: list[str] = []
        docs = list(self._docs(records))
        sunsets = {r.name: doc.sunset for r, doc in docs if r.kind == "version"}
        self.lives, bad = lifecycles_of(contract, sunsets)
        self.bad += bad
        self.pins = dict(contract.pins)
        self._pin(docs)
        self.brownouts: tuple[BrownoutRule, ...] = compile_brownouts(
            contract,
            (
                (r.name, doc, doc.since_ms / 1000, r.until_ms / 1000)
                for r, doc in docs
                if r.kind == "brownout"
            ),
        )
        self._vary = vary
        self._links = {version.id: version.link for version in contract.versions}
        self.tell(now_s)

    def _docs(self, records: Iterable[Record]) -> Iterable[tuple[Record, Any]]:
        for record in records:
            if record.kind in ("version", "pin", "brownout"):
                try:
                    yield record, record.doc()
                except msgspec.DecodeError:
                    # Never raised: one bad control would keep all others out.
                    self.bad.append(f"{record.kind}:{record.name}")

    def _pin(self, docs: Iterable[tuple[Record, Any]]) -> None:
        for record, doc in docs:
            if record.kind == "pin" and doc.version in self.ids:
                self.pins[record.name] = doc.version
            elif record.kind == "pin":
                self.bad.append(f"pin:{record.name}")

    def tell(self, now_s: float) -> None:
        """Put together what each version's answers say, as of an instant."""
        edges = [
            at
            for life in self.lives.values()
            for at in (life.deprecated_s, life.ends_s)
            if at is not None and at > now_s
        ]
        self.due_s = min(edges, default=FOREVER_S)
        self.supported = tuple(v for v in self.ids if self.lives[v].ends_s > now_s)
        is_told = self.contract.announce_supported
        self._announced = self._announce(now_s) if is_told else ()
        self._endings: dict[tuple[str, Lifecycle], Stamp] = {}
        self.resolved = {
            version: Resolved(version, self._stamp(version, life), life)
            for version, life in self.lives.items()
        }
        self.resolved[INVALID] = Resolved(INVALID, self._stamped(self._announced))

    def _announce(self, now_s: float) -> tuple[tuple[bytes, bytes], ...]:
        deprecated = [v for v in self.supported if self._is_deprecated(v, now_s)]
        current = [v for v in self.supported if v not in deprecated]
        return tuple(
            (name, ", ".join(ids).encode())
            for name, ids in (
                (b"api-supported-versions", current),
                (b"api-deprecated-versions", deprecated),
            )
            if ids
        )

    def _is_deprecated(self, version: str, now_s: float) -> bool:
        since_s = self.lives[version].deprecated_s
        return since_s is not None and since_s <= now_s

    def ending(self, version: str, route: Lifecycle) -> Stamp:
        """Return what answers of a version get on a route that ends too."""
        found = self._endings.get((version, route))
        if found is None:
            life = earliest(self.lives[version], route)
            found = self._endings[version, route] = self._stamp(version, life)
        return found

    def _stamp(self, version: str, life: Lifecycle) -> Stamp:
        lines = (
            (self._echo, version.encode()),
            *announce(life, self._successor(version)),
            *self._announced,
        )
        return self._stamped(lines)

    def _stamped(self, lines: tuple[tuple[bytes, bytes], ...]) -> Stamp:
        return Stamp.of(lines, self._vary, expose=self.contract.cors_expose)

    def _successor(self, version: str) -> str:
        """Return the link of the first later version that is not to end."""
        later = self.ids[self.ids.index(version) + 1 :]
        stays = (v for v in later if self.lives[v].deprecated_s is None)
        return self._links.get(next(stays, ""), "")

    def link(self, version: str) -> str:
        """Return what a client of a version should read, "" for nothing."""
        return self._links.get(version, "")


def _echo_of(contract: Contract) -> bytes:
    names = [source.name for source in contract.read if isinstance(source, Header)]
    return (names or ["X-API-Version"])[0].lower().encode()
