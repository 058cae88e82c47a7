"""The store itself: its state, what nodes offer after a rewind, and the ways back.

Nothing here runs by itself: a person restores or accepts, after a preview that names
what would be written, and only if Redis still holds what the preview was made on.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Protocol

from msgspec.structs import replace

from failsoft import clock
from failsoft.controls.held import Held, Key
from failsoft.controls.lastgood import Saved, encode_file
from failsoft.controls.offers import decode_offer
from failsoft.controls.records import Record
from failsoft.controls.resync import Gap, Read, read_controls
from failsoft.errors import (
    FailsoftError,
    Invalid,
    NeedsConfirm,
    StoreConflict,
    StoreUnavailable,
    TargetGone,
)
from failsoft.ops.apply import Writer
from failsoft.ops.nodes import heartbeat_of
from failsoft.ops.permission import check_reason, check_role
from failsoft.ops.session import Session
from failsoft.ops.sources.store import FleetStore
from failsoft.ops.storeviews import (
    NodeSet,
    OfferRow,
    Recovery,
    RewindView,
    SetDiff,
    StoreStatus,
)
from failsoft.ops.views import Applied
from failsoft.store.limits import split_calls
from failsoft.store.protocols import Call, Change, OfferStore
from failsoft.telemetry import Heartbeat

__all__ = ["StoreDesk"]

_TRIES = 5
_NAMED = 20
_COMPARED = 5  # offers that are read and compared at once
_TIER_WHY = {
    "restore": "replaces what Redis holds by an offered set",
    "accept": "drops what nodes enforce and Redis lost",
}


class ControlsAndOffers(FleetStore, OfferStore, Protocol):
    """A store that also keeps offers, as all of ours do."""


class StoreDesk:
    """Reads and mends the control store for one operator's session.

    store: the session's own.  Errors: `OpsError` and `StoreError`.
    """

    def __init__(self, store: ControlsAndOffers, session: Session) -> None:
        self._store = store
        self._session = session
        self._writer = Writer(store, session.identity)

    async def status(self) -> StoreStatus:
        """Return what the store holds and what the live nodes enforce."""
        read = await self._read(None)
        return self._status(read, await self._beats())

    async def export(self) -> tuple[bytes, Held]:
        """Return the file a node can begin with (`store.bootstrap`), and its set."""
        read = await self._read(None)
        now = clock.unix()
        saved = Saved(self._store.env, read.stored, now, read.now_ms - now * 1000)
        return encode_file(saved), read.stored

    async def rewound(self) -> RewindView:
        """Return offers, the nodes that hold them, and their difference to Redis."""
        read, beats = await self._read(None), await self._beats()
        rows = []
        for digest, size in (await self._store.offers()).items():
            nodes = sum(beat.offer == digest for beat in beats.values())
            rows.append(OfferRow(digest, nodes, size))
        rows.sort(key=lambda row: (-row.nodes, row.digest))
        found = [await self._compared(row) for row in rows[:_COMPARED]]
        is_met = any(beat.state == "rewound" for beat in beats.values())
        why = next((why for _, why in found if why), "") if is_met else ""
        offers = [row for row, _ in found] + rows[_COMPARED:]
        return RewindView(self._status(read, beats), why, tuple(offers))

    async def plan_restore(self, digest: str) -> Recovery:
        """Return what brings an offered set back; `digest`: or its unique beginning.

        What operators wrote after the rewind stays.  TargetGone without such an offer.
        """
        known = list(await self._store.offers())
        found = [name for name in known if digest and name.startswith(digest)]
        if len(found) != 1:
            raise TargetGone(f"offer {digest}", tuple(found or known)[:3])
        good = await self._offered(found[0])
        read = await self._read(good)
        diff, changes = _way_back(read)
        return self._recovery("restore", read, await self._beats(), diff, changes, good)

    async def plan_accept(self) -> Recovery:
        """Return what makes the nodes adopt what Redis holds."""
        read, beats = await self._read(None), await self._beats()
        held = [offer for offer in (await self.rewound()).offers if offer.nodes]
        diff = held[0].diff if held else SetDiff()
        return self._recovery("accept", read, beats, diff, ())

    async def carry_out(
        self, shown: Recovery, *, reason: str, confirm: str | None
    ) -> Applied:
        """Write a recovery in calls of 1,000 changes and end in a new epoch.

        confirm: the environment's name.  StoreConflict when Redis no longer holds
        what `shown` was made on; what was broken off is gone on with by a new plan.
        """
        session = self._session
        try:
            check_role(session.role, read_only=session.read_only, armed=True)
            why = check_reason(reason)
            if confirm != self._store.env:
                what = f"type {self._store.env} ({shown.tier_why})"
                raise NeedsConfirm(shown.tier, what)
            await self._check_unchanged(shown)
            return await self._write(shown, why)
        except FailsoftError as error:
            await self._writer.attempted(shown.action, "store", reason, error)
            raise

    async def _check_unchanged(self, shown: Recovery) -> None:
        stored = (await self._read(None)).stored
        if (stored.digest, stored.epoch) != (shown.seen, shown.epoch):
            raise StoreConflict(
                "store",
                current=None,
                revision=stored.rev,
                expected=shown.revision,
                diff=f"its digest was {shown.seen}, now it is {stored.digest}",
            )

    async def _write(self, shown: Recovery, why: str) -> Applied:
        epoch = shown.epoch
        for number, changes in enumerate(split_calls(shown.changes)):
            call = self._call(shown, why, f"{number}", changes, epoch)
            epoch = (await self._store.apply(call)).epoch
        call = self._call(shown, why, "accept", (), epoch, accept=shown.epochs)
        answer = await self._store.apply(call)
        return Applied(
            revision=answer.revision,
            epoch=answer.epoch,
            op_id=call.op_id,
            at_ms=answer.now_ms,
            duplicate=answer.duplicate,
            targets=("store",),
        )

    def _call(
        self,
        shown: Recovery,
        why: str,
        part: str,
        changes: tuple[Change, ...],
        epoch: str,
        accept: tuple[str, ...] | None = None,
    ) -> Call:
        # Of its content: what is sent twice is written once.
        named = f"{shown.action} {shown.digest} {shown.seen} {shown.epoch} {part}"
        return Call(
            sha256(named.encode()).hexdigest()[:16],
            self._writer.actor,
            why,
            changes,
            via=self._session.identity.os_label,
            epoch=epoch,
            base=shown.base,
            accept=accept,
        )

    async def _read(self, good: Held | None) -> Read:
        """Read the store, laid over a set; StoreUnavailable if it moves too fast."""
        for _ in range(_TRIES):
            try:
                return await read_controls(self._store, good, always=True)
            except Gap:
                continue
        raise StoreUnavailable("writes came faster than reads", where="controls")

    async def _beats(self) -> dict[str, Heartbeat]:
        peers = await self._store.peers()
        beats = {node: heartbeat_of(blob) for node, blob in peers.items()}
        return {node: beat for node, beat in beats.items() if beat is not None}

    async def _offered(self, digest: str) -> Held:
        blob = await self._store.offered(digest)
        if blob is None:
            raise TargetGone(f"offer {digest}")
        try:
            return decode_offer(blob, self._store.env, digest)
        except ValueError as error:
            raise Invalid("--from", str(error)) from None

    async def _compared(self, row: OfferRow) -> tuple[OfferRow, str]:
        """Return an offer with its difference to Redis, and why that was rewound."""
        try:
            good = await self._offered(row.digest)
        except FailsoftError as error:
            return replace(row, fault=error.message), ""
        read = await self._read(good)
        facts = {"rev": good.rev, "epoch": good.epoch, "records": len(good.records)}
        return replace(row, **facts, diff=_way_back(read)[0]), read.why

    def _status(self, read: Read, beats: Mapping[str, Heartbeat]) -> StoreStatus:
        stored, short = read.stored, self._session.reader.merge.nodes.short
        counts: dict[str, int] = {}
        for kind, _ in stored.records:
            counts[kind] = counts.get(kind, 0) + 1
        nodes = [
            NodeSet(n, short(n), b.state, b.epoch, b.rev, b.digest, b.offer)
            for n, b in beats.items()
        ]
        return StoreStatus(
            env=self._store.env,
            revision=stored.rev,
            epoch=stored.epoch,
            lineage=stored.lineage,
            digest=stored.digest,
            server_ms=read.now_ms,
            counts=counts,
            nodes=tuple(sorted(nodes, key=lambda node: (len(node.short), node.short))),
            newest_log=stored.last_id,
        )

    def _recovery(
        self,
        action: str,
        read: Read,
        beats: Mapping[str, Heartbeat],
        diff: SetDiff,
        changes: tuple[Change, ...],
        good: Held | None = None,
    ) -> Recovery:
        stored = read.stored
        known = [(beat.epoch, beat.rev) for beat in beats.values()]
        known += [(beat.good_epoch, beat.good_rev) for beat in beats.values()]
        if good is not None:
            known.append((good.epoch, good.rev))
        epochs = dict.fromkeys(epoch for epoch, _ in known if epoch)
        return Recovery(
            action=action,
            digest=read.held.digest,
            seen=stored.digest,
            revision=stored.rev,
            epoch=stored.epoch,
            diff=diff,
            changes=changes,
            base=max([stored.rev, *(rev for _, rev in known)]),
            epochs=tuple(e for e in epochs if e != stored.epoch),
            nodes=len(beats),
            tier_why=_TIER_WHY[action],
        )


def _way_back(read: Read) -> tuple[SetDiff, tuple[Change, ...]]:
    """Return the difference of a set laid under Redis to Redis, and what ends it."""
    stored, target = read.stored.records, read.held.records
    lost: list[Key] = []
    other: list[Key] = []
    changes: list[Change] = []
    for key, record in target.items():
        now = stored.get(key)
        if record.is_due(read.now_ms) or (now and _is_same(now, record)):
            continue
        (other if now else lost).append(key)
        changes.append(_restored(key, record, now))
    extra = [key for key in stored if key not in target]
    changes += [Change(*key, "del", stored[key].rev) for key in extra]
    parts = (("-", lost), ("~", other), ("+", extra))
    names = [f"{sign} {'/'.join(key)}" for sign, keys in parts for key in keys[:_NAMED]]
    diff = SetDiff(len(lost), len(other), len(extra), tuple(names[:_NAMED]))
    return diff, tuple(changes)


def _is_same(one: Record, other: Record) -> bool:
    return (one.json, one.until_ms) == (other.json, other.until_ms)


def _restored(key: Key, record: Record, now: Record | None) -> Change:
    until, if_rev = str(record.until_ms), now.rev if now else 0
    return Change(*key, "restore", if_rev, until, record.json)
