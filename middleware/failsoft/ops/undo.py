"""The inverse of a write, from the log's `was`.  Pure.

An inverse is compared with that write's revision: what somebody wrote since is never
overwritten.  Undo of an undo is a redo.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from failsoft.controls.records import Record
from failsoft.errors import Invalid, StoreConflict
from failsoft.ops.contracttext import brownout_scope
from failsoft.ops.controlrows import log_row, record_of, state_text, target_of
from failsoft.ops.history import changed_words
from failsoft.ops.plans import Plan
from failsoft.ops.stale import left, span
from failsoft.store.protocols import Entry

__all__ = ["YOUNG_S", "is_whole", "last_op", "plan_undo", "undone_entries"]

_MAY_STAY = ("flag", "pin", "version", "drift")
YOUNG_S = 900.0  # an own write this young is taken back without a dialog


def last_op(entries: Iterable[Entry], who: str) -> str:
    """Return the op_id of somebody's newest write; `entries` oldest first."""
    mine = [e.op_id for e in entries if e.who == who and e.op in ("put", "del")]
    if not mine:
        raise Invalid("undo", f"{who} has no write in the kept log")
    return mine[-1]


def is_whole(entries: Sequence[Entry], op_id: str | None, who: str) -> bool:
    """Whether all changes of a write (None: somebody's newest) are among `entries`.

    They follow one another; where the oldest entry is one, there may be more.
    """
    for entry in reversed(entries):
        if op_id is None and entry.who == who and entry.op in ("put", "del"):
            op_id = entry.op_id
        if op_id is not None and entry.op_id == op_id:
            return entries[0].op_id != op_id
    return False


def undone_entries(entries: Iterable[Entry], op_id: str) -> tuple[Entry, ...]:
    """Return what one write changed; Invalid when the log does not hold it."""
    found = [e for e in entries if e.op_id == op_id and e.op in ("put", "del")]
    if not found:
        raise Invalid("undo", f"no write {op_id} in the kept log")
    return tuple(found)


def plan_undo(entries: Iterable[Entry], op_id: str, now_ms: int) -> Plan:
    """Return the plan of the inverse; `entries` is the kept log, oldest first.

    All changes of a call are taken back in one call.  Raises StoreConflict, with who,
    when and what, if a record was written since, and Invalid when what would come
    back has ended in the meantime.
    """
    kept = list(entries)
    plans = [_inverse(kept, e, now_ms) for e in undone_entries(kept, op_id)]
    if len(plans) == 1:
        return plans[0]
    # Who and why of what comes back stand in the stored documents already.
    return msgspec.structs.replace(
        plans[0],
        target=f"op:{op_id}",
        action="undo",
        before=f"{len(plans)} changes",
        after="as before",
        also=tuple(plan.change("", "") for plan in plans[1:]),
        covers=tuple(plan.target for plan in plans),
        diff=tuple(f"{one.target}: {one.before} -> {one.after}" for one in plans),
    )


def _inverse(kept: list[Entry], entry: Entry, now_ms: int) -> Plan:
    key = (entry.kind, entry.name)
    newest = next(e for e in reversed(kept) if (e.kind, e.name) == key)
    if newest.rev != entry.rev:
        raise _conflict(entry, newest, now_ms)
    row = log_row(entry)
    was = record_of(entry.kind, entry.name, entry.was)
    now = record_of(entry.kind, entry.name, entry.value)
    left_s: float | None = None
    if was is not None and was.until_ms:
        left_s = (was.until_ms - now_ms) / 1000
        if left_s <= 0:
            raise Invalid(row.target, f"had ended {span(-left_s)} ago by itself")
    if now is not None and now.is_due(now_ms):
        ago = span((now_ms - now.until_ms) / 1000)
        raise Invalid(row.target, f"already ended {ago} ago")
    return Plan(
        target=row.target,
        action=f"undo {row.action}",
        kind=entry.kind,
        name=entry.name,
        op="del" if was is None else "put",
        before=row.after,
        after=row.before,
        doc=was.json if was is not None else b"",
        if_rev=entry.rev if now is not None else 0,
        until=str(was.until_ms) if was is not None else "0",
        until_s=left_s,
        needs_end=was is not None and entry.kind not in _MAY_STAY,
        scope=_scope(was or now),
        lifts="" if was is not None else entry.who,
        diff=changed_words(entry, undone=True),
    )


def _scope(record: Record | None) -> tuple[str, ...]:
    if record is None or record.kind != "brownout":
        return ()
    return brownout_scope(record.json)


def _conflict(entry: Entry, newest: Entry, now_ms: int) -> StoreConflict:
    yours = record_of(entry.kind, entry.name, entry.value)
    theirs = record_of(newest.kind, newest.name, newest.value)
    words = [state_text(entry.kind, record)[0] for record in (yours, theirs)]
    if entry.kind != "flag":
        ends = [left(r.until_ms, now_ms) if r else "" for r in (yours, theirs)]
        pairs = zip(words, ends, strict=True)
        words = [f"{word}, {end}" if end else word for word, end in pairs]
    return StoreConflict(
        target_of(entry.kind, entry.name),
        current=newest.value,
        revision=newest.rev,
        expected=entry.rev,
        actor=newest.who,
        age_ms=max(0, now_ms - log_row(newest).at_ms),
        diff=f"yours {words[0]}, now {words[1]}",
    )
