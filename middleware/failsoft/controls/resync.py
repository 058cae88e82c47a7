"""A full read of the controls in small steps, while operators go on writing.

No step is large, so neither the store nor this node's loop stalls; the log tells what
changed between them.  The result is exactly the store at one revision, or nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from failsoft.clock import elapsed
from failsoft.controls.held import Held, Key, Mark
from failsoft.controls.records import Record
from failsoft.controls.rewind import later_than, overlay, why_rewound
from failsoft.store.protocols import ControlStore, Survey

__all__ = ["Gap", "Read", "read_controls"]

_AT_ONCE = 500
_MOST_REPLAYED = 40 * _AT_ONCE
_WORTH_HASTE = 500  # flags: fewer are read before anybody could tell


class Gap(Exception):
    """The log does not lead from the first step of the read to its last."""


@dataclass(frozen=True, slots=True)
class Read:
    """One full read.

    held: what the store holds; laid over the last good set if it was rewound.
    stored: what the store alone holds.  why: what tells of the rewind, "" if nothing
    does.  sent, received: local clock around the answer that said `now_ms`.
    """

    held: Held
    stored: Held
    why: str
    now_ms: int
    sent: float
    received: float


async def read_controls(
    store: ControlStore,
    good: Held | None,
    hasten: Callable[[Mapping[Key, Record]], None] = lambda _: None,
    now: Callable[[], float] = elapsed,
    *,
    always: bool = False,
) -> Read:
    """Read everything; a store that lost history is laid over `good`, or `always`.

    hasten: told kills and modes of the store before its many flags are read.
    Raises Gap when the log moved too fast, StoreError when the store is away.
    """
    sent = now()
    known = good.mark() if good else Mark()
    survey = await store.survey(known.last_id)
    received = now()
    why = why_rewound(known, survey)
    under = good if why or always else None
    base = later_than(under, survey) if under else 0
    # Keys are taken over from the set before: 10,000 new ones, kept, would have the
    # collector walk the whole process in the middle of a read.
    known_keys = {key: key for key in good.records} if good else {}
    stored = _begun(survey)
    for key, raw in (await store.small_kinds()).items():
        stored.take(key, raw)
    if survey.held.get("flag", 0) > _WORTH_HASTE:
        hasten({key: r for key, r in stored.records.items() if r.rev > base})
    async for found in store.flags():
        for key, raw in found.items():
            stored.take(known_keys.get(key, key), raw)
        await asyncio.sleep(0)
    start = _start_of(survey, is_laid=under is not None)
    gone = await _replay(store, stored, start, base)
    held = overlay(under, stored, base, gone) if under else stored
    return Read(held, stored, why, survey.now_ms, sent, received)


def _begun(survey: Survey) -> Held:
    held = Held(survey.rev, survey.epoch, lineage=survey.lineage)
    held.unknown = Counter(survey.unknown)
    if survey.tail is not None:
        held.last_id, held.op_id = survey.tail.id, survey.tail.op_id
    return held


def _start_of(survey: Survey, *, is_laid: bool) -> str:
    """Return the id after which the log is read.

    After a rewind that is further back: what was deleted since is in the log alone.
    """
    spot = survey.proof if is_laid else survey.tail
    return spot.id if spot else "0-0"


async def _replay(store: ControlStore, stored: Held, start: str, base: int) -> set[Key]:
    """Bring `stored` to one revision; return the keys deleted after `base`.

    The last read begins after the last flags were read, so it covers whatever they
    already showed of later writes.
    """
    is_gone: dict[Key, bool] = {}
    for _ in range(0, _MOST_REPLAYED, _AT_ONCE):
        entries = await store.after(start, _AT_ONCE)
        if stored.fold(entries) == "gap":
            raise Gap
        for entry in entries:
            if entry.rev > base:
                is_gone[entry.kind, entry.name] = entry.value is None
        if len(entries) < _AT_ONCE:
            return {key for key, gone in is_gone.items() if gone}
        start = entries[-1].id
    raise Gap
