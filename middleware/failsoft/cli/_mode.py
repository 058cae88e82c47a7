"""`failsoft mode list|show|preview|enter|leave|auto|drill`."""

from __future__ import annotations

import argparse
import asyncio

from failsoft.cli import _read, _write
from failsoft.cli._answers import OK, answer, plain
from failsoft.cli._session import add_store, opened, with_traffic
from failsoft.controls.targets import nearest
from failsoft.errors import TargetGone
from failsoft.ops.fleetrows import ModeRow
from failsoft.ops.modeverbs import entered
from failsoft.ops.session import Session
from failsoft.ops.stale import left, span
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb, add_words
from failsoft.ops.views import FleetView

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Declare the words of one verb."""
    if verb.role == "operator":
        _write.add_arguments(parser, verb)
    elif verb.name == "mode list":
        _read.add_arguments(parser, verb)
    else:
        add_words(parser, verb.words)
        add_store(parser)


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    if verb.role == "operator":
        return _write.main(verb, values)
    if verb.name == "mode list":
        return _read.main(verb, values)
    return asyncio.run(_told(verb, values))


async def _told(verb: Verb, values: argparse.Namespace) -> int:
    async with opened(values) as session:
        if verb.name == "mode preview":
            return await _preview(session, values)
        view = session.view()
        row = _row(view, values.name.removeprefix("mode:"))
        if values.json:
            answer({"ok": True, "mode": plain(row)})
        else:
            print("\n".join(_lines(row, view)))
    return OK


async def _preview(session: Session, values: argparse.Namespace) -> int:
    await with_traffic(session)
    shown = session.preview(entered(values))
    if values.json:
        answer({"ok": True, "dry_run": True, "preview": plain(shown)})
    else:
        print(_write.dry_run(shown))
    return OK


def _row(view: FleetView, name: str) -> ModeRow:
    rows = {row.name: row for row in view.modes}
    if name not in rows:
        close = tuple(f"mode:{one}" for one in nearest(name, rows))
        raise TargetGone(f"mode:{name}", close)
    return rows[name]


def _lines(row: ModeRow, view: FleetView) -> list[str]:
    now = safe(row.now)
    if row.state != "off":
        who, why = safe(row.by or row.via), safe(row.trigger or row.why)
        ends = left(row.until_ms, view.server_ms)
        now = f"{now} by {who}: {why or '-'}; {ends}"
    tried = "never"
    if row.drilled_ms:
        tried = f"{span((view.server_ms - row.drilled_ms) / 1000)} ago"
    facts = [
        ("now", now),
        ("told", f"{safe(row.title)} ({safe(row.severity)})"),
        ("routes", ", ".join(map(safe, row.scope))),
        ("clients get", safe(row.gives)),
        *(("enters", safe(line)) for line in row.enter or ("by hand alone",)),
        *(("leaves", safe(line)) for line in row.leave),
        ("timing", safe(row.timing)),
        *(("--set", f"{name}: {text}") for name, text in row.params),
        ("last drill", f"{tried}{', overdue' if row.drill_due else ''}"),
    ]
    head = f"mode {safe(row.name)}"
    return [head, *(f"  {name:<12} {text}" for name, text in facts if text)]
