"""What happened to one control: who, when, why, and what differed.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from failsoft.ops.controlrows import log_row, record_of, target_of
from failsoft.ops.flagforms import diff_words
from failsoft.ops.views import LogRow
from failsoft.store.protocols import Entry

__all__ = ["ChangeRow", "changed_words", "history_of"]


class ChangeRow(msgspec.Struct, frozen=True):
    """One change of a control.  diff: of a flag's document, in words."""

    row: LogRow
    kind: str
    diff: tuple[str, ...] = ()


def history_of(entries: Iterable[Entry], target: str) -> tuple[ChangeRow, ...]:
    """Return the changes of a target, in the order of the entries.

    `flag:x` names the edits of x and the kills of it alike.
    """
    return tuple(
        ChangeRow(log_row(entry), entry.kind, changed_words(entry))
        for entry in entries
        if entry.name and target_of(entry.kind, entry.name) == target
    )


def changed_words(entry: Entry, *, undone: bool = False) -> tuple[str, ...]:
    """Return what a write changed in a flag's document, or what undoing it would."""
    if entry.kind != "flag":
        return ()
    sides = (entry.value, entry.was) if undone else (entry.was, entry.value)
    records = (record_of(entry.kind, entry.name, raw) for raw in sides)
    old, new = (record.json if record else b"" for record in records)
    return diff_words(old, new)
