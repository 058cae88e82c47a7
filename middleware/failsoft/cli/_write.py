"""Verbs that write: preview, confirmation, the write, the nodes' answers."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable

from failsoft.cli._answers import NOT_BY_ALL, OK, ack_line, answer, plain
from failsoft.cli._session import add_store, opened, with_ledgers, with_traffic
from failsoft.errors import Invalid, NeedsConfirm
from failsoft.ops.command import Command
from failsoft.ops.permission import check_reason
from failsoft.ops.session import Session
from failsoft.ops.stale import span
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb, add_words, span_s
from failsoft.ops.views import AckState, Applied, Preview

__all__ = [
    "acks_of",
    "add_arguments",
    "add_written",
    "confirmed",
    "dry_run",
    "is_enforced",
    "main",
    "missing",
    "tell",
    "typed",
    "wait_of",
    "wait_span_s",
    "write",
]

_WAIT_S = 5.0
_LINES_SHOWN = 30


def add_arguments(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Declare a verb's own words and what every write takes."""
    add_words(parser, verb.words)
    add_store(parser)
    add_written(parser)


def add_written(parser: argparse.ArgumentParser) -> None:
    """Declare what every write takes beside its own words and the store."""
    parser.add_argument("-m", "--reason", default="", help="why; stands in the log")
    parser.add_argument("--dry-run", action="store_true", help="preview only")
    parser.add_argument("--wait", metavar="SPAN", help="for the nodes' answers (5s)")
    parser.add_argument("--confirm", metavar="ENV", help="the environment's name")


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Run one write; returns 0, or 3 when not all live nodes enforce it yet."""
    command = verb.make(values) if verb.make else None

    async def build(session: Session) -> Command | None:
        if getattr(command, "target", "").startswith("dependency:"):
            await with_ledgers(session, ("dependencies",))  # who is called is there
        return command

    return write(build, values)


def write(
    build: Callable[[Session], Awaitable[Command | None]], values: argparse.Namespace
) -> int:
    """Preview, confirm and write what `build` makes of a session; see `main`.

    None stands for undo.
    """
    return asyncio.run(_write(build, values, wait_of(values)))


def wait_of(values: argparse.Namespace) -> float:
    """Return --wait in seconds; Invalid for it, or for the reason of a write."""
    if not values.dry_run:
        _check_reason(values.reason)
    return wait_span_s(values.wait)


def wait_span_s(text: str | None) -> float:
    """Return the seconds to wait for nodes; Invalid when `text` is no span."""
    try:
        return span_s(text) if text else _WAIT_S
    except ValueError as error:
        raise Invalid("--wait", str(error)) from None


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise Invalid("-m", "a reason is needed: -m 'why', in 3 to 500 characters")
    check_reason(reason)


async def _write(
    build: Callable[[Session], Awaitable[Command | None]],
    values: argparse.Namespace,
    wait_s: float,
) -> int:
    async with opened(values) as session:
        command = await build(session)
        await with_traffic(session)
        op_id = ""
        if command is not None:
            shown = session.preview(command)
        else:
            if session.role != "operator" and not values.dry_run:
                # Says the missing right, not that a viewer has no write to take back.
                await session.undo(values.op, reason=values.reason)
            op_id = await session.find_write(values.op)
            shown = session.preview_undo(op_id)
        if not values.json:
            print(dry_run(shown))
        if values.dry_run:
            if values.json:
                answer({"ok": True, "dry_run": True, "preview": plain(shown)})
            return OK
        confirm = await confirmed(shown, session.view().env, values)
        if command is None:
            applied = await session.undo(op_id, reason=values.reason, confirm=confirm)
        else:
            applied = await session.apply(
                command, reason=values.reason, preview=shown, confirm=confirm
            )
        acks = await acks_of(session, applied, wait_s)
    return tell(applied, acks=acks, shown=shown, as_json=values.json)


async def confirmed(shown: Preview, env: str, values: argparse.Namespace) -> str | None:
    """Return what confirms a change: --confirm, or what is typed."""
    if shown.tier < 2 or values.confirm:
        return str(values.confirm) if values.confirm else None
    if values.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NeedsConfirm(shown.tier, f"--confirm {env} ({shown.tier_why})")
    print(
        f"tier {shown.tier} ({safe(shown.tier_why)}): type {safe(shown.code)} ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    return await typed()


async def typed() -> str:
    """Return a typed line; the view stays fresh meanwhile."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        # Not by sys.stdin: a lock held at exit, after Ctrl-C, would be fatal.
        text = os.read(sys.stdin.fileno(), 1024)
        loop.call_soon_threadsafe(line.set_result, text)

    threading.Thread(target=read, daemon=True).start()
    return (await line).decode(errors="replace").strip()


