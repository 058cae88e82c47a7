"""What an import would change, and the calls that write it.  Pure.

An import is previewed whole, then written in calls of at most 1,000 changes.  Each
change is compared with the revision of the preview; an import that broke is run again
and skips what it wrote before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from failsoft.controls.records import Record, parse_record
from failsoft.errors import FlagError, Invalid, StoreError
from failsoft.flags._model import Flag
from failsoft.flags._moves import IDS, moved, rebuckets
from failsoft.flags._parse import parse_flag
from failsoft.flags.importers.flagd import FlagdFile, hash_frozen, unhashed
from failsoft.ops.flagforms import diff_words
from failsoft.ops.plan import Plan
from failsoft.store.limits import KIND_CAPS, check_change, split_calls
from failsoft.store.protocols import Change, ControlSet

__all__ = ["FlagImport", "calls_of", "import_plan", "plan_import"]

_NAMED = 20
_COVERED = 50


class FlagImport(msgspec.Struct, frozen=True):
    """A whole import.  lines: what changes, in words.  skipped: invalid flags.

    epoch, rev: of the controls it was compared with.
    """

    changes: tuple[Change, ...]
    lines: tuple[str, ...]
    skipped: tuple[str, ...]
    added: int
    changed: int
    dropped: int
    same: int
    epoch: str
    rev: int


def plan_import(
    file: FlagdFile,
    stored: ControlSet,
    *,
    hash_version: int | None = None,
    replace: bool = False,
    skip_invalid: bool = False,
    rebucket: bool = False,
) -> FlagImport:
    """Return what importing a file changes.

    hash_version: of rollouts that say none.  replace: drop edits the file does not
    have.  Raises Invalid when a flag is, unless skip_invalid; when a rollout has no
    hash version; and for users that would be rebucketed, unless rebucket.
    """
    records = _parsed_records(stored)
    bad = dict(file.bad)
    documents = _hashed(file, hash_version)
    changes = [
        *_puts("evaluator", file.evaluators, records, bad),
        *_puts("flag", documents, records, bad),
    ]
    if bad and not skip_invalid:
        raise _all_bad(bad, len(bad) + len(file.flags.keys() - bad.keys()))
    if not rebucket:
        _check_rebuckets(file, changes, records)
    gone = _missing(file, bad, records) if replace else []
    _check_counts(changes, records)
    added = sum(change.if_rev == 0 for change in changes)
    same = (
        len(documents)
        + len(file.evaluators)
        - len(changes)
        - len(bad.keys() - file.bad.keys())
    )
    return FlagImport(
        changes=(*changes, *gone),
        lines=tuple(_lines((*changes, *gone), records)),
        skipped=tuple(bad.values()),
        added=added,
        changed=len(changes) - added,
        dropped=len(gone),
        same=same,
        epoch=stored.epoch,
        rev=stored.rev,
    )


_Records = Mapping[tuple[str, str], Record]


def _parsed_records(stored: ControlSet) -> _Records:
    found = {}
    for (kind, name), raw in stored.records.items():
        if kind in ("flag", "evaluator"):
            found[kind, name] = parse_record(kind, name, raw)
    return found


def _hashed(file: FlagdFile, version: int | None) -> dict[str, bytes]:
    open_ones = [key for key, flag in file.parsed.items() if unhashed(flag)]
    if open_ones and version is None:
        names = ", ".join(open_ones[:3])
        more = f" and {len(open_ones) - 3} more" if len(open_ones) > 3 else ""
        raise Invalid(
            "--hash",
            f"{names}{more} split users and do not say by which hash; say --hash 3, or "
            "--hash 2 when the flagd that serves them now hashes key and id as text",
        )
    frozen = set(open_ones)
    return {
        key: hash_frozen(json, version) if version and key in frozen else json
        for key, json in file.flags.items()
    }


def _puts(
    kind: str, documents: Mapping[str, bytes], records: _Records, bad: dict[str, str]
) -> Iterator[Change]:
    for name, json in documents.items():
        known = records.get((kind, name))
        if known is not None and known.json == json:
            continue
        change = Change(kind, name, "put", known.rev if known else 0, json=json)
        try:
            check_change(change)
        except StoreError as error:
            bad[name] = str(error)
            continue
        yield change


def _all_bad(bad: Mapping[str, str], total: int) -> Invalid:
    shown = [*bad.values()][:_NAMED]
    more = [f"... and {len(bad) - _NAMED} more"] if len(bad) > _NAMED else []
    text = "\n".join([*shown, *more])
    return Invalid(
        "import",
        f"{len(bad)} of {total:,} flags cannot be used, nothing is written; correct "
        f"it, or say --skip-invalid\n{text}",
    )


def _check_rebuckets(
    file: FlagdFile, changes: Iterable[Change], records: _Records
) -> None:
    """Raise Invalid when users of a flag in the store would be rebucketed."""
    before = {n: r.json for (kind, n), r in records.items() if kind == "evaluator"}
    after = before | file.evaluators
    found: list[str] = []
    for name, json in _touched(changes, records):
        old = _parse(name, records["flag", name].json, before)
        new = _parse(name, json, after)
        why = rebuckets(old, new) if old and new else ""
        if old and new and why:
            share = f"{moved(old, new):.1%}" if len(found) < _NAMED else "some"
            found.append(f"flag:{name}: {why}: {share} of {IDS:,} synthetic ids")
    if found:
        text = "\n".join(found[:_NAMED])
        raise Invalid(
            "import",
            f"{len(found)} flags would rebucket their users, nothing is written; keep "
            f"their rollouts, or say --rebucket\n{text}",
        )


def _touched(
    changes: Iterable[Change], records: _Records
) -> Iterator[tuple[str, bytes]]:
    """Yield stored flags that change, by themselves or by an evaluator they use."""
    documents = {c.name: c.json for c in changes if c.kind == "flag"}
    by_evaluator = any(change.kind == "evaluator" for change in changes)
    for (kind, name), record in records.items():
        if kind != "flag":
            continue
        if name in documents:
            yield name, documents[name]
        elif by_evaluator and b'"$ref"' in record.json:
            yield name, record.json


def _parse(name: str, json: bytes, evaluators: Mapping[str, bytes]) -> Flag | None:
    try:
        return parse_flag(name, json, evaluators)
    except FlagError:
        return None


def _missing(
    file: FlagdFile, bad: Mapping[str, str], records: _Records
) -> list[Change]:
    kept = {("flag", name) for name in (*file.flags, *bad)}
    kept |= {("evaluator", name) for name in file.evaluators}
    return [
        Change(kind, name, "del", record.rev)
        for (kind, name), record in records.items()
        if (kind, name) not in kept
    ]


def _check_counts(changes: Iterable[Change], records: _Records) -> None:
    added = [change.kind for change in changes if change.if_rev == 0]
    for kind in ("flag", "evaluator"):
        count = added.count(kind) + sum(one == kind for one, _ in records)
        if count > KIND_CAPS[kind]:
            message = f"{count} records of kind {kind}, the limit is {KIND_CAPS[kind]}"
            raise Invalid("import", message)


def _lines(changes: Iterable[Change], records: _Records) -> Iterator[str]:
    for change in changes:
        known = records.get((change.kind, change.name))
        name = f"{change.kind}:{change.name}"
        if change.op == "del":
            yield f"- {name}"
        elif known is None:
            yield f"+ {name}"
        else:
            words = diff_words(known.json, change.json)
            yield f"~ {name}: {'; '.join(words[:3])}"


def import_plan(name: str, found: FlagImport) -> Plan:
    """Return the plan that an import's preview is made of."""
    flags = [change.name for change in found.changes if change.kind == "flag"]
    # Beyond some, all flags: more traffic than is meant, never less.
    covered = flags if len(flags) <= _COVERED else ["*"]
    return Plan(
        target=f"flags:{name}",
        action="flags-import",
        kind="flag",
        name="",
        op="put",
        before=f"{found.same + found.changed + found.dropped} records",
        after=f"+{found.added} ~{found.changed} -{found.dropped} ={found.same}",
        needs_end=False,
        warnings=tuple(f"skipped: {one}" for one in found.skipped[:_NAMED]),
        covers=tuple(f"flag:{name}" for name in covered),
        diff=found.lines,
    )


def calls_of(found: FlagImport) -> Iterator[tuple[str, tuple[Change, ...]]]:
    """Yield (op_id, changes) of each call.

    The id is that of the content and of what it was compared with: a call of unknown
    outcome is repeated under it, a new import after other edits is another.
    """
    for changes in split_calls(found.changes):
        digest = hashlib.blake2b(f"{found.epoch} {found.rev}".encode(), digest_size=8)
        for change in changes:
            head = f"{change.kind} {change.name} {change.op} {change.if_rev} "
            digest.update(head.encode())
            digest.update(hashlib.blake2b(change.json, digest_size=16).digest())
        yield digest.hexdigest(), changes
