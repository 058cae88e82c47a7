"""What happened to one control: who, when, why, and what differed.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from failsoft.ops.controlrows import log_row, record_of, target_of
from failsoft.ops.flagforms import diff_words
from failsoft.ops.views import LogRow
from failsoft.store.protocols import Entry

__all__ = ["ChangeRow", "history_of"]


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
        ChangeRow(log_row(entry), entry.kind, _diff(entry))
        for entry in entries
        if entry.name and target_of(entry.kind, entry.name) == target
    )


def _diff(entry: Entry) -> tuple[str, ...]:
    if entry.kind != "flag":
        return ()
    before = record_of(entry.kind, entry.name, entry.was)
    after = record_of(entry.kind, entry.name, entry.value)
    return diff_words(before.json if before else b"", after.json if after else b"")
