"""Evaluations, outcomes of guarded flags, and proposals on Redis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from failsoft.clock import utc_date
from failsoft.store.flagcounts import (
    BUCKETS_TTL_S,
    DAYS_KEPT,
    FIELDS_KEPT,
    FLAGS_SEEN,
    PROPOSAL_TTL_S,
    PROPOSALS_KEPT,
    SEEN_KEPT_S,
    WATCHED_TTL_S,
    Arms,
    Evaluations,
    Outcomes,
    Proposed,
    capped,
)
from failsoft.store.redis.connect import Server
from failsoft.store.redis.keys import Keys

__all__ = ["RedisFlagCounts", "read_proposals"]


class RedisFlagCounts:
    """The `FlagCountStore` over one server; see `store.flagcounts` for its calls."""

    def __init__(self, server: Server, keys: Keys) -> None:
        self.server = server
        self.keys = keys

    async def add_evaluations(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add to today's counts, in two round trips: what fits, then the sums.

        Nodes that meet new flags at the same moment may together pass 2,000 fields
        by what each of them brought.
        """
        what = "counting evaluations"
        now_ms = await self.server.now_ms()
        key = self.keys.exposures(_day(now_ms))
        names = [f"{flag}\0{v}" for flag, held in counts.items() for v in held]
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.hlen(key)
        pipe.hmget(key, [_raw(name) for name in names])
        length, held = self.server.checked(await self.server.run(pipe, what), what)
        known = [n for n, value in zip(names, held, strict=True) if value is not None]
        pipe = self.server.commands.pipeline(transaction=False)
        for name, more in capped(counts, known, FIELDS_KEPT - length).items():
            pipe.hincrby(key, _raw(name), more)
        pipe.expire(key, DAYS_KEPT * 86_400)
        pipe.zadd(self.keys.seen, {_raw(flag): now_ms for flag in counts}, gt=True)
        pipe.zremrangebyscore(self.keys.seen, "-inf", now_ms - SEEN_KEPT_S * 1000)
        pipe.zremrangebyrank(self.keys.seen, 0, -FLAGS_SEEN - 1)
        pipe.expire(self.keys.seen, SEEN_KEPT_S)
        pipe.set(self.keys.seen_since, now_ms, nx=True)
        pipe.expire(self.keys.seen_since, SEEN_KEPT_S)
        self.server.checked(await self.server.run(pipe, what), what)

    async def evaluations(self) -> Evaluations:
        """Return the counts kept and when each flag was evaluated last."""
        what = "reading evaluations"
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.time()
        pipe.get(self.keys.seen_since)
        pipe.zrange(self.keys.seen, 0, -1, withscores=True)
        now_ms = await self.server.now_ms()
        for back in range(DAYS_KEPT):
            pipe.hgetall(self.keys.exposures(_day(now_ms - back * 86_400_000)))
        replies = self.server.checked(await self.server.run(pipe, what), what)
        time, since, seen, *days = replies
        found: dict[str, dict[str, int]] = {}
        for name, count in (item for day in days for item in day.items()):
            key, _, variant = _text(name).partition("\0")
            held = found.setdefault(key, {})
            held[variant] = held.get(variant, 0) + _number(count)
        return Evaluations(
            now_ms=self.server.saw_time(time),
            since_ms=_number(since),
            counts=found,
            seen={_text(key): int(at_ms) for key, at_ms in seen},
        )

    async def add_outcomes(self, outcomes: Outcomes) -> None:
        """Add one node's outcomes to their buckets in one round trip."""
        what = "counting outcomes"
        pipe = self.server.commands.pipeline(transaction=False)
        for flag, arms in outcomes.arms.items():
            key = self.keys.guard(flag, outcomes.start_ms)
            for variant, sums in arms.items():
                for letter, count in zip("nb", sums, strict=True):
                    if count:
                        pipe.hincrby(key, f"{letter}{variant}", count)
            pipe.expire(key, BUCKETS_TTL_S)
        for flag, about in outcomes.about.items():
            pipe.hset(self.keys.guards, flag, about)
        if outcomes.about:
            pipe.expire(self.keys.guards, WATCHED_TTL_S)
        for flag, fresh_ms in outcomes.fresh.items():
            pipe.set(self.keys.guard(flag, "fresh"), fresh_ms, ex=BUCKETS_TTL_S)
        self.server.checked(await self.server.run(pipe, what), what)

    async def outcomes(
        self, flag: str, starts_ms: Iterable[int]
    ) -> tuple[int, Mapping[int, Arms]]:
        """Return (fresh ms or 0, bucket start -> arms) of one flag."""
        what = "reading outcomes"
        starts = tuple(starts_ms)
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.get(self.keys.guard(flag, "fresh"))
        for start_ms in starts:
            pipe.hgetall(self.keys.guard(flag, start_ms))
        replies = self.server.checked(await self.server.run(pipe, what), what)
        fresh, *buckets = replies
        found = {
            at: _arms(held) for at, held in zip(starts, buckets, strict=True) if held
        }
        return _number(fresh), found

    async def guarded(self) -> Mapping[str, bytes]:
        """Return what is known of each guarded flag."""
        what = "reading guarded flags"
        held = await self.server.ask(what, "HGETALL", self.keys.guards)
        return {_text(flag): about for flag, about in held.items()}

    async def propose(self, target: str, json: bytes) -> None:
        """Leave a proposal; those past their hour, or beyond 50, are dropped."""
        what = "proposing a control"
        now_ms = await self.server.now_ms()
        held = await self.server.ask(what, "HGETALL", self.keys.proposals)
        kept = read_proposals(held, now_ms)
        kept.pop(target, None)
        newest = sorted(kept, key=lambda name: -kept[name].at_ms)
        dropped = held.keys() - {_raw(name) for name in newest[: PROPOSALS_KEPT - 1]}
        pipe = self.server.commands.pipeline(transaction=False)
        if dropped:
            pipe.hdel(self.keys.proposals, *dropped)
        pipe.hset(self.keys.proposals, target, b"%d %b" % (now_ms, json))
        pipe.expire(self.keys.proposals, PROPOSAL_TTL_S)
        self.server.checked(await self.server.run(pipe, what), what)

    async def proposals(self) -> Mapping[str, Proposed]:
        """Return the proposals of the last hour."""
        held = await self.server.ask(
            "reading proposals", "HGETALL", self.keys.proposals
        )
        return read_proposals(held, await self.server.now_ms())


def read_proposals(held: Mapping[bytes, bytes], now_ms: int) -> dict[str, Proposed]:
    """Return the stored proposals that are younger than an hour, by target."""
    found = {}
    for name, value in held.items():
        at_ms, _, json = value.partition(b" ")
        if at_ms.isdigit() and int(at_ms) > now_ms - PROPOSAL_TTL_S * 1000:
            target = _text(name)
            found[target] = Proposed(target, int(at_ms), json)
    return found


def _day(now_ms: int) -> str:
    return utc_date(now_ms / 1000)


def _arms(held: Mapping[bytes, bytes]) -> dict[str, tuple[int, int]]:
    names = dict.fromkeys(_text(field)[1:] for field in held)
    fields = {_text(field): _number(count) for field, count in held.items()}
    return {v: (fields.get(f"n{v}", 0), fields.get(f"b{v}", 0)) for v in names}


def _raw(name: str) -> bytes:
    # A key in code may hold a lone surrogate; what is stored need not be pretty.
    return name.encode(errors="replace")


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _number(raw: Any) -> int:
    return int(raw) if raw and raw.isdigit() else 0