async def acks_of(
    session: Session, applied: Applied, wait_s: float
) -> tuple[AckState, ...]:
    """Return the nodes' last answers to a write."""
    acks: tuple[AckState, ...] = ()
    async for newest in session.acks(applied, wait_s=wait_s):
        acks = newest
    return acks


def tell(
    *calls: Applied, acks: tuple[AckState, ...], shown: Preview, as_json: bool
) -> int:
    """Say what was written and who enforces it; return the exit status.

    calls: of the store, oldest first; only a long import has more than one.
    """
    done, applied = is_enforced(acks), calls[-1]
    if as_json:
        answer(
            {
                "ok": done,
                "revision": applied.revision,
                "epoch": applied.epoch,
                "op_id": applied.op_id,
                "op_ids": [call.op_id for call in calls],
                "target": applied.targets[0],
                "action": shown.action,
                "before": shown.before,
                "after": shown.after,
                "until_ms": applied.until_ms,
                "duplicate": applied.duplicate,
                "acks": plain(acks),
                **({} if done else {"code": "not-by-all", "message": missing(acks)}),
            }
        )
    else:
        print(ack_line(applied.revision, acks))
        for call in reversed(calls):
            print(f"undo: failsoft undo {call.op_id} -m REASON")
    if not done:
        print(f"failsoft: {missing(acks)}", file=sys.stderr)
    return OK if done else NOT_BY_ALL


def is_enforced(acks: tuple[AckState, ...]) -> bool:
    """Whether there are live nodes and all of them enforce a write."""
    counted = [ack for ack in acks if ack.state != "gone"]
    return bool(counted) and all(ack.state == "enforces" for ack in counted)


def missing(acks: tuple[AckState, ...]) -> str:
    """Return who does not enforce a write, in words."""
    late = [a for a in acks if a.state not in ("enforces", "gone")]
    if not late:
        return "written, but no live node was there to enforce it"
    names = ", ".join(f"{safe(a.short)} ({safe(a.node)}) {a.state}" for a in late)
    return f"written, but not enforced by {names}"


def dry_run(shown: Preview) -> str:
    """Return a preview as lines."""
    # What is lifted has no end to tell, only what is put has.
    end = ", no end" if shown.after in ("KILLED", "ON") else ""
    if shown.until_s is not None:
        end = f", ends in {span(shown.until_s)}"
    share = "unknown share" if shown.share is None else f"{shown.share:.1%}"
    routes = ", ".join(safe(key) for key in shown.routes[:5])
    if routes:
        routes = f": {routes}"
    more = f" and {len(shown.routes) - 5} more" if len(shown.routes) > 5 else ""
    lines = [
        f"{shown.action} {safe(shown.target)}: "
        f"{safe(shown.before)} -> {safe(shown.after)}{end}",
        f"  covers      {shown.rps:.1f} req/s ({share} of traffic){routes}{more}",
        f"  nodes       {shown.nodes_can[0]} of {shown.nodes_can[1]} can enforce it",
    ]
    if shown.seen_on:
        seen = ", ".join(safe(key) for key in shown.seen_on[:5])
        lines.append(f"  seen on     {seen} (in kept failures)")
    if shown.consumers:
        who = ", ".join(safe(name) for name in shown.consumers[:5])
        more = f" and {len(shown.consumers) - 5} more"
        lines.append(f"  consumers   {who}{more if len(shown.consumers) > 5 else ''}")
    if shown.answer:
        lines.append(f"  clients get {safe(shown.answer)}")
    if shown.covers and not shown.diff:
        lines.append(f"  all of      {', '.join(safe(one) for one in shown.covers)}")
    notes = [*shown.warnings, *([shown.conflict] if shown.conflict else [])]
    lines += [f"  changes     {safe(line)}" for line in shown.diff[:_LINES_SHOWN]]
    if len(shown.diff) > _LINES_SHOWN:
        rest = len(shown.diff) - _LINES_SHOWN
        lines.append(f"  changes     and {rest:,} more; --json has all")
    return "\n".join([*lines, *(f"  note        {safe(note)}" for note in notes)])
