"""Flag verbs that need a file, an editor or the present document to say what to write.

What is written goes the way of all writes: preview, confirmation, the nodes' answers.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from failsoft.cli._answers import OK, answer, plain
from failsoft.cli._flags_read import key_of, read_file
from failsoft.cli._session import add_store, opened, with_traffic
from failsoft.cli._write import (
    acks_of,
    add_written,
    confirmed,
    dry_run,
    tell,
    wait_of,
    write,
)
from failsoft.errors import FlagError, Invalid, OpsError, StoreError, TargetGone
from failsoft.flags._parse import parse_flag
from failsoft.ops.command import Command, FlagPut
from failsoft.ops.flagdocs import new_document
from failsoft.ops.flagforms import Form, put_form, read_form
from failsoft.ops.flagimport import FlagImport, plan_import
from failsoft.ops.flagpromote import check_version, promoted
from failsoft.ops.flagsheet import flag_sheet, pretty
from failsoft.ops.plan import known_flags, nearest_targets
from failsoft.ops.ruletext import parse_rule
from failsoft.ops.session import Session
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb, add_words
from failsoft.ops.views import Applied
from failsoft.settings import load_settings

__all__ = ["add_arguments", "main"]

_PLACES = {"owner": "x.owner", "expires": "x.expires", "kind": "x.kind"}
_PLACES |= {"desc": "x.desc"}


def add_arguments(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Declare a verb's own words and what every write takes."""
    add_words(parser, verb.words)
    add_store(parser)
    add_written(parser)


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Run one write; returns the exit status."""
    if verb.name == "flags import":
        return _import(values)
    if verb.name == "flags promote":
        return asyncio.run(_promote(values))
    return write(partial(_BUILDERS[verb.name], values), values)


class _Seen(msgspec.Struct, frozen=True):
    """The document an edit starts from, and the revision of its record."""

    target: str
    json: bytes
    rev: int


def _seen(session: Session, values: argparse.Namespace) -> _Seen:
    """Return what is edited: the edit, else the file's document, else a new one."""
    key, view, definitions = key_of(values), session.view(), session.definitions
    sheet = flag_sheet(key, view, definitions)
    known = known_flags(view, definitions)
    if not sheet.doc and key not in known and not values.force:
        near = nearest_targets("flag", key, known)
        raise TargetGone(f"flag:{key}", near, can_force=True)
    rev = sheet.row.rev if sheet.row is not None else 0
    coded = dict(definitions.flags).get(key, "")
    target = f"flag:{key}"
    json = sheet.doc or new_document(target, coded)
    return _Seen(target, json, rev if values.if_rev is None else values.if_rev)


async def _create(values: argparse.Namespace, _: Session) -> Command:
    key = key_of(values)
    variants = _variants(values.variants)
    metadata: dict[str, Any] = {"x.hash": 3}
    for name, place in _PLACES.items():
        if getattr(values, name) is not None:
            metadata[place] = getattr(values, name)
    document = {
        "state": "ENABLED",
        "variants": variants,
        "defaultVariant": values.default or list(variants)[-1],
        "metadata": metadata,
    }
    json = msgspec.json.encode(document)
    return FlagPut(f"flag:{key}", json, if_rev=0, force=True)


