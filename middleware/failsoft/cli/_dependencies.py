"""`failsoft dependencies`: how third parties fare, and what they announce."""

from __future__ import annotations

import argparse

from failsoft.cli._answers import plain, table
from failsoft.cli._breaker import dependency_table
from failsoft.cli._ledgers import Picture, ago, read_ledgers
from failsoft.cli._session import add_store
from failsoft.ops.contractrows import PeerRow
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView

__all__ = ["add_arguments", "main"]

_HEADS = ("DEPENDENCY", "OPERATION", "DEPRECATED", "ENDS", "DAYS", "VERSION", "SEEN")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `dependencies` takes."""
    add_store(parser)


def main(values: argparse.Namespace) -> int:
    """Print one line a dependency, then one an operation that announces something."""
    return read_ledgers(values, ("drift", "dependencies"), _picture)


def _picture(view: FleetView) -> Picture:
    peers = view.drift.peers if view.drift else ()
    text = "no third party announces anything"
    if peers:
        text = table(_HEADS, [_cells(peer, view) for peer in peers])
        text += "".join(f"\n{line}" for peer in peers for line in _details(peer))
    rows = view.dependencies.rows if view.dependencies else ()
    if rows:
        text = f"{dependency_table(rows, view)}\n\n{text}"
    return {"states": plain(rows), "dependencies": plain(peers)}, text


def _cells(peer: PeerRow, view: FleetView) -> tuple[str, ...]:
    days = "-" if peer.days_left is None else f"{peer.days_left}"
    version = f"{peer.was} -> {peer.version}" if peer.was else peer.version
    return (
        *(peer.dependency, peer.operation, peer.deprecated or "-", peer.sunset or "-"),
        *(days, version or "-", ago(peer.last_ms, view)),
    )


def _details(peer: PeerRow) -> list[str]:
    said = {"says": peer.warning, "see": peer.link, "next": peer.successor}
    said["deprecates"] = ", ".join(peer.versions)
    place = f"{peer.dependency} {peer.operation}"
    return [
        f"{safe(place)} {name}: {safe(text)}" for name, text in said.items() if text
    ]
