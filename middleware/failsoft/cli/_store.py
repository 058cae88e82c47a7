"""`failsoft store ...`: the control store's state, and what to do after a rewind."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from failsoft.cli._answers import NOT_BY_ALL, OK, ack_line, answer, plain, table
from failsoft.cli._session import add_store, store_url
from failsoft.cli._write import acks_of, is_enforced, missing, typed, wait_span_s
from failsoft.errors import Invalid, NeedsConfirm
from failsoft.ops.connect import DEFAULT_ENV, open_session
from failsoft.ops.permission import check_reason
from failsoft.ops.session import Session
from failsoft.ops.storedesk import StoreDesk
from failsoft.ops.storeviews import NodeSet, OfferRow, Recovery, SetDiff, StoreStatus
from failsoft.ops.text import safe
from failsoft.store.redis.store import RedisStore

__all__ = ["add_arguments", "main"]

_SHOWN = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of one verb; its name is the last word of the program's."""
    verb = parser.prog.rpartition(" ")[2]
    parser.set_defaults(verb=verb)
    add_store(parser)
    if verb == "export":
        parser.add_argument("--out", metavar="FILE", help="instead of standard output")
    if verb not in ("restore", "accept"):
        return
    if verb == "restore":
        text = "digest of an offer, or its beginning: `failsoft store rewound`"
        parser.add_argument("--from", dest="digest", metavar="DIGEST", help=text)
    else:
        text = "refuse unless Redis still holds this set: `failsoft store status`"
        parser.add_argument("--digest", metavar="DIGEST", help=text)
    parser.add_argument("-m", "--reason", default="", help="why; stands in the log")
    parser.add_argument("--dry-run", action="store_true", help="preview only")
    parser.add_argument("--wait", metavar="SPAN", help="for the nodes' answers (5s)")
    parser.add_argument("--confirm", metavar="ENV", help="the environment's name")


def main(values: argparse.Namespace) -> int:
    """Run one verb."""
    return asyncio.run(_VERBS[values.verb](values))


@asynccontextmanager
async def _desk(values: argparse.Namespace) -> AsyncIterator[tuple[StoreDesk, Session]]:
    env = values.env or os.environ.get("FAILSOFT_ENV") or DEFAULT_ENV
    store = RedisStore(store_url(values), env)
    session = await open_session(store, store.address, needs_arming=False)
    try:
        await session.ready()
        yield StoreDesk(store, session), session
    finally:
        await session.aclose()


async def _status(values: argparse.Namespace) -> int:
    async with _desk(values) as (desk, _):
        status = await desk.status()
    if values.json:
        answer({"ok": True, **plain(status)})
    else:
        print(_status_text(status))
    return OK


def _status_text(status: StoreStatus) -> str:
    counts = ", ".join(f"{n:,} {kind}" for kind, n in sorted(status.counts.items()))
    at = datetime.fromtimestamp(status.server_ms / 1000, UTC).strftime("%H:%M:%SZ")
    replaced = " ".join(epoch[:8] for epoch in status.lineage) or "-"
    place = f"rev {status.revision:,}, epoch {status.epoch or '-'}"
    lines = [
        f"{safe(status.env)}: {place}, {at}",
        f"  holds     {counts or 'no record'}",
        f"  digest    {status.digest}",
        f"  replaced  {safe(replaced)}",
    ]
    return "\n".join([*lines, "", _nodes_text(status.nodes)])


def _nodes_text(nodes: Sequence[NodeSet]) -> str:
    heads = ("NODE", "STATE", "REV", "EPOCH", "DIGEST", "OFFERS", "ID")
    rows = [
        (n.short, n.state, f"{n.rev:,}", n.epoch[:8], n.digest, n.offer or "-", n.node)
        for n in nodes
    ]
    return table(heads, rows) if rows else "no live node"


async def _export(values: argparse.Namespace) -> int:
    async with _desk(values) as (desk, _):
        content, held = await desk.export()
    facts = {"ok": True, "revision": held.rev, "records": len(held.records)}
    if values.out:
        _write_file(values.out, content)
        text = f"{len(held.records):,} records at rev {held.rev:,}: {values.out}"
        print(text, file=sys.stderr)
        if values.json:
            answer({**facts, "file": values.out, "bytes": len(content)})
    elif values.json:
        answer({**facts, "content": content.decode()})
    else:
        sys.stdout.buffer.write(content)
    return OK


def _write_file(path: str, content: bytes) -> None:
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise Invalid("--out", f"{path}: {error.strerror}") from None