def _variants(text: str | None) -> dict[str, Any]:
    if text is None:
        return {"on": True, "off": False}
    try:
        found = msgspec.json.decode(text.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        shape = '{"blue": "#00f", "red": "#f00"}'
        raise Invalid("--variants", f"{error}; write it like {shape}") from None
    if not found:
        raise Invalid("--variants", "has none")
    return found


async def _rule(values: argparse.Namespace, session: Session) -> Command:
    if values.action not in _RULE_ACTIONS:
        known = ", ".join(_RULE_ACTIONS)
        raise Invalid("rule", f"{values.action!r} must be one of {known}")
    seen = _seen(session, values)
    form = read_form(seen.json)
    if form is None:
        raise Invalid(seen.target, "has rules that fit no form; use flags edit")
    changed = _RULE_ACTIONS[values.action](form, values)
    put = put_form(
        seen.target, seen.json, changed, if_rev=seen.rev, rebucket=values.rebucket
    )
    return msgspec.structs.replace(put, force=values.force)


def _rule_add(form: Form, values: argparse.Namespace) -> Form:
    rule = parse_rule(values.rule, form.variants)
    rules = list(form.rules)
    at = len(rules) + 1 if values.to is None else _number(values.to, len(rules) + 1)
    rules.insert(at - 1, rule)
    return msgspec.structs.replace(form, rules=tuple(rules))


def _rule_rm(form: Form, values: argparse.Namespace) -> Form:
    rules = list(form.rules)
    del rules[_number(values.rule, len(rules)) - 1]
    return msgspec.structs.replace(form, rules=tuple(rules))


def _rule_move(form: Form, values: argparse.Namespace) -> Form:
    if values.to is None:
        raise Invalid("rule move", "needs the number the rule gets: rule move KEY 3 1")
    rules = list(form.rules)
    rule = rules.pop(_number(values.rule, len(rules)) - 1)
    rules.insert(_number(values.to, len(form.rules)) - 1, rule)
    return msgspec.structs.replace(form, rules=tuple(rules))


def _number(said: str | int, most: int) -> int:
    number = int(said) if str(said).isdigit() else 0
    if not 1 <= number <= most:
        message = f"{said!r} must be the number of a rule, 1 to {most}"
        raise Invalid("rule", message if most else "there is no rule yet")
    return number


_RULE_ACTIONS: dict[str, Callable[[Form, argparse.Namespace], Form]] = {
    "add": _rule_add,
    "rm": _rule_rm,
    "move": _rule_move,
}


async def _edit(values: argparse.Namespace, session: Session) -> Command:
    seen = _seen(session, values)
    source = getattr(values, "from")
    make = partial(_edited, seen, session.view().evaluators, source)
    json = await asyncio.to_thread(make)  # the view stays fresh meanwhile
    if json == seen.json:
        raise Invalid(seen.target, "was not changed; nothing to write")
    return FlagPut(
        seen.target,
        json,
        base=seen.json,
        if_rev=seen.rev,
        rebucket=values.rebucket,
        force=values.force,
    )


def _edited(seen: _Seen, evaluators: Any, source: str | None) -> bytes:
    if source is not None:
        return _given(source)
    # A document of one line is hard to edit; it is stored as one line again.
    is_line = b"\n" not in seen.json
    shown = pretty(seen.json).encode() if is_line else seen.json
    path = _kept(seen.target, shown)
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        done = subprocess.run([*shlex.split(editor), str(path)], check=False)
    except OSError as error:
        raise Invalid("EDITOR", f"{editor!r} cannot run: {error.strerror}") from None
    if done.returncode:
        path.unlink()
        raise Invalid(
            "EDITOR", f"{editor!r} ended with {done.returncode}; nothing done"
        )
    text = path.read_bytes().strip()
    if text == shown.strip():
        path.unlink()
        return seen.json
    try:
        parse_flag(seen.target.partition(":")[2], text, evaluators)
    except FlagError as error:
        raise Invalid("edit", f"{error}; your text is kept in {path}") from None
    path.unlink()
    return msgspec.json.format(text, indent=-1) if is_line else text


def _given(source: str) -> bytes:
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise Invalid("--from", f"{source}: {error.strerror}") from None
    return raw.strip()


def _kept(target: str, text: bytes) -> Path:
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in target)[:80]
    number, path = tempfile.mkstemp(prefix=f"{name}.", suffix=".json")
    with os.fdopen(number, "wb") as file:
        file.write(text + b"\n")
    return Path(path)


_BUILDERS: dict[
    str, Callable[[argparse.Namespace, Session], Awaitable[Command | None]]
] = {"flags create": _create, "flags rule": _rule, "flags edit": _edit}


def _import(values: argparse.Namespace) -> int:
    if values.format != "flagd":
        raise Invalid("format", f"{values.format!r} is not known", nearest="flagd")
    if values.hash not in (None, 2, 3):
        raise Invalid("--hash", f"{values.hash} must be 2 or 3")
    if values.merge and values.replace:
        raise Invalid("--merge", "and --replace exclude each other")
    return asyncio.run(_imported(values, wait_of(values)))


