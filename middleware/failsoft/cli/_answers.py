"""What the command line answers: text for people, one JSON object for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from failsoft.errors import (
    DefinitionError,
    FailsoftError,
    Invalid,
    MissingExtraError,
    NeedsConfirm,
    NotArmed,
    ReadOnly,
    Stale,
    StoreConflict,
    StoreRefused,
    StoreRewound,
    StoreUnavailable,
    TargetGone,
)
from failsoft.ops.text import safe
from failsoft.ops.views import AckState

__all__ = ["ack_line", "answer", "exit_code", "fail", "plain", "table"]

SCHEMA = 1
OK, ERROR, BAD_INPUT, NOT_BY_ALL, CONFLICT, FORBIDDEN, UNREACHABLE, UNCONFIRMED = range(
    8
)

_CODES: tuple[tuple[type[FailsoftError], int], ...] = (
    (StoreConflict, CONFLICT),
    (StoreUnavailable, UNREACHABLE),
    (StoreRewound, UNREACHABLE),
    (Stale, UNREACHABLE),
    (StoreRefused, FORBIDDEN),
    (ReadOnly, FORBIDDEN),
    (NotArmed, FORBIDDEN),
    (NeedsConfirm, UNCONFIRMED),
    (Invalid, BAD_INPUT),
    (TargetGone, BAD_INPUT),
    (DefinitionError, BAD_INPUT),
    (MissingExtraError, BAD_INPUT),
)


def exit_code(error: FailsoftError) -> int:
    """Return the exit status of an error."""
    if isinstance(error, StoreRefused) and not error.where.startswith("Redis"):
        return BAD_INPUT  # a limit of ours, not a right of the user
    return next((code for kind, code in _CODES if isinstance(error, kind)), ERROR)


def fail(error: FailsoftError, *, as_json: bool) -> int:
    """Tell an error on stderr, and as an object on stdout; return the status."""
    text = "\n".join(safe(line, 600) for line in str(error).splitlines())
    if isinstance(error, StoreUnavailable) and not error.todo:
        text = f"{text}; start the store, or correct --redis or FAILSOFT_REDIS_URL"
    print(f"failsoft: {text}", file=sys.stderr)
    if as_json:
        more = {
            name: getattr(error, name)
            for name in ("nearest", "tier", "actor", "revision", "expected", "diff")
            if hasattr(error, name)
        }
        answer({"ok": False, "code": error.code, "message": text, **more})
    return exit_code(error)


def plain(value: Any) -> Any:
    """Return rows as JSON can hold them; documents as what they say."""
    built = msgspec.to_builtins(value, builtin_types=(bytes,))
    return _readable(built)


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    if isinstance(value, bytes):
        try:
            return msgspec.json.decode(value) if value else None
        except msgspec.DecodeError:
            return safe(value)
    return round(value, 6) if isinstance(value, float) else value


def answer(fields: dict[str, Any]) -> None:
    """Print one JSON object on one line, ASCII only."""
    print(json.dumps({"schema": SCHEMA, **fields}), flush=True)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return aligned columns; all cells pass `safe`, the last one may be long."""
    cells = [[*(safe(c, 80) for c in row[:-1]), safe(row[-1], 300)] for row in rows]
    lines = [list(heads), *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    widths[-1] = 0
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def ack_line(revision: int, acks: Sequence[AckState]) -> str:
    """Return `applied rev 8,413: w1 34ms w4 SILENT 12s  3 of 4 nodes enforce it`."""
    shown = []
    for ack in acks:
        took = f"{ack.ms}ms" if ack.state == "enforces" else ack.state.upper()
        detail = f" {safe(ack.detail)}" if ack.detail and ack.state != "waiting" else ""
        shown.append(f"{safe(ack.short)} {took}{detail}")
    counted = [ack for ack in acks if ack.state != "gone"]
    good = sum(ack.state == "enforces" for ack in counted)
    if not counted:
        return f"written as rev {revision:,}; no live node enforces it"
    head = "applied" if good == len(counted) else "written"
    nodes = "  ".join(shown)
    return (
        f"{head} rev {revision:,}: {nodes}  {good} of {len(counted)} nodes enforce it"
    )
