"""`failsoft guard`: what the guards of flags judge, and doing what one proposes."""

from __future__ import annotations

import argparse
import asyncio

from failsoft.cli import _read, _write
from failsoft.cli._answers import OK, answer, plain, table
from failsoft.cli._session import opened
from failsoft.ops.command import Command
from failsoft.ops.guard import GuardedArm, GuardRow
from failsoft.ops.session import Session
from failsoft.ops.stale import span
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb, command_of

__all__ = ["add_arguments", "main", "picture"]

_HEADS = ("FLAG", "STATE", "VARIANT", "N", "BAD", "RATE", "Z", "VERDICT")
_WORDS = {"trip": "TRIP", "ok": "ok", "control": "(control)"}
_PROPOSED = "as the guard proposes"


def add_arguments(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Declare a verb's words as other reads and writes do."""
    home = _read if verb.role == "viewer" else _write
    home.add_arguments(parser, verb)


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Show the guards, or set the kill that one proposes."""
    if verb.role == "viewer":
        return asyncio.run(_status(values))
    has_reason = bool(values.reason.strip())
    values.reason = values.reason or _PROPOSED

    async def build(session: Session) -> Command:
        command = command_of(verb, values)
        proposals = (p for p in session.view().proposals if p.target == command.target)
        for proposal in () if has_reason else proposals:
            values.reason = f"guard: {proposal.why}"[:500]
        return command

    return _write.write(build, values)


async def _status(values: argparse.Namespace) -> int:
    async with opened(values) as session:
        while True:
            rows = await session.guards()
            if values.json:
                answer({"ok": True, "env": session.view().env, "guards": plain(rows)})
            else:
                print(picture(rows, session.view().server_ms), flush=True)
            if not values.watch:
                return OK
            await asyncio.sleep(1.0)


def picture(rows: tuple[GuardRow, ...], now_ms: int) -> str:
    """Return the rows as a table, with a line for each that is not just watched."""
    if not rows:
        return "no flag has a guard (metadata x.guard.control)"
    lines = [_cells(row, arm) for row in rows for arm in row.arms]
    notes = [_note(row, now_ms) for row in rows if row.state != "watching"]
    return "\n".join([table(_HEADS, lines), *notes])


def _cells(row: GuardRow, arm: GuardedArm) -> tuple[str, ...]:
    first = arm.verdict == "control"  # a flag is named once, in its first line
    rate = "-" if arm.share is None else f"{arm.share:.1%}"
    z = "-" if arm.z is None else f"{arm.z:.1f}"
    verdict = arm.text if arm.verdict == "none" else _WORDS[arm.verdict]
    head = (row.flag, row.state) if first else ("", "")
    return (*head, arm.variant, f"{arm.n:,}", f"{arm.bad:,}", rate, z, verdict)


def _note(row: GuardRow, now_ms: int) -> str:
    ago = span((now_ms - row.since_ms) / 1000)
    todo = f"; failsoft guard apply {row.flag}" if row.state == "proposed" else ""
    return safe(f"! {row.flag} {row.state} {ago} ago: {row.why}{todo}", 600)