async def _imported(values: argparse.Namespace, wait_s: float) -> int:
    file = await asyncio.to_thread(read_file, values.file)
    async with opened(values) as session:
        await with_traffic(session)
        plan = partial(
            plan_import,
            file,
            await session.controls(),
            hash_version=values.hash,
            replace=values.replace,
            skip_invalid=values.skip_invalid,
            rebucket=values.rebucket,
        )
        found = await asyncio.to_thread(plan)
        name = Path(values.file).name
        shown = session.preview_import(name, found)
        if not values.json:
            print(dry_run(shown))
        if values.dry_run or not found.changes:
            if values.json:
                answer({"ok": True, "dry_run": True, "preview": plain(shown)})
            elif not found.changes:
                print("nothing to write")
            return OK
        confirm = await confirmed(shown, session.view().env, values)
        calls = await _written(session, name, found, values.reason, confirm)
        acks = await acks_of(session, calls[-1], wait_s)
    return tell(*calls, acks=acks, shown=shown, as_json=values.json)


async def _written(
    session: Session, name: str, found: FlagImport, reason: str, confirm: str | None
) -> list[Applied]:
    """Write all calls; how far it came is told where one fails."""
    done, applied = 0, []
    calls = session.import_flags(name, found, reason=reason, confirm=confirm)
    try:
        async for one in calls:
            applied.append(one)
            done += len(one.targets)
            if done < len(found.changes):
                text = f"{done:,} of {len(found.changes):,} changes are written"
                print(f"failsoft: {text} (op {one.op_id})", file=sys.stderr)
    except (StoreError, OpsError):
        if done:
            text = f"{done:,} of {len(found.changes):,} changes are written"
            print(f"failsoft: {text}; run it again to go on", file=sys.stderr)
        raise
    return applied


async def _promote(values: argparse.Namespace) -> int:
    async with opened(values) as session:
        key = key_of(values)
        sheet = flag_sheet(key, session.view(), session.definitions)
        if sheet.row is None or not sheet.row.rev:
            known = known_flags(session.view(), session.definitions)
            if key not in known:
                raise TargetGone(f"flag:{key}", nearest_targets("flag", key, known))
            raise Invalid(f"flag:{key}", "has no edit to promote")
        json = sheet.doc
    path, text = await asyncio.to_thread(_flags_file, values.file, key)
    new = promoted(text, str(path), key, json)
    if new != text and not values.force:
        check_version(text, str(path), key, json)
    if not values.dry_run and new != text:
        await asyncio.to_thread(_replace_file, path, new)
    word = "would be written" if values.dry_run else "is written"
    if new == text:
        word = "stands already"
    if values.json:
        answer({"ok": True, "dry_run": values.dry_run, "file": str(path), "key": key})
    else:
        print(f"flag:{safe(key)} {word} in {safe(path)}")
        print(f"when it is deployed: failsoft flags revert {safe(key)} -m REASON")
    return OK


def _flags_file(said: str | None, key: str) -> tuple[Path, bytes]:
    """Return the file named, or the one of the settings that has or may take it."""
    files = [said] if said else _configured()
    texts = []
    for file in files:
        try:
            texts.append((Path(file), Path(file).read_bytes()))
        except OSError as error:
            raise Invalid("--file", f"{file}: {error.strerror}") from None
    name = msgspec.json.encode(key)
    with_key = [pair for pair in texts if name in pair[1]]
    if len(with_key or texts) != 1:
        known = ", ".join(map(str, files)) or "flags.files is not set"
        raise Invalid("--file", f"say which flags file is meant: {known}")
    return (with_key or texts)[0]


def _configured() -> list[str]:
    settings = load_settings({}, os.environ, Path.cwd())
    return list(settings.flags.files)


def _replace_file(path: Path, text: bytes) -> None:
    """Swap the file as a whole: a reader never meets half of it."""
    path = path.resolve()  # a link stays one
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(text)
        new.chmod(path.stat().st_mode & 0o777)
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise Invalid("--file", f"{path}: {error.strerror}") from None