async def _rewound(values: argparse.Namespace) -> int:
    async with _desk(values) as (desk, _):
        view = await desk.rewound()
    if values.json:
        answer({"ok": True, **plain(view)})
        return OK
    store = view.store
    held = sum(node.state == "rewound" for node in store.nodes)
    if view.why:
        nodes = f"{held} of {len(store.nodes)} nodes hold on to what they had"
        print(f"REWOUND ({safe(view.why)}): {nodes}")
    else:
        print(f"not rewound: {len(store.nodes)} nodes go on from what Redis holds")
    print(_status_text(store))
    print(f"\n{_offers_text(view.offers)}")
    if view.why and view.offers:
        digest = view.offers[0].digest
        print(
            "\nto bring it back:  failsoft store restore --from " + digest + " -m WHY"
        )
        print("to drop it:        failsoft store accept -m WHY")
    return OK


def _offers_text(offers: Sequence[OfferRow]) -> str:
    heads = ("OFFER", "NODES", "REV", "EPOCH", "RECORDS", "DIFFERENCE TO REDIS")
    rows = [
        (o.digest, o.nodes, f"{o.rev:,}", o.epoch[:8], f"{o.records:,}", _told(o))
        for o in offers
    ]
    return table(heads, rows) if rows else "no offer (nodes make one 2 s after)"


def _told(offer: OfferRow) -> str:
    return offer.fault or _diff_text(offer.diff)


def _diff_text(diff: SetDiff) -> str:
    if diff.is_empty:
        return "none"
    lost = f"{diff.missing:,} lost, {diff.changed:,} other"
    return f"{lost}, {diff.extra:,} too many"


async def _restore(values: argparse.Namespace) -> int:
    if not values.digest:
        raise Invalid("--from", "names no offer; `failsoft store rewound` lists them")
    return await _recover(values, lambda desk: desk.plan_restore(values.digest))


async def _accept(values: argparse.Namespace) -> int:
    return await _recover(values, lambda desk: desk.plan_accept())


async def _recover(
    values: argparse.Namespace, plan: Callable[[StoreDesk], Awaitable[Recovery]]
) -> int:
    wait_s = wait_span_s(values.wait)
    if not values.dry_run:
        check_reason(values.reason)
    async with _desk(values) as (desk, session):
        shown = await plan(desk)
        _check_seen(shown, getattr(values, "digest", None))
        if not values.json:
            print(_plan_text(shown))
        if values.dry_run:
            if values.json:
                answer({"ok": True, "dry_run": True, "preview": _plan_fields(shown)})
            return OK
        confirm = await _confirmed(shown, session.view().env, values)
        applied = await desk.carry_out(shown, reason=values.reason, confirm=confirm)
        acks = await acks_of(session, applied, wait_s)
    done = is_enforced(acks)
    if values.json:
        fields = {"revision": applied.revision, "epoch": applied.epoch}
        fields |= {"op_id": applied.op_id, "acks": plain(acks)}
        fault = {} if done else {"code": "not-by-all", "message": missing(acks)}
        answer({"ok": done, **_plan_fields(shown), **fields, **fault})
    else:
        print(ack_line(applied.revision, acks))
    if not done:
        print(f"failsoft: {missing(acks)}", file=sys.stderr)
    return OK if done else NOT_BY_ALL


def _check_seen(shown: Recovery, digest: str | None) -> None:
    if shown.action == "accept" and digest and digest != shown.seen:
        message = f"{digest} was seen, Redis holds {shown.seen} now; look again"
        raise Invalid("--digest", message)


def _plan_fields(shown: Recovery) -> dict[str, Any]:
    fields: dict[str, Any] = plain(shown)
    return {**fields, "changes": len(shown.changes)}


def _plan_text(shown: Recovery) -> str:
    if shown.action == "restore":
        head = f"restore {shown.digest}: {len(shown.changes):,} changes"
    else:
        head = f"accept {shown.seen}: what Redis holds at rev {shown.revision:,}"
    verb = "writes" if shown.action == "restore" else "drops"
    lines = [
        head,
        f"  {verb:<9} {_diff_text(shown.diff)}",
        f"  redis     rev {shown.revision:,}, digest {shown.seen}",
        f"  then      a new epoch above rev {shown.base:,}, "
        f"{shown.nodes} nodes adopt it",
    ]
    return "\n".join(
        lines + [f"    {safe(name)}" for name in shown.diff.names[:_SHOWN]]
    )


async def _confirmed(
    shown: Recovery, env: str, values: argparse.Namespace
) -> str | None:
    if values.confirm:
        return str(values.confirm)
    if values.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NeedsConfirm(shown.tier, f"--confirm {env} ({shown.tier_why})")
    what = f"tier {shown.tier} ({safe(shown.tier_why)}): type {safe(env)} "
    print(what, end="", file=sys.stderr, flush=True)
    return await typed()


_VERBS = {
    "status": _status,
    "export": _export,
    "rewound": _rewound,
    "restore": _restore,
    "accept": _accept,
}
