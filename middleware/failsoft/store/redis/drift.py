"""The drift ledger on Redis: one script adds, pipelines of bounded size read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any

import msgspec
from redis import exceptions as redis_errors

from failsoft.clock import utc_date
from failsoft.store.drift import (
    AT_ONCE,
    DAYS_KEPT,
    ENTRIES_KEPT,
    IDLE_MS,
    Counted,
    DriftEntry,
    DriftRead,
    DriftRow,
)
from failsoft.store.redis.connect import Server
from failsoft.store.redis.keys import Keys
from failsoft.store.redis.replies import number_of, text_of

__all__ = ["RedisDrift"]

_DAY_MS = 86_400_000
_decode = msgspec.msgpack.Decoder(DriftEntry).decode
_encode = msgspec.msgpack.Encoder().encode


@cache
def _script() -> tuple[bytes, str]:
    text = files("failsoft.store.redis").joinpath("drift_add.lua").read_bytes()
    # Redis names scripts by SHA-1; nothing secret hangs on it.
    return text, sha1(text, usedforsecurity=False).hexdigest()


class RedisDrift:
    """The `DriftStore` over one server; see `store.drift` for its calls."""

    server: Server
    keys: Keys
    # At first the text: fakeredis hangs up after a NOSCRIPT.
    _sends_drift_text = True

    async def drift_add(
        self, counted: Sequence[Counted], tallies: Mapping[str, int]
    ) -> frozenset[str]:
        """Add counts; a second round trip describes what the store did not know."""
        now_ms = await self.server.now_ms()
        day = _day(now_ms)
        fields = [field for one in counted for field in (one.id, one.count, b"")]
        words = [part for word, n in tallies.items() for part in (_raw(word), n)]
        lacks, _ = await self._add(day, len(counted), [*fields, *words])
        if not lacks:
            return frozenset()
        missing = {text_of(name) for name in lacks}
        described = [
            field
            for one in counted
            if one.id in missing
            for field in (one.id, 0, _encode(one.entry))
        ]
        _, made = await self._add(day, len(missing), described)
        return frozenset(text_of(name) for name in made)

    async def _add(self, day: str, count: int, fields: list[Any]) -> list[Any]:
        text, digest = _script()
        keys = [self.keys.drift_entries, self.keys.drift_counts(day)]
        keys.append(self.keys.drift_seen)
        caps = [ENTRIES_KEPT, IDLE_MS, DAYS_KEPT * _DAY_MS, count]
        arguments = [len(keys), *keys, *caps, *fields]
        if not self._sends_drift_text:
            try:
                return await self._run_drift("EVALSHA", digest, arguments)
            except redis_errors.NoScriptError:
                self._sends_drift_text = True
        reply = await self._run_drift("EVAL", text, arguments)
        self._sends_drift_text = False
        return reply

    async def _run_drift(
        self, command: str, script: bytes | str, arguments: list[Any]
    ) -> list[Any]:
        reply: list[Any] = await self.server.ask(
            "counting drift",
            *(command, script, *arguments),
            passing=redis_errors.NoScriptError,
        )
        return reply

    async def drift(self, *, days: int = 30, limit: int = 1000) -> DriftRead:
        """Return the entries seen last; ids first, then what is known of each."""
        what = "reading the drift ledger"
        dates = [_day(await self.server.now_ms() - n * _DAY_MS) for n in range(days)]
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.time()
        pipe.hlen(self.keys.drift_entries)
        pipe.zrange(self.keys.drift_seen, 0, limit - 1, desc=True, withscores=True)
        for date in dates:
            pipe.hscan(self.keys.drift_counts(date), match="~*", count=AT_ONCE)
        replies = self.server.checked(await self.server.run(pipe, what), what)
        time, total, seen, *scans = replies
        last_ms = {text_of(name): int(at_ms) for name, at_ms in seen}
        rows: list[DriftRow] = []
        for names in _parts(list(last_ms)):
            rows += await self._rows(names, dates, last_ms)
        return DriftRead(
            now_ms=self.server.saw_time(time),
            rows=tuple(rows),
            total=total,
            tallies=await self._tallies(dates, scans),
        )

    async def _rows(
        self, names: list[str], dates: list[str], last_ms: Mapping[str, int]
    ) -> list[DriftRow]:
        what = "reading the drift ledger"
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.hmget(self.keys.drift_entries, names)
        for date in dates:
            pipe.hmget(self.keys.drift_counts(date), names)
        replies = self.server.checked(await self.server.run(pipe, what), what)
        return [
            _row(name, entry, dict(zip(dates, counts, strict=True)), last_ms[name])
            for name, raw, *counts in zip(names, *replies, strict=True)
            if (entry := _entry(raw)) is not None
        ]

    async def _tallies(self, dates: list[str], scans: list[Any]) -> dict[str, int]:
        """Add up the words of each day; one with many entries takes further scans."""
        found: dict[str, int] = {}
        for date, (cursor, held) in zip(dates, scans, strict=True):
            while True:
                for word, count in held.items():
                    name = text_of(word)[1:]
                    found[name] = found.get(name, 0) + number_of(count)
                if not cursor:
                    break
                key = self.keys.drift_counts(date)
                command = ("HSCAN", key, cursor, "MATCH", "~*", "COUNT", AT_ONCE)
                cursor, held = await self.server.ask("reading tallies", *command)
        return found


def _row(
    name: str, entry: DriftEntry, counts: Mapping[str, bytes | None], last_ms: int
) -> DriftRow:
    by_day = {date: number_of(n) for date, n in counts.items() if n is not None}
    return DriftRow(name, entry, sum(by_day.values()), last_ms, by_day)


def _entry(raw: bytes | None) -> DriftEntry | None:
    """Return what a descriptor says, None for one that a newer release wrote."""
    try:
        entry = _decode(raw) if raw else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return entry if entry is not None and entry.v == 1 else None


def _parts(names: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(names), AT_ONCE):
        yield names[at : at + AT_ONCE]


def _day(now_ms: int) -> str:
    return utc_date(now_ms / 1000).replace("-", "")


def _raw(word: str) -> bytes:
    return word.encode(errors="replace")
