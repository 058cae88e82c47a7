"""Set controls on a guarded application through its own store."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from asgi.eventually import eventually
from failsoft import Failsoft
from failsoft.controls.records import KillDoc, ModeDoc
from failsoft.store.protocols import Call, Change

_ids = itertools.count()


async def put(
    guarded: Failsoft, kind: str, name: str, doc: msgspec.Struct, until: str = "0"
) -> int:
    """Write one control and wait until this node enforces it."""
    json = msgspec.json.encode(doc)
    change = Change(kind, name, "put", until=until, json=json)
    call = Call(f"op-{next(_ids)}", "ana", "test", (change,))
    answer = await guarded.runtime.store.apply(call)
    await eventually(lambda: guarded.runtime.snapshot.revision >= answer.revision)
    return int(answer.revision)


async def kill(guarded: Failsoft, target: str, **fields: Any) -> int:
    return await put(guarded, "kill", target, KillDoc("ana", "INC-1", **fields))


async def enter(guarded: Failsoft, mode: str, **params: Any) -> int:
    return await put(guarded, "mode", mode, ModeDoc("ana", "INC-1", params=params))
