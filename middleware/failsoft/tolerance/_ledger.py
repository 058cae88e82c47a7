"""Counts what differs between bodies and schemas: bounded, by types, never values.

Requests add; `_flush` takes what was added and sends it.  Our own API and third
parties share one ledger.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import msgspec

from failsoft.shapes.findings import Finding
from failsoft.store.drift import OTHER, OVERFLOW, Counted, DriftEntry, id_of

__all__ = ["Ledger", "Taken", "safe_path"]

ROUTE_ENTRIES = 512
PROCESS_ENTRIES = 2_000
CONSUMERS = 32  # of one (path, kind)
CHILDREN = 64  # of one parent, before their names count as data
_WORDS = 256
_IDLE_MS = 3_600_000
_KEY_LENGTH = 64
_PATH_LENGTH = 512
_ANY_KEY = "{*}"
# Kinds whose last name is the client's own, not the schema's.
_FOREIGN = frozenset(("unknown", "duplicate", "ambiguous"))

_DATA = re.compile(
    r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"  # uuid
    r"|.*@.*"  # e-mail
    r"|[+.:\-]*[0-9][0-9+.:\- ]*"  # digits, dates, telephone numbers
    r"|[0-9a-fA-F]{16,}",
    re.DOTALL,
)
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@lru_cache(maxsize=4096)
def safe_path(path: str) -> str:
    """Return a path without keys that look like data; at most 512 characters.

    A key that is a uuid, e-mail, number or at least 16 hexadecimal digits becomes
    `{*}`; others are cut at 64 characters, controls and lone surrogates replaced.
    """
    names = [_safe_key(name) for name in path.split("/")]
    return "/".join(names)[:_PATH_LENGTH]


def _safe_key(name: str) -> str:
    if _DATA.fullmatch(name):
        return _ANY_KEY
    return _UNFIT.sub("?", name[:_KEY_LENGTH])


class _Place(NamedTuple):
    """Where a finding lies; names what the caps count."""

    route: str
    direction: str
    dependency: str
    path: str


_Key = tuple[str, ...]


@dataclass(slots=True)
class _Count:
    id: str
    entry: DriftEntry
    unsent: int = 0
    total: int = 0
    last_ms: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken out of a ledger to be sent."""

    counted: tuple[Counted, ...] = ()
    tallies: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.counted or self.tallies)


