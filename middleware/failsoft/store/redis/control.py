"""Controls on Redis: load, push, log, the one write path, heartbeats."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis import exceptions as redis_errors

from failsoft import dice
from failsoft.errors import (
    StoreConflict,
    StoreError,
    StoreRefused,
    StoreRewound,
    StoreUnavailable,
)
from failsoft.store.audit import emit
from failsoft.store.limits import KIND_CAPS, check_call, max_ttl_ms
from failsoft.store.protocols import (
    KINDS,
    Answer,
    Beat,
    Call,
    ControlSet,
    Entry,
    parse_value,
)
from failsoft.store.redis.connect import Server
from failsoft.store.redis.keys import Keys
from failsoft.store.redis.replies import entry_of, number_of, text_of

__all__ = ["RedisControls"]

_HEARTBEAT_S = 15
_NODES_KEPT_MS = 3_600_000
_APPLY_TRIES = 3
_LOAD_TRIES = 4
_BLAME_ENTRIES = (20, 500)  # newest log entries searched for who caused a conflict


@cache
def _script() -> tuple[bytes, str]:
    text = files("failsoft.store.redis").joinpath("apply.lua").read_bytes()
    # Redis names scripts by SHA-1; nothing secret hangs on it.
    return text, sha1(text, usedforsecurity=False).hexdigest()


class RedisControls:
    """The `ControlStore` over one server; see `store.protocols` for its calls."""

    local = False

    def __init__(self, server: Server, keys: Keys) -> None:
        self.env = keys.env
        self.server = server
        self.keys = keys
        self._send_text = False

    async def load(self) -> ControlSet:
        """Read the whole control set consistently with its log tail.

        One pipeline between two readings of the revision; a full server refuses
        MULTI even for reads, so that comes only after writers got in between.
        """
        what = "loading the controls"
        for attempt in range(_LOAD_TRIES):
            last = attempt == _LOAD_TRIES - 1
            pipe = self.server.commands.pipeline(transaction=last)
            pipe.time()
            pipe.hgetall(self.keys.meta)
            pipe.xrevrange(self.keys.log, count=1)
            for key in self.keys.kinds.values():
                pipe.hgetall(key)
            pipe.hmget(self.keys.meta, "rev", "epoch")
            deadline_s = self.server.timeouts.load_s
            replies = await self.server.run(pipe, what, deadline_s=deadline_s)
            time, meta, tail, *hashes, after = self.server.checked(replies, what)
            if after == [meta.get(b"rev"), meta.get(b"epoch")]:
                break
        return ControlSet(
            rev=number_of(meta.get(b"rev")),
            epoch=text_of(meta.get(b"epoch")),
            tail=tail[0][0].decode() if tail else "0-0",
            now_ms=self.server.saw_time(time),
            records={
                (kind, text_of(name)): value
                for kind, held in zip(KINDS, hashes, strict=True)
                for name, value in held.items()
            },
            unknown=_unknown_counts(meta),
        )

    async def wait(self, last_id: str, block_s: float) -> Sequence[Entry]:
        """Block up to `block_s` for entries after `last_id` on the push client."""
        reply = await self.server.ask_push(
            "waiting for changes",
            *("XREAD", "COUNT", 500, "BLOCK", int(block_s * 1000)),
            *("STREAMS", self.keys.log, last_id),
            deadline_s=block_s + self.server.timeouts.command_s + 0.5,
        )
        return [entry_of(*item) for _, items in reply or () for item in items]

    async def renew_push(self) -> None:
        """Drop the push connection; the next `wait` opens a new one."""
        await self.server.renew_push()

    async def after(self, last_id: str, count: int = 500) -> Sequence[Entry]:
        """Return entries after `last_id` without blocking, oldest first."""
        items = await self.server.ask(
            "reading the log",
            *("XRANGE", self.keys.log, f"({last_id}", "+", "COUNT", count),
        )
        return [entry_of(*item) for item in items]

    async def log(self, count: int = 200, before: str = "+") -> Sequence[Entry]:
        """Return the newest entries before stream id `before`, newest first."""
        top = before if before == "+" else f"({before}"
        items = await self.server.ask(
            "reading the log",
            *("XREVRANGE", self.keys.log, top, "-", "COUNT", count),
        )
        return [entry_of(*item) for item in items]

    async def apply(self, call: Call) -> Answer:
        """Write all changes or none; repeats a timed-out call with its op_id."""
        check_call(call)
        sent = False
        for attempt in range(_APPLY_TRIES):
            try:
                # Only once connected can the outcome of a failure be unknown.
                await self.server.connected()
                sent = True
                reply = await self._evaluate(call)
            except StoreUnavailable as error:
                failure = error
                await asyncio.sleep(dice.uniform(0.02, 0.1))
                continue
            answer = await self._answer(call, reply, retried=attempt > 0)
            emit(self.env, call, answer)
            return answer
        if sent:
            emit(self.env, call, None)
            raise StoreUnavailable(
                f"{failure.message} ({_APPLY_TRIES} tries)",
                where=failure.where,
                op_id=call.op_id,
            )
        raise failure

    async def _evaluate(self, call: Call) -> list[bytes]:
        text, digest = _script()
        keys = [self.keys.meta, self.keys.log, self.keys.due, self.keys.op(call.op_id)]
        keys += self.keys.kinds.values()
        arguments = [len(keys), *keys, *_arguments(call)]
        # Sticks until the text has got through: fakeredis hangs up after the
        # NOSCRIPT, and the next try must not meet it again.
        if not self._send_text:
            try:
                return await self._run_script("EVALSHA", digest, arguments)
            except redis_errors.NoScriptError:
                self._send_text = True
        reply = await self._run_script("EVAL", text, arguments)
        self._send_text = False
        return reply

    async def _run_script(
        self, command: str, script: bytes | str, arguments: list[Any]
    ) -> list[bytes]:
        reply: list[bytes] = await self.server.ask(
            "writing controls",
            *(command, script, *arguments),
            deadline_s=self.server.timeouts.command_s,
            passing=redis_errors.NoScriptError,
        )
        return reply

    async def _answer(self, call: Call, reply: list[bytes], *, retried: bool) -> Answer:
        status, *rest = (item.decode() for item in reply[:4])
        if status in ("ok", "dup"):
            rev, epoch, now_ms = rest
            # A repeat of our own answers dup too: that is this very write.
            return Answer(int(rev), epoch, int(now_ms), status == "dup" and not retried)
        if status == "conflict":
            raise await self._conflict(call, reply)
        raise _refusal(call, status, rest)

    async def _conflict(self, call: Call, reply: list[bytes]) -> StoreConflict:
        now_ms = int(reply[2])
        change = call.changes[int(reply[3]) - 1]
        current = reply[4] or None
        revision, at_ms = parse_value(current)[:2] if current else (0, now_ms)
        actor, age_ms = "", now_ms - at_ms if current else None
        entry = await self._newest(change.kind, change.name)
        if entry is not None:
            actor, age_ms = entry.who, now_ms - int(entry.id.partition("-")[0])
        return StoreConflict(
            f"{change.kind}/{change.name}",
            current=current,
            revision=revision,
            expected=change.if_rev or 0,
            actor=actor,
            age_ms=None if age_ms is None else max(age_ms, 0),
        )

    async def _newest(self, kind: str, name: str) -> Entry | None:
        """Return the newest kept entry of a record: few are read, then more."""
        for count in _BLAME_ENTRIES:
            for _ in range(_APPLY_TRIES):
                # The refusal is known: a lost reply must not make it "unreachable".
                with suppress(StoreUnavailable):
                    for entry in await self.log(count):
                        if (entry.kind, entry.name) == (kind, name):
                            return entry
                    break
        return None

    async def beat(self, node: str, heartbeat: bytes) -> Beat:
        """Say that `node` lives and read revision, epoch and the watch key."""
        now_ms = await self.server.now_ms()
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.time()
        pipe.hmget(self.keys.meta, "rev", "epoch")
        pipe.get(self.keys.watch)
        pipe.set(self.keys.node(node), heartbeat, ex=_HEARTBEAT_S)
        pipe.zadd(self.keys.nodes, {node: now_ms})
        pipe.zremrangebyscore(self.keys.nodes, "-inf", now_ms - _NODES_KEPT_MS)
        what = "sending a heartbeat"
        replies = await self.server.run(pipe, what)
        time, (rev, epoch), watch = self.server.checked(replies[:3], what)
        refusals = [reply for reply in replies[3:] if isinstance(reply, Exception)]
        refused = str(self.server.translate(refusals[0], what)) if refusals else ""
        return Beat(
            now_ms=self.server.saw_time(time),
            rev=number_of(rev),
            epoch=text_of(epoch),
            watched=watch is not None,
            refused=refused,
        )

    async def leave(self, node: str) -> None:
        """Remove the node's heartbeat on a clean stop."""
        pipe = self.server.commands.pipeline(transaction=False)
        pipe.delete(self.keys.node(node))
        pipe.zrem(self.keys.nodes, node)
        what = "leaving"
        self.server.checked(await self.server.run(pipe, what), what)

    async def identify(self) -> tuple[str, str]:
        """Return (user, role); the name ends with `?` unless the server proves it.

        Proof: the user may read the key marked with its name, and no other's.
        """
        what = "asking who I am"
        reply = await self.server.ask(what, "ACL WHOAMI")
        user = reply if isinstance(reply, str) else reply.decode()
        roles = ("operator", "automation", "app")
        marks = [self.keys.user_mark(user), self.keys.user_mark(secrets.token_hex(8))]
        marks += [self.keys.role_mark(role) for role in roles]
        pipe = self.server.commands.pipeline(transaction=False)
        for mark in marks:
            pipe.get(mark)
        replies = await self.server.run(pipe, what)
        own, decoy, operator, automation, app = (
            not isinstance(reply, Exception) for reply in replies
        )
        role = "operator" if operator or automation else "app" if app else "viewer"
        return user if own and not decoy else f"{user}?", role


