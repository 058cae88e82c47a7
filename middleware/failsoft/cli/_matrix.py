"""`failsoft matrix`: which routes depend on whom, and what protects them."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from failsoft.cli._answers import OK, answer, plain, table
from failsoft.cli._ledgers import with_ledgers
from failsoft.cli._session import add_store, opened, tell_rewound
from failsoft.clock import elapsed
from failsoft.errors import StoreUnavailable
from failsoft.ops.matrix import MatrixRow, matrix_rows
from failsoft.ops.session import Session
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView

__all__ = ["add_arguments", "main"]

_HEADS = ("ROUTE", "DEPENDENCY", "CRITICALITY", "TIMEOUT", "FALLBACK", "STALE",
          "BREAKER", "LAST DRILL", "GAPS")  # fmt: skip
_WITHIN_S = 3.0
_EMPTY = "no route called a dependency in 24 hours"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `matrix` takes."""
    add_store(parser)
    parser.add_argument("--md", action="store_true", help="a Markdown table")


def main(values: argparse.Namespace) -> int:
    """Print one line a pair, gaps first."""
    return asyncio.run(_read(values))


async def _read(values: argparse.Namespace) -> int:
    async with opened(values) as session:
        view = await _with_calls(session)
        tell_rewound(view)
        rows = matrix_rows(view.dependencies.rows if view.dependencies else ())
        if values.json:
            answer({"ok": True, "env": view.env, "matrix": plain(rows)})
        else:
            print(_markdown(rows) if values.md else _text(rows))
    return OK


async def _with_calls(session: Session) -> FleetView:
    """Return a view whose dependencies know their routes."""
    await with_ledgers(session, ("dependencies",))
    until = elapsed() + _WITHIN_S
    while elapsed() < until:
        view = session.view()
        if view.dependencies is not None and view.dependencies.calls_ms:
            return view
        await asyncio.sleep(0.02)
    raise StoreUnavailable("no calls of routes within 3 s")


def _text(rows: Sequence[MatrixRow]) -> str:
    return table(_HEADS, map(_cells, rows)) if rows else _EMPTY


def _markdown(rows: Sequence[MatrixRow]) -> str:
    if not rows:
        return _EMPTY
    lines = [_HEADS, ("---",) * len(_HEADS), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)


def _escaped(cell: str) -> str:
    return safe(cell, 200).replace("\\", "\\\\").replace("|", "\\|")


def _cells(row: MatrixRow) -> tuple[str, ...]:
    drilled = "never" if row.fallback or row.stale_s is not None else "-"
    if row.drilled_ms:
        drilled = datetime.fromtimestamp(row.drilled_ms / 1000, UTC).strftime(
            "%Y-%m-%d"
        )
    return (
        *(row.route, row.dependency, row.criticality, _span(row.timeout_s)),
        *(row.fallback or "-", _span(row.stale_s), row.breaker or "-", drilled),
        ", ".join(row.gaps).upper() or "-",
    )


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{1000 * seconds:g}ms" if seconds < 1 else f"{seconds:g}s"
