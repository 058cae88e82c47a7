"""The log as JSON lines: all that is kept, or what comes."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from failsoft.cli._answers import OK
from failsoft.cli._session import add_store, opened
from failsoft.errors import Invalid, StoreError
from failsoft.ops.session import Session
from failsoft.store.protocols import Entry

__all__ = ["add_arguments", "entry_line", "follow", "main"]

_POLL_S = 0.25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `log export` takes."""
    add_store(parser)
    parser.add_argument(
        "--after", metavar="ID", default="0-0", help="go on after this entry's id"
    )


def main(values: argparse.Namespace) -> int:
    """Print every kept entry, oldest first, one JSON object a line."""
    head, _, tail = values.after.partition("-")
    if not (head.isdigit() and (tail or "0").isdigit()):
        raise Invalid("--after", f"{values.after!r} is no entry's id; take one of `id`")
    return asyncio.run(_export(values))


async def _export(values: argparse.Namespace) -> int:
    async with opened(values) as session:
        await _print(session, values.after)
    return OK


async def _print(session: Session, after: str) -> str:
    """Print what comes after an id; return the last id."""
    async for entry in session.entries(after):
        print(entry_line(entry))
        after = entry.id
    sys.stdout.flush()
    return after


async def follow(session: Session, count: int) -> int:
    """Print the newest entries, then others as they come, until interrupted.

    A lost store is waited for.
    """
    newest = "0-0"
    for entry in await session.newest_entries(count):
        print(entry_line(entry))
        newest = entry.id
    while True:
        try:
            newest = await _print(session, newest)
        except StoreError as error:
            print(f"failsoft: {error}; trying again", file=sys.stderr)
            await asyncio.sleep(1.0)
        await asyncio.sleep(_POLL_S)


def entry_line(entry: Entry) -> str:
    """Return an entry as one line of JSON; `value` and `was` as the store has them."""
    fields: dict[str, Any] = {
        "id": entry.id,
        "rev": entry.rev,
        "epoch": entry.epoch,
        "kind": entry.kind,
        "name": entry.name,
        "op": entry.op,
        "who": entry.who,
        "why": entry.why,
        "via": entry.via,
        "op_id": entry.op_id,
        "value": _text(entry.value),
        "was": _text(entry.was),
    }
    return json.dumps(fields)


def _text(raw: bytes | None) -> str | None:
    # Bytes that are no text come back as they were from surrogateescape.
    return None if raw is None else raw.decode(errors="surrogateescape")
