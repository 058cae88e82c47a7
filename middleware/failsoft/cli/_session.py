"""Arguments every verb on a store takes, and the session they open."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from failsoft.clock import elapsed
from failsoft.errors import Invalid, StoreUnavailable
from failsoft.ops import connect
from failsoft.ops.session import Session
from failsoft.ops.sources.ledgers import Section
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView

__all__ = [
    "add_store",
    "counted_note",
    "opened",
    "store_url",
    "tell_rewound",
    "with_figures",
    "with_ledgers",
    "with_traffic",
]

# Nodes send ticks only while watched: they hear of us within a beat (0.8 s), and
# the first second they count comes a second later.
_TRAFFIC_WITHIN_S = 2.5
_LEDGERS_WITHIN_S = 3.0
# What a ratio takes, and how long a read waits for it where nobody watched before.
_ENOUGH_CALLS, _ENOUGH_S = 30, 3.0
_ENOUGH_WITHIN_S = 4.5


def add_store(parser: argparse.ArgumentParser) -> None:
    """Declare --redis/--url, --env, --json."""
    parser.add_argument(
        "--redis",
        "--url",
        dest="url",
        metavar="URL",
        help="redis://user:password@host:6379/0 (FAILSOFT_REDIS_URL)",
    )
    parser.add_argument("--env", metavar="NAME", help="environment (FAILSOFT_ENV)")
    parser.add_argument("--as", dest="actor", metavar="NAME", help="who this is")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def tell_rewound(view: FleetView) -> None:
    """Say on stderr that nodes enforce what this view of the store does not show."""
    if view.controls_state != "known" and view.notices:
        print(f"failsoft: {safe(view.notices[0].text, 400)}", file=sys.stderr)


def store_url(values: argparse.Namespace) -> str:
    """Return the store's URL; Invalid when nothing names one."""
    url = values.url or os.environ.get("FAILSOFT_REDIS_URL")
    if not url:
        raise Invalid("--redis", "no store: give --redis URL or set FAILSOFT_REDIS_URL")
    return str(url)


@asynccontextmanager
async def opened(values: argparse.Namespace) -> AsyncIterator[Session]:
    """Open a session that has a whole view; closes it."""
    actor = getattr(values, "actor", None)
    session = await connect(
        store_url(values), values.env, needs_arming=False, actor=actor
    )
    try:
        await session.ready()
        yield session
    finally:
        await session.aclose()


async def with_traffic(session: Session) -> FleetView:
    """Return a view with rates, waiting for the first ticks of live nodes."""
    until = elapsed() + _TRAFFIC_WITHIN_S
    view = session.view()
    while view.totals.nodes_live and not view.totals.n and elapsed() < until:
        await asyncio.sleep(0.05)
        view = session.view()
    return view


async def with_figures(session: Session) -> FleetView:
    """Return a view whose ratios say something, or all that three seconds bring.

    Where somebody watched in the last minute, the kept seconds are there at once.
    """
    until = elapsed() + _ENOUGH_WITHIN_S
    view = session.view()
    while view.totals.nodes_live and not _says_enough(view) and elapsed() < until:
        await asyncio.sleep(0.05)
        view = session.view()
    return view


def _says_enough(view: FleetView) -> bool:
    totals = view.totals
    return totals.n >= _ENOUGH_CALLS or totals.counted_s >= _ENOUGH_S


def counted_note(view: FleetView) -> str:
    """Return what to know about a window that is not full yet, "" when it is."""
    counted_s = view.totals.counted_s
    if not view.totals.nodes_live or counted_s >= view.window_s - 1.5:
        return ""
    return (
        f"figures of {counted_s:.1f} s: nodes report only while somebody watches; "
        "--watch fills the window"
    )


async def with_ledgers(session: Session, sections: Iterable[Section]) -> FleetView:
    """Return a view that holds these sections; StoreUnavailable without them."""
    wanted = tuple(sections)
    session.want(wanted)
    until = elapsed() + _LEDGERS_WITHIN_S
    while any(getattr(session.view(), name) is None for name in wanted):
        if elapsed() > until:
            raise StoreUnavailable(f"no {' and no '.join(wanted)} within 3 s")
        await asyncio.sleep(0.02)
    return session.view()
