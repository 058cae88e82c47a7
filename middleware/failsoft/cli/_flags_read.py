"""Flag verbs that read: what decides, who changed what, what is wrong."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from failsoft.cli._answers import BAD_INPUT, OK, answer, plain, table
from failsoft.cli._session import add_store, opened, tell_rewound
from failsoft.errors import FlagError, Invalid, TargetGone
from failsoft.flags.importers.flagd import FlagdFile, read_flagd
from failsoft.ops.flagexplain import context_of, explain, flag_buckets
from failsoft.ops.flagexport import export_flagd
from failsoft.ops.flagforms import diff_words, outcome_text, rule_text
from failsoft.ops.flaglint import Finding, lint_file, lint_store
from failsoft.ops.flagsheet import FlagSheet, flag_sheet, pretty
from failsoft.ops.plan import known_flags, nearest_targets
from failsoft.ops.session import Session
from failsoft.ops.stale import span
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb, add_words
from failsoft.store.protocols import parse_value

__all__ = ["add_arguments", "key_of", "main", "read_file"]

_Answer = tuple[dict[str, Any], str]


def add_arguments(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Declare a verb's own words and the store."""
    add_words(parser, verb.words)
    add_store(parser)


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Run one read."""
    if verb.name == "flags lint" and values.file:
        file = read_file(values.file)
        return _linted(lint_file(file, today=_today()), values)
    return asyncio.run(_read(verb.name, values))


async def _read(name: str, values: argparse.Namespace) -> int:
    async with opened(values) as session:
        tell_rewound(session.view())
        if name == "flags lint":
            return _linted(lint_store(session.view(), today=_today()), values)
        if name == "flags export":
            return await _export(session, values)
        fields, text = await _READS[name](session, values)
        view = session.view()
    if values.json:
        answer({"ok": True, "env": view.env, "revision": view.revision, **fields})
    else:
        print(text)
    return OK


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def key_of(values: argparse.Namespace) -> str:
    """Return the key of a flag that may be said as a target."""
    return str(values.key).removeprefix("flag:")


def read_file(path: str) -> FlagdFile:
    """Return a flagd file; Invalid when there is none or it cannot be read."""
    try:
        return read_flagd(Path(path).read_bytes(), path)
    except OSError as error:
        raise Invalid(path, f"cannot be read: {error.strerror}") from None
    except FlagError as error:
        raise Invalid("file", str(error)) from None


def _sheet(session: Session, values: argparse.Namespace) -> FlagSheet:
    view, key = session.view(), key_of(values)
    sheet = flag_sheet(key, view, session.definitions)
    if sheet.row is None and sheet.below is None:
        known = known_flags(view, session.definitions)
        raise TargetGone(f"flag:{key}", nearest_targets("flag", key, known))
    return sheet


async def _show(session: Session, values: argparse.Namespace) -> _Answer:
    sheet = _sheet(session, values)
    row, below, form = sheet.row, sheet.below, sheet.form
    lines = [f"flag:{safe(sheet.key)}"]
    if row is not None:
        lines.append(f"  now       {safe(row.now)}")
    if row is not None and row.rev:
        ago = span((session.view().server_ms - row.at_ms) / 1000)
        lines.append(
            f"  edit      rev {row.rev} by {safe(row.by)}, {ago} ago: {safe(row.why)}"
        )
    if below is not None:
        version = f", version {below.sha8}" if below.sha8 else ""
        lines.append(
            f"  declared  {below.origin}, default {safe(below.default) or '-'}{version}"
        )
    if sheet.older:
        lines.append("  note      the edit overrides an older definition: flags diff")
    if sheet.kill is not None:
        lines.append(
            f"  note      KILLED by {safe(sheet.kill.target)}: {safe(sheet.kill.why)}"
        )
    if sheet.fault:
        lines.append(f"  note      {safe(sheet.fault)}")
    if sheet.bad_on:
        lines.append(f"  note      {' '.join(sheet.bad_on)} keep what was before")
    if form is not None:
        lines += [
            f"  rule {n:<4} {safe(rule_text(r))}" for n, r in enumerate(form.rules, 1)
        ]
        lines.append(f"  others    {safe(outcome_text(form.otherwise))}")
        lines.append(f"  default   {safe(form.default or 'the coded default')}")
    text = pretty(sheet.doc) if sheet.doc else ""
    lines += [safe(line, 400) for line in text.splitlines()]
    return {"flag": plain(row), "sheet": plain(sheet)}, "\n".join(lines)


async def _explain(session: Session, values: argparse.Namespace) -> _Answer:
    said = dict(values.context or {})
    user = said.pop("targetingKey", values.id) if values.id is None else values.id
    context = context_of(said, None if user is None else str(user))
    found = explain(key_of(values), context, session.view(), session.definitions)
    value = "?" if found.value is None else msgspec.json.encode(found.value).decode()
    head = f"flag:{safe(found.key)} = {safe(value)}"
    head += f" (variant {safe(found.variant)})" if found.variant is not None else ""
    error = f" {found.error}" if found.error else ""
    lines = [head, f"  decided by {found.layer}, reason {found.reason}{error}"]
    lines += [f"  {safe(line, 400)}" for line in found.lines]
    return {"explained": plain(found)}, "\n".join(lines)


async def _bucket(session: Session, values: argparse.Namespace) -> _Answer:
    view, key = session.view(), key_of(values)
    _sheet(session, values)
    found = flag_buckets(key, values.id, view, session.definitions)
    lines = [f"{one.path}: {safe(one.text(), 400)}" for one in found]
    text = "\n".join(lines) or f"flag:{safe(key)} splits no users"
    return {"buckets": plain(found)}, text


async def _history(session: Session, values: argparse.Namespace) -> _Answer:
    rows = await session.history(f"flag:{key_of(values)}")
    lines = []
    for change in rows:
        row = change.row
        at = datetime.fromtimestamp(row.at_ms / 1000, UTC).strftime(
            "%Y-%m-%d %H:%M:%SZ"
        )
        lines.append(
            f"{at}  rev {row.rev:,}  {safe(row.who)}  {safe(row.action)}: "
            f"{safe(row.before)} -> {safe(row.after)}  {safe(row.why)}"
        )
        lines += [f"    {safe(line)}" for line in change.diff]
    return {"history": plain(rows)}, "\n".join(lines) or "no change in the kept log"


async def _diff(session: Session, values: argparse.Namespace) -> _Answer:
    sheet = _sheet(session, values)
    now = sheet.row.doc if sheet.row is not None and sheet.row.rev else b""
    names, old, new = await _sides(session, values, sheet, now)
    words = diff_words(old, new)
    head = f"flag:{safe(sheet.key)}: {names}"
    text = "\n".join(
        [head, *(f"  {safe(line)}" for line in words or ("no difference",))]
    )
    return {"diff": list(words), "old": plain(old), "new": plain(new)}, text


async def _sides(
    session: Session, values: argparse.Namespace, sheet: FlagSheet, now: bytes
) -> tuple[str, bytes, bytes]:
    """Return what is compared: its names, and the two documents."""
    if values.file:
        file = read_file(values.file)
        if sheet.key not in file.flags:
            bad = file.bad.get(sheet.key, "has no such flag")
            raise Invalid(values.file, bad)
        return f"{safe(values.file)} -> edit", file.flags[sheet.key], now or sheet.doc
    if values.old is None:
        below = sheet.below.doc.encode() if sheet.below else b""
        return "declared -> edit", below, now or below
    docs = await _revisions(session, sheet.key)
    for rev in (values.old, values.new):
        if rev is not None and rev not in docs:
            known = ", ".join(str(one) for one in sorted(docs)[-10:]) or "none"
            raise Invalid(
                "revision", f"{rev} is no change of this flag; kept are {known}"
            )
    new = now if values.new is None else docs[values.new]
    return f"rev {values.old} -> {values.new or 'now'}", docs[values.old], new


async def _revisions(session: Session, key: str) -> Mapping[int, bytes]:
    found = {}
    async for entry in session.entries():
        if (entry.kind, entry.name) == ("flag", key):
            found[entry.rev] = parse_value(entry.value)[3] if entry.value else b""
    return found


async def _stale(session: Session, values: argparse.Namespace) -> _Answer:
    lives = await session.flag_lives()
    stale = [life for life in lives if life.stale]
    rows = [
        (life.key, "; ".join(reason.text for reason in life.stale), life.owner or "-")
        for life in stale
    ]
    text = table(("FLAG", "WHY", "OWNER"), rows) if rows else "no stale flag"
    return {"stale": plain(stale)}, text


async def _export(session: Session, values: argparse.Namespace) -> int:
    if values.format != "flagd":
        raise Invalid("format", f"{values.format!r} is not known", nearest="flagd")
    if values.effective and values.edits:
        raise Invalid("--effective", "and --edits exclude each other")
    found = export_flagd(
        await session.controls(),
        session.definitions if values.effective else None,
        lossy=values.lossy,
    )
    for note in found.notes:
        print(f"failsoft: {safe(note, 400)}", file=sys.stderr)
    if values.out:
        await asyncio.to_thread(_save, values.out, found.file)
        print(f"{found.count:,} flags in {safe(values.out)}")
    else:
        sys.stdout.buffer.write(found.file)
        sys.stdout.flush()
    return OK


def _save(path: str, file: bytes) -> None:
    try:
        Path(path).write_bytes(file)
    except OSError as error:
        raise Invalid("--out", f"{path}: {error.strerror}") from None


def _linted(findings: tuple[Finding, ...], values: argparse.Namespace) -> int:
    errors = sum(one.level == "error" for one in findings)
    if values.json:
        answer({"ok": not errors, "findings": plain(findings)})
    else:
        for one in findings:
            print(f"{one.level:<7} {safe(one.text, 600)}")
        print(f"{errors} errors, {len(findings) - errors} warnings")
    return BAD_INPUT if errors else OK


_READS: dict[str, Callable[[Session, argparse.Namespace], Awaitable[_Answer]]] = {
    "flags show": _show,
    "flags explain": _explain,
    "flags bucket": _bucket,
    "flags history": _history,
    "flags diff": _diff,
    "flags stale": _stale,
}
