"""What the verbs on versions, brownouts, drift and tolerances share."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from failsoft.cli._answers import OK, answer
from failsoft.cli._session import add_store, opened, tell_rewound, with_ledgers
from failsoft.cli._write import add_written, wait_of, write
from failsoft.errors import Invalid
from failsoft.ops.command import Command
from failsoft.ops.session import Session
from failsoft.ops.sources.ledgers import Section
from failsoft.ops.stale import span
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb, add_words, command_of
from failsoft.ops.views import FleetView

__all__ = [
    "Picture",
    "add_verb",
    "ago",
    "ends",
    "read_ledgers",
    "save",
    "with_ledgers",
    "write_command",
]

Picture = tuple[dict[str, Any], str]


def add_verb(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Declare a verb's own words, the store, and what reads and writes take."""
    add_words(parser, verb.words)
    add_store(parser)
    if verb.role == "operator":
        add_written(parser)
    elif verb.name.endswith(" list"):
        parser.add_argument("--watch", action="store_true", help="again each 5 s")


def write_command(
    verb: Verb, values: argparse.Namespace, sections: Iterable[Section]
) -> int:
    """Run a write whose preview needs sections; see `_write.main` for the status."""
    command = command_of(verb, values)
    wait_of(values)  # a missing reason is told before anything is read

    async def build(session: Session) -> Command:
        await with_ledgers(session, sections)
        return command

    return write(build, values)


def read_ledgers(
    values: argparse.Namespace,
    sections: Iterable[Section],
    picture: Callable[[FleetView], Picture],
) -> int:
    """Print one picture, or one for each read with --watch."""
    return asyncio.run(_read(values, tuple(sections), picture))


async def _read(
    values: argparse.Namespace,
    sections: tuple[Section, ...],
    picture: Callable[[FleetView], Picture],
) -> int:
    async with opened(values) as session:
        view = await with_ledgers(session, sections)
        tell_rewound(view)
        _show(view, values, picture)
        while getattr(values, "watch", False):
            view = await _next(session, view, sections)
            _show(view, values, picture)
    return OK


async def _next(
    session: Session, shown: FleetView, sections: tuple[Section, ...]
) -> FleetView:
    async for view in session.watch():
        if all(getattr(view, s) is not getattr(shown, s) for s in sections):
            return view
    return shown


def _show(
    view: FleetView,
    values: argparse.Namespace,
    picture: Callable[[FleetView], Picture],
) -> None:
    fields, text = picture(view)
    if values.json:
        head = {"ok": True, "env": view.env, "revision": view.revision}
        answer({**head, "server_ms": view.server_ms, **fields})
    else:
        print(text, flush=True)


def ago(at_ms: int, view: FleetView) -> str:
    """Return how long ago an instant was, `-` for none."""
    return span((view.server_ms - at_ms) / 1000) if at_ms else "-"


def ends(until_ms: int) -> str:
    """Return an end as people read it, `-` for none."""
    if until_ms <= 0:
        return "-"
    return datetime.fromtimestamp(until_ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")


def save(path: str, text: str) -> None:
    """Write a file; Invalid when that cannot be done."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Invalid("--out", f"{safe(path)}: {error.strerror}") from None
