"""Which flags may have another value at a newer revision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from failsoft.controls.targets import covers
from failsoft.flags._state import FlagState, changed_records

__all__ = ["changed_flags"]


def changed_flags(
    before: FlagState, after: FlagState, seen: Iterable[str] = ()
) -> set[str]:
    """Return the keys whose value may differ, perhaps some more, never fewer.

    seen: keys asked for by code: a kill may cover one that no control names.
    O(flags), some 50 ns each.
    """
    found = set(before.disabled ^ after.disabled)
    found |= _differing(before.declared, after.declared)
    evaluators: set[str] = set()
    old, new = before.definitions.files, after.definitions.files
    if old is not new:
        found |= _differing(old.digests, new.digests)
        evaluators |= _differing(old.evaluators, new.evaluators)
    if before.records is not after.records:
        evaluators |= _add_edited(found, before, after, seen)
    ready = tuple(after.kept.ready.values()) if evaluators else ()
    found.update(r.flag.key for r in ready if r.flag.refs & evaluators)
    return _with_users(found, after)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    keys = before.keys() | after.keys()
    return {key for key in keys if before.get(key) != after.get(key)}


def _add_edited(
    found: set[str], before: FlagState, after: FlagState, seen: Iterable[str]
) -> set[str]:
    """Add what other controls change; returns the evaluators among them."""
    changed = set(changed_records(before.records, after.records))
    added = sum(key not in before.records for key in changed)
    if len(before.records) + added > len(after.records):
        changed |= before.records.keys() - after.records.keys()
    found.update(name for kind, name in changed if kind == "flag")
    globs = [n[5:] for kind, n in changed if kind == "kill" and n.startswith("flag:")]
    if globs:
        records = before.records.keys() | after.records.keys()
        known = {name for kind, name in records if kind == "flag"}
        known.update(seen, after.declared, after.definitions.files.records)
        found.update(k for k in known if any(covers(glob, k) for glob in globs))
    return {name for kind, name in changed if kind == "evaluator"}


def _with_users(found: set[str], after: FlagState) -> set[str]:
    """Add the flags that ask for a changed one, and those that ask for them."""
    ready = after.kept.ready
    asking = [ready[name].flag for name in tuple(after.kept.asking) if name in ready]
    size = -1
    while size != len(found):
        size = len(found)
        found.update(f.key for f in asking if f.prerequisites & found)
    return found
