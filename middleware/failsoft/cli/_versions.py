"""`failsoft versions list|impact|openapi|pin|unpin|sunset`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from failsoft.cli._answers import plain, table
from failsoft.cli._ledgers import Picture, ago, ends, read_ledgers, write_command
from failsoft.cli._ledgers import add_verb as _add_verb
from failsoft.cli._openapi import add_document, print_document
from failsoft.controls.targets import nearest
from failsoft.errors import TargetGone
from failsoft.ops.contractrows import Break, PinRow, UseRow, VersionRow, VersionsView
from failsoft.ops.text import safe
from failsoft.ops.verbs import Verb
from failsoft.ops.versionviews import would_break
from failsoft.ops.views import FleetView

__all__ = ["add_arguments", "main"]

_USES_SHOWN = 40
_BREAKS_SHOWN = 200
_HEADS = (
    *("VERSION", "STATE", "SUNSET", "LEFT", "REQ/S", "TODAY", "30D", "SHARE"),
    *("LAST", "CONSUMERS", "WOULD BREAK", "BROWNOUT"),
)
_USE_HEADS = (
    *("VERSION", "CONSUMER", "REQ/S", "TODAY", "30D", "SHARE", "LAST", "PIN"),
    "WOULD MEET",
)
_PIN_HEADS = ("CONSUMER", "PINNED TO", "ENDS", "BY", "WHY")
_IMPACT_HEADS = ("CONSUMER", "VERSION", "30D", "LAST", "ROUTE", "CHANGE", "IN")


def add_arguments(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Declare a verb's words; `openapi` asks a node or an application, no store."""
    if verb.name == "versions openapi":
        add_document(parser, verb)
    else:
        _add_verb(parser, verb)


def main(verb: Verb, values: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    if verb.role == "operator":
        return write_command(verb, values, ("versions",))
    if verb.name == "versions openapi":
        return print_document(values)
    if verb.name == "versions list":
        return read_ledgers(values, ("versions",), _list)
    version = values.version.removeprefix("version:")
    return read_ledgers(values, ("versions",), lambda view: _impact(view, version))


def _list(view: FleetView) -> Picture:
    seen = view.versions or VersionsView(0)
    parts = []
    if seen.versions:
        parts.append(table(_HEADS, [_cells(row, view) for row in seen.versions]))
    else:
        parts.append("no live release declares versions")
    if seen.has_contract:
        parts.append(f"who asks for none, and has no pin, gets: {safe(seen.default)}")
    if seen.uses:
        rows = seen.uses[:_USES_SHOWN]
        parts += ["", table(_USE_HEADS, [_use_cells(row, view) for row in rows])]
        more = len(seen.uses) - len(rows)
        parts += [f"... {more} more; --json has all"] if more else []
    if seen.pins:
        parts += ["", table(_PIN_HEADS, map(_pin_cells, seen.pins))]
    fields = {
        "default": seen.default,
        "total": seen.total,
        "versions": plain(seen.versions),
        "uses": plain(seen.uses),
        "pins": plain(seen.pins),
        "brownouts": plain(seen.brownouts),
    }
    return fields, "\n".join(parts)


def _rate(per_s: float | None) -> str:
    return "-" if per_s is None else f"{per_s:.1f}"


def _last(row: VersionRow | UseRow, view: FleetView) -> str:
    return f"{ago(row.last_ms, view)} ago" if row.last_ms else row.last_day or "-"


def _cells(row: VersionRow, view: FleetView) -> tuple[str, ...]:
    moved = " (moved)" if row.declared != row.sunset else ""
    left = "-" if row.days_left is None else f"{row.days_left}d"
    return (
        *(row.id, row.state, f"{row.sunset or '-'}{moved}", left, _rate(row.per_s)),
        *(f"{row.today:,}", f"{row.n:,}", f"{row.share:.1%}", _last(row, view)),
        *(f"{row.consumers}", f"{row.breaking}", ", ".join(row.brownouts) or "-"),
    )


def _use_cells(row: UseRow, view: FleetView) -> tuple[str, ...]:
    return (
        *(row.version, row.consumer, _rate(row.per_s), f"{row.today:,}", f"{row.n:,}"),
        *(f"{row.share:.1%}", _last(row, view), row.pinned or "-", _met(row.breaks)),
    )


def _met(breaks: tuple[Break, ...]) -> str:
    if not breaks:
        return "-"
    more = f" and {len(breaks) - 1} more" if len(breaks) > 1 else ""
    return f"{breaks[0].op} on {breaks[0].route}{more}"


def _pin_cells(row: PinRow) -> tuple[str, ...]:
    end = ends(row.until_ms) if row.until_ms else "never"
    return (row.consumer, row.version, end, row.by or row.source, row.why or "-")


def _impact(view: FleetView, version: str) -> Picture:
    seen = view.versions or VersionsView(0)
    known = [row.id for row in seen.versions if row.state != "unknown"]
    if version not in known:
        near = tuple(f"version:{name}" for name in nearest(version, known))
        some = near or tuple(f"version:{name}" for name in known[:3])
        raise TargetGone(f"version:{version}", some)
    found = would_break(seen, version)
    broken = {use.consumer for use, breaks in found if breaks}
    safe_ones = {use.consumer for use, _ in found} - broken
    who = "1 consumer" if len(broken) == 1 else f"{len(broken):,} consumers"
    lines = [f"{who} would break without version {safe(version)} and all older ones"]
    cells = [row for use, breaks in found for row in _impact_cells(use, breaks, view)]
    lines += [table(_IMPACT_HEADS, cells[:_BREAKS_SHOWN])] if cells else []
    more = len(cells) - _BREAKS_SHOWN
    lines += [f"... {more:,} more; --json has all"] * (more > 0)
    if safe_ones:
        names = [safe(name) for name in sorted(safe_ones)]
        more = len(names) - _USES_SHOWN
        names[_USES_SHOWN:] = [f"and {more:,} more"] * (more > 0)
        text = "need to ask for a newer version, and no other change"
        lines.append(f"{text}: {', '.join(names)}")
    fields = {
        "version": version,
        "breaking": len(broken),
        "uses": [{"use": plain(use), "breaks": plain(b)} for use, b in found],
    }
    return fields, "\n".join(lines)


def _impact_cells(
    use: UseRow, breaks: Iterable[Break], view: FleetView
) -> list[tuple[str, ...]]:
    head = (use.consumer, use.version, f"{use.n:,}", _last(use, view))
    return [(*head, one.route, one.op, one.version) for one in breaks]
