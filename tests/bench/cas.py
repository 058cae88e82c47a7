"""Eight processes edit one flag by compare-and-set while replies get lost.

    python tests/bench/cas.py [processes] [edits] [lost, in percent]

Every process reads the flag, then writes it if nobody was faster; 5 % of all replies
of the real redis-server, reads and writes alike, are dropped with their connection.
Exits with 1 unless writes that were confirmed = entries in the log = revisions.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from failsoft.errors import StoreConflict, StoreUnavailable
from failsoft.store.protocols import Answer, Call, Change
from failsoft.store.redis.store import RedisStore
from failsoft.testing import FaultProxy, redis_server

ENV, FLAG = "bench", "checkout.new-pricing"


class Worker:
    """One process.  told: what it was answered, by kind."""

    def __init__(self, url: str, name: str) -> None:
        self.store = RedisStore(url, ENV)
        self.name = name
        self.revisions: list[int] = []
        self.told: Counter[str] = Counter()

    async def revision(self) -> int:
        """Return the flag's revision; a read is simply asked again."""
        while True:
            try:
                loaded = await self.store.load()
            except StoreUnavailable:
                self.told["reads asked again"] += 1
                continue
            value = loaded.records.get(("flag", FLAG), b"0 ")
            return int(value.split(b" ", 1)[0])

    async def edit(self, number: int) -> None:
        """Try one edit, and note how it ended."""
        doc = {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "on" if number % 2 else "off",
        }
        seen = await self.revision()
        change = Change("flag", FLAG, "put", seen, json=json.dumps(doc).encode())
        call = Call(os.urandom(8).hex(), self.name, "bench", (change,))
        try:
            answer = await self.written(call)
        except StoreConflict as conflict:
            whole = conflict.actor and conflict.revision > conflict.expected == seen
            self.told["conflicts that say who and revision" if whole else "bare"] += 1
        else:
            self.revisions.append(answer.revision)

    async def written(self, call: Call) -> Answer:
        """Write until the outcome is known: the same op_id is never applied twice."""
        while True:
            try:
                return await self.store.apply(call)
            except StoreUnavailable as error:
                kind = "outcomes unknown" if error.op_id else "not sent"
                self.told[f"{kind}, asked again"] += 1


async def work(url: str, name: str, edits: int) -> None:
    """Run one process and print what it was told."""
    worker = Worker(url, name)
    for number in range(edits):
        await worker.edit(number)
    await worker.store.aclose()
    print(json.dumps({"revisions": worker.revisions, "told": worker.told}))


async def logged(url: str) -> tuple[int, list[tuple[int, str]]]:
    """Return the store's revision and (revision, who) of every entry."""
    store = RedisStore(url, ENV)
    loaded = await store.load()
    entries = await store.log(10_000)
    await store.aclose()
    return loaded.rev, [(entry.rev, entry.who) for entry in entries]


def run(
    processes: int, edits: int, lost_ratio: float
) -> tuple[dict[str, Any], list[str]]:
    """Return the figures, and what does not add up."""
    dice, replies = random.Random(7), Counter[bool]()

    def loses() -> bool:
        lost = dice.random() < lost_ratio
        replies[lost] += 1
        return lost

    with redis_server(own=True) as server, FaultProxy(server.url) as proxy:
        proxy.lose_replies(loses)
        begun = time.monotonic()
        names = [f"worker-{number}" for number in range(processes)]
        running = [
            subprocess.Popen(
                [sys.executable, __file__, "--work", proxy.url, name, str(edits)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in names
        ]
        ended = [json.loads(process.communicate()[0]) for process in running]
        took_s = time.monotonic() - begun
        revision, entries = asyncio.run(logged(server.url))
    told: Counter[str] = sum((Counter(e["told"]) for e in ended), Counter())
    mine = [
        (rev, n) for n, e in zip(names, ended, strict=True) for rev in e["revisions"]
    ]
    figures = {
        "edits tried": processes * edits,
        "writes confirmed": len(mine),
        "entries in the log": len(entries),
        "revision delta": revision,
        **dict(sorted(told.items())),
        "replies lost": f"{replies[True]} of {replies.total()}",
        "seconds": round(took_s, 1),
    }
    wrong = []
    if not len(mine) == len(entries) == revision:
        wrong.append("confirmed writes, entries and revisions differ")
    if sorted(mine) != sorted(entries):
        wrong.append("the log names others than those who were told yes")
    if len(mine) + told["conflicts that say who and revision"] != processes * edits:
        wrong.append("an edit neither won nor was told who did")
    return figures, wrong


def main(words: list[str]) -> int:
    """Print the figures; returns 1 when something does not add up."""
    if words[:1] == ["--work"]:
        asyncio.run(work(words[1], words[2], int(words[3])))
        return 0
    processes, edits, lost = (*map(int, words), *(8, 100, 5)[len(words) :])
    figures, wrong = run(processes, edits, lost / 100)
    for name, value in figures.items():
        print(f"{name + ':':38} {value}")
    print("\n".join(f"WRONG: {text}" for text in wrong) or "all adds up")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
