"""A small fleet on a real server that loses history, and one operator's desk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from failsoft.errors import StoreError
from failsoft.ops.connect import open_session
from failsoft.ops.session import Session
from failsoft.ops.storedesk import StoreDesk
from failsoft.ops.storeviews import RewindView
from failsoft.ops.views import Applied
from failsoft.routes.table import build_table
from failsoft.runtime import Runtime
from failsoft.settings import Settings, StoreSettings
from failsoft.store.protocols import Call, Change, parse_value
from failsoft.store.redis.store import RedisStore

ENV = "shop"

_ids = iter(range(10**9))


def call(*changes: Change, who: str = "ana") -> Call:
    return Call(f"c-{next(_ids)}", who, "a test", changes)


def flag(name: str, number: int = 0) -> Change:
    # Bytes no encoder of ours would write: a restore must keep them.
    json = b'{ "state" : "ENABLED", "variants": {"on":true,"off":false},\r\n'
    json += b'"defaultVariant": "on", "metadata": {"n": %d, "\xc3\xbc": 1.0} }' % number
    return Change("flag", name, "put", json=json)


def kill(name: str, until: str = "0") -> Change:
    return Change("kill", name, "put", until=until, json=b'{"who":"ana","why":"x"}')


async def write(store: RedisStore, changes: Sequence[Change]) -> None:
    for at in range(0, len(changes), 1000):
        await store.apply(call(*changes[at : at + 1000]))


async def until(check: Callable[[], bool], within_s: float = 10.0) -> float:
    """Wait until `check` holds; return the seconds it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def documents(store: RedisStore) -> dict[tuple[str, str], bytes]:
    """Return the stored documents byte for byte."""
    records = (await store.load()).records
    return {key: parse_value(raw)[3] for key, raw in records.items()}


@dataclass
class Fleet:
    """Nodes, a writer and a desk on one server."""

    url: str
    folder: Path
    writer: RedisStore
    session: Session
    desk: StoreDesk
    nodes: list[Runtime]

    async def add(self, **settings: Any) -> Runtime:
        """Start one more node; nothing is shared with the others but the store."""
        own = str(self.folder / f"node{len(self.nodes)}")
        more: dict[str, Any] = {"start_deadline_s": 5.0, "state_dir": own, **settings}
        store = StoreSettings(url=self.url, env=ENV, **more)
        node = Runtime(Settings(store=store), build_table((), {}))
        await node.ensure()
        self.nodes.append(node)
        return node

    @property
    def states(self) -> list[str]:
        return [node.snapshot.state for node in self.nodes]

    def all_are(self, state: str) -> Callable[[], bool]:
        return lambda: all(found == state for found in self.states)

    def values(self) -> list[dict[tuple[str, str], bytes]]:
        """Return the documents each node enforces."""
        return [
            {key: record.json for key, record in node.flags.records.items()}
            for node in self.nodes
        ]

    def hold(self, key: tuple[str, str]) -> Callable[[], bool]:
        return lambda: all(key in held for held in self.values())

    def hold_just(
        self, expected: Mapping[tuple[str, str], bytes]
    ) -> Callable[[], bool]:
        return lambda: all(held == expected for held in self.values())

    async def see_kill(self, name: str) -> None:
        """Have one set, and wait until all nodes enforce it."""
        sent = call(kill(name))
        for _ in range(200):
            with suppress(StoreError):  # the server may just have been restarted
                await self.writer.apply(sent)
                break
        await until(self.hold(("kill", name)))

    async def seen(self) -> RewindView:
        """Return what `store rewound` shows once the nodes have offered."""
        await self.offer()
        return await self.desk.rewound()

    async def offer(self) -> str:
        """Return the digest that nodes offer first; they take some 2 to 4 s."""
        for _ in range(200):
            with suppress(StoreError):  # the server may just have been restarted
                if found := await self.writer.offers():
                    return next(iter(found))
            await asyncio.sleep(0.05)
        raise AssertionError("no offer within 10 s")

    async def restore(self, digest: str = "") -> Applied:
        shown = await self.desk.plan_restore(digest or await self.offer())
        return await self.desk.carry_out(shown, reason="bring it back", confirm=ENV)

    async def accept(self) -> Applied:
        shown = await self.desk.plan_accept()
        return await self.desk.carry_out(shown, reason="it is right", confirm=ENV)


@asynccontextmanager
async def fleet(url: str, folder: Path, nodes: int = 2) -> AsyncIterator[Fleet]:
    """Start nodes on an empty or filled store; ends them."""
    writer, store = RedisStore(url, ENV), RedisStore(url, ENV)
    session = await open_session(store, needs_arming=False)
    made = Fleet(url, folder, writer, session, StoreDesk(store, session), [])
    try:
        for _ in range(nodes):
            await made.add()
        yield made
    finally:
        for node in made.nodes:
            await node.stop()
        await session.aclose()
        await writer.aclose()