def _unknown_counts(meta: dict[bytes, bytes]) -> dict[str, int]:
    counts = {
        text_of(field[2:]): number_of(count)
        for field, count in meta.items()
        if field.startswith(b"n:")
    }
    return {kind: n for kind, n in counts.items() if n and kind not in KINDS}


def _arguments(call: Call) -> list[Any]:
    head = [call.op_id, call.epoch, secrets.token_hex(16), call.actor, call.reason]
    # A leading word tells "accept, naming no epoch" from "no accept".
    accept = "" if call.accept is None else " ".join(["accept", *call.accept])
    arguments: list[Any] = [*head, call.via, call.base, accept, len(call.changes)]
    for change in call.changes:
        if_rev = "*" if change.if_rev is None else str(change.if_rev)
        arguments += [KINDS.index(change.kind) + 1, change.name, change.op, if_rev]
        arguments += [change.until, change.json]
    return arguments


def _refusal(call: Call, status: str, rest: list[str]) -> StoreError:
    if status == "epoch":
        return StoreRewound(
            f"the epoch is {rest[1] or 'empty'}, expected {call.epoch}",
            where="controls",
            todo="read the controls again",
        )
    if status == "until":
        change = call.changes[int(rest[0]) - 1]
        in_s = (int(change.until) - int(rest[1])) / 1000
        return StoreRefused(
            f"ends {in_s:g} s from now, allowed are 0 s to "
            f"{max_ttl_ms(change.kind) // 86_400_000} d",
            where=f"{change.kind}/{change.name}",
        )
    kind, count = rest
    return StoreRefused(
        f"{count} records of kind {kind}, the limit is {KIND_CAPS[kind]}",
        todo="delete some first",
    )