class Ledger:
    """The drift of one process; `add` never waits and never raises.

    now_ms: store time.  lock: held for each call, as long bodies are judged in
    threads; by default none, for use on one thread.
    """

    def __init__(
        self,
        now_ms: Callable[[], float],
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._now_ms = now_ms
        self._lock = lock if lock is not None else nullcontext()
        self._tallies: dict[str, int] = {}
        self._reset()

    def _reset(self) -> None:
        self._held: dict[_Key, _Count] = {}
        self._dirty: dict[_Key, _Count] = {}
        self._by_route: dict[tuple[str, str], int] = {}
        self._consumers: dict[_Key, set[str]] = {}
        self._children: dict[_Place, set[str]] = {}

    def __len__(self) -> int:
        """Return how many entries it holds; at most 2,000."""
        return len(self._held)

    def add(
        self,
        route: str,
        direction: str,
        dependency: str,
        findings: Iterable[Finding],
        consumer: str = "",
        version: str = "",
    ) -> None:
        """Count findings of one body.

        route: `METHOD template`.  direction: request or response.  dependency: ""
        for our own API.  What does not fit is counted as `overflow`.
        """
        with self._lock:
            now_ms = int(self._now_ms())
            for finding in findings:
                path = safe_path(finding.path)
                if finding.kind in _FOREIGN:
                    path = self._collapsed(_Place(route, direction, dependency, path))
                place = _Place(route, direction, dependency, path)
                what = finding.kind, finding.expected, finding.got
                self._count(place, what, (consumer, version), now_ms)

    def tally(self, word: str, count: int = 1) -> None:
        """Count something that has no entry, such as `skipped:size`."""
        with self._lock:
            self._tally(word, count)

    def _tally(self, word: str, count: int) -> None:
        if word not in self._tallies and len(self._tallies) >= _WORDS:
            word = OTHER
        self._tallies[word] = self._tallies.get(word, 0) + count

    def _collapsed(self, place: _Place) -> str:
        """Return the path, with `{*}` as its last name where there are too many."""
        parent, _, name = place.path.rpartition("/")
        where = place._replace(path=parent)
        known = self._children.get(where)
        if known is None:
            if len(self._children) >= PROCESS_ENTRIES:
                return f"{parent}/{_ANY_KEY}"
            known = self._children[where] = set()
        if name not in known:
            if len(known) >= CHILDREN:
                return f"{parent}/{_ANY_KEY}"
            known.add(name)
        return place.path

    def _count(
        self,
        place: _Place,
        what: tuple[str, str, str],
        whom: tuple[str, str],
        now_ms: int,
    ) -> None:
        consumer, version = whom
        consumer = self._known_consumer((*place, what[0]), consumer)
        key = (*place, *what, consumer, version)
        count = self._held.get(key)
        if count is None:
            count = self._opened(key, now_ms)
            if count is None:
                self._tally(OVERFLOW, 1)
                return
        count.unsent += 1
        count.total += 1
        count.last_ms = now_ms
        self._dirty[key] = count

    def _known_consumer(self, where: _Key, consumer: str) -> str:
        if not consumer:
            return ""
        known = self._consumers.setdefault(where, set())
        if consumer not in known:
            if len(known) >= CONSUMERS:
                return OTHER
            # Of a place that gets no entry nothing is kept: `_opened` decides.
            known.add(consumer)
        return consumer

    def _opened(self, key: _Key, now_ms: int) -> _Count | None:
        owner = key[2], key[0]
        of_route = self._by_route.get(owner, 0)
        if of_route >= ROUTE_ENTRIES or len(self._held) >= PROCESS_ENTRIES:
            if (where := key[:5]) in self._consumers:
                self._consumers[where].discard(key[7])
                if not self._consumers[where]:
                    del self._consumers[where]
            return None
        self._by_route[owner] = of_route + 1
        words = [_UNFIT.sub("?", word) for word in key]
        entry = msgspec.convert([1, *words, now_ms], DriftEntry)
        count = self._held[key] = _Count(id_of(entry), entry)
        return count

    def totals(self) -> dict[DriftEntry, int]:
        """Return how often each entry was counted since it was opened, sent or not."""
        with self._lock:
            return {count.entry: count.total for count in self._held.values()}

    # --- sending ------------------------------------------------------------

    def take(self, limit: int) -> Taken:
        """Take what was counted since; at most `limit` entries."""
        with self._lock:
            keys = list(self._dirty)[:limit]
            counted = []
            for key in keys:
                count = self._dirty.pop(key)
                counted.append(Counted(count.id, count.entry, count.unsent))
                count.unsent = 0
            tallies, self._tallies = self._tallies, {}
        return Taken(tuple(counted), tallies)

    def give_back(self, taken: Taken) -> None:
        """Count on from what could not be sent."""
        with self._lock:
            by_id = {count.id: key for key, count in self._held.items()}
            for one in taken.counted:
                if (key := by_id.get(one.id)) is not None:
                    self._held[key].unsent += one.count
                    self._dirty[key] = self._held[key]
            for word, count in taken.tallies.items():
                self._tally(word, count)

    def forget(self) -> None:
        """Drop what was sent and not seen for an hour, to make room."""
        with self._lock:
            oldest_ms = int(self._now_ms()) - _IDLE_MS
            held = self._held
            kept = {k: c for k, c in held.items() if c.unsent or c.last_ms > oldest_ms}
            if len(kept) == len(held):
                return
            self._reset()
            self._held = kept
            for key, count in kept.items():
                self._remember(key)
                if count.unsent:
                    self._dirty[key] = count

    def _remember(self, key: _Key) -> None:
        """Let an entry that stays count against the caps again."""
        route, direction, dependency, path, kind, *_, consumer, _version = key
        owner = dependency, route
        self._by_route[owner] = self._by_route.get(owner, 0) + 1
        if consumer:
            self._consumers.setdefault(key[:5], set()).add(consumer)
        if kind in _FOREIGN:
            parent, _, name = path.rpartition("/")
            where = _Place(route, direction, dependency, parent)
            self._children.setdefault(where, set()).add(name)
