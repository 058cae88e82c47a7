"""What a node does each second for its fleet: its row, the lease, the duties.

Facts, duties and what they may write are named in `failsoft.controls.lead`, rows in
`failsoft.store.fleet`.  Nothing of it lies on the path of a request: with the store
away nobody acts for the fleet, and nodes protect themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from failsoft import clock
from failsoft.controls.lead import (
    DependencyFacts,
    Duty,
    FleetFacts,
    Lead,
    Proposal,
    Records,
    Write,
)
from failsoft.controls.records import BreakerDoc, Record, encode_doc
from failsoft.controls.watcher import ControlState
from failsoft.errors import StoreConflict, StoreError, StoreRefused, StoreUnavailable
from failsoft.outbound._breaker import CLOSED
from failsoft.outbound._fleet import FleetProbe, merged_quotas, row_of
from failsoft.outbound._gate import Gate
from failsoft.store.fleet import (
    DEPENDENCIES_KEPT,
    ROW_FRESH_MS,
    ROWS_TTL_MS,
    DependencyRow,
    FleetBeat,
    FleetSay,
    NodeRow,
    QuotaSum,
    decode_quotas,
    decode_row,
    encode_row,
)
from failsoft.store.open import open_store
from failsoft.store.protocols import Answer, Call, Change

__all__ = [
    "AUTOMATION",
    "Book",
    "DependencyFacts",
    "Duty",
    "Fleet",
    "FleetFacts",
    "Lead",
    "Write",
    "facts_of",
]

AUTOMATION = "(automation)"  # who, of what nobody wrote by hand
LEADS_S = 4.0  # since the last confirmed renewal; the lease itself lasts for 6
_TOO_SLOW_MS = 500.0  # a loop that lags so much leads nobody
_PERIOD_S = 1.0
_LEADING_S = 0.5  # the leader looks twice a second: it is on the way of each quorum
_LOOK_S = 0.1
_LEAVE_S = 0.5
_PROPOSED_AGAIN_MS = 600_000
_PROPOSALS_KEPT = 100

_log = logging.getLogger("failsoft")
_Failed = Callable[[str, BaseException], None]


class Book(Protocol):
    """What the fleet needs of a node's dependencies."""

    def gates(self) -> Iterable[Gate]:
        """Return every dependency that was called or is declared here."""
        ...

    def take_quotas(self, quotas: tuple[QuotaSum, ...]) -> None:
        """Take what the fleet knows of quotas."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One node as its fleet needs it.

    row: the row of now, its dependencies left out.  controls: those in force.
    lag_ms: of the event loop.  duties: made anew with each gain of the lease.
    may_lead: setting `health.leader`.  automation_url: login that may write controls.
    """

    node: str
    row: Callable[[], NodeRow]
    book: Book
    controls: Callable[[], ControlState | None]
    now_ms: Callable[[], float]
    lag_ms: Callable[[], float]
    failed: _Failed
    duties: Callable[[], Sequence[Duty]] = tuple
    may_lead: bool = True
    automation_url: str = ""


@dataclass(eq=False)
class Fleet:
    """A node among its fleet; `run` is one task of the node's loop."""

    store: Any
    me: Member
    leads_until: float = field(default=0.0, init=False)  # of the monotonic clock
    term: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._probes: dict[str, FleetProbe] = {}
        self._said: dict[str, str] = {}  # dependency -> breaker of the last row
        self._did_all = 0.0
        self._duties: Sequence[Duty] = ()
        self.acting: asyncio.Task[None] | None = None  # what duties do now
        self._gone: tuple[str, ...] = ()
        self._quotas = b""
        self.proposed: dict[str, tuple[tuple[object, ...], int]] = {}

    @property
    def is_leading(self) -> bool:
        """Whether this node may act for the fleet at this moment."""
        return clock.monotonic() < self.leads_until

    async def run(self) -> None:
        """Say each second what is the case, and act if it leads, until cancelled."""
        try:
            while True:
                began = clock.monotonic()
                try:
                    await self.second()
                    state = self.me.controls()
                    # Of a store that was rewound nobody lifts what is held.
                    self._be_alone(state is not None and state.state == "rewound")
                except StoreError as error:
                    _log.debug("the fleet does not hear of this node: %s", error)
                    self._be_alone(True)
                except Exception as error:  # noqa: BLE001 - border: the next second comes
                    self.me.failed("fleet", error)
                await self._rest(began)
        finally:
            self.leads_until = 0.0
            await self._leave()

    async def _rest(self, began: float) -> None:
        """Sleep until the next row is due, or a breaker moves."""
        due = began + (_LEADING_S if self.term else _PERIOD_S)
        while True:
            await asyncio.sleep(_LOOK_S)
            if clock.monotonic() >= due or self._has_news():
                return

    def _be_alone(self, is_alone: bool) -> None:
        # Held records cannot be lifted then; own probes find out what is back.
        for gate in self.me.book.gates():
            gate.is_alone = is_alone

    async def _leave(self) -> None:
        if self.acting is not None:
            self.acting.cancel()
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await self.store.fleet_leave(self.me.node)

    async def second(self) -> None:
        """Say one second; raises StoreError when the store does not take it."""
        now_ms, began = self.me.now_ms(), clock.monotonic()
        row = msgspec.structs.replace(
            self.me.row(), at_ms=int(now_ms), dependencies=self._rows(began, now_ms)
        )
        wants = self.me.may_lead and self.me.lag_ms() <= _TOO_SLOW_MS
        say = FleetSay(encode_row(row), wants, self.term > 0, self._quotas, self._gone)
        beat = await self.store.fleet_beat(self.me.node, say)
        self._learn_lease(beat, began)
        self.me.book.take_quotas(decode_quotas(beat.quotas))
        await self._probe()
        if self.term and beat.rows:
            self._act(beat)

    def _rows(self, now: float, now_ms: float) -> tuple[DependencyRow, ...]:
        gates = tuple(self.me.book.gates())
        self._said = {gate.name: gate.breaker.state for gate in gates}
        active = [gate for gate in gates if gate.is_active(now)]
        # Of more than are told, those that the fleet has to decide about come first.
        active.sort(key=lambda gate: gate.breaker.state == CLOSED)
        return tuple(
            row_of(gate.state(now), gate.breaker.failures_in_row, now_ms)
            for gate in active[:DEPENDENCIES_KEPT]
        )

    def _has_news(self) -> bool:
        """Whether a breaker moved since the last row: the fleet waits for that."""
        return any(
            gate.breaker.state != self._said.get(gate.name, CLOSED)
            for gate in self.me.book.gates()
        )

    def _learn_lease(self, beat: FleetBeat, began: float) -> None:
        if beat.leader != self.me.node:
            self.leads_until, self.term, self._duties = 0.0, 0, ()
            self._quotas, self._gone = b"", ()
            return
        if beat.term != self.term:
            _log.info("this node leads the fleet, term %d", beat.term)
            self.term, self._duties = beat.term, tuple(self.me.duties())
        # From before it was asked for: the answer may have been long on its way.
        self.leads_until = began + LEADS_S

    # --- probes -------------------------------------------------------------

    async def _probe(self) -> None:
        """Tell outcomes of probes, and let as many calls through as are granted."""
        now = clock.monotonic()
        gates = {gate.name: gate for gate in self.me.book.gates()}
        for name, probe in self._opened().items():
            gate = gates.get(name)
            ended = gate.probed(now) if gate is not None else ()
            wants = gate is not None and gate.wants_probes(now)
            ask = probe.ask(self.me.now_ms(), ended, wants=wants)
            if ask is None:
                continue
            permits = probe.told(await self.store.fleet_probe(ask))
            if gate is not None and permits:
                gate.lend((ask.since_ms, ask.number), permits, clock.monotonic())

    def _opened(self) -> Mapping[str, FleetProbe]:
        state = self.me.controls()
        opened = dict(opened_by_fleet(state.records)) if state is not None else {}
        known = self._probes
        self._probes = {
            name: known[name]
            if name in known and known[name].since_ms == since_ms
            else FleetProbe(name, since_ms)
            for name, since_ms in opened.items()
        }
        return self._probes

    def has_passed(self, name: str) -> bool:
        """Whether the fleet's probes found a dependency back."""
        return name in self._probes and self._probes[name].has_passed

    # --- the leader ---------------------------------------------------------

    def _act(self, beat: FleetBeat) -> None:
        state = self.me.controls()
        rows = {node: decode_row(raw) for node, raw in beat.rows.items()}
        read = {node: row for node, row in rows.items() if row is not None}
        self._gone = tuple(
            node
            for node in rows
            if node not in read or beat.now_ms - read[node].at_ms > ROWS_TTL_MS
        )[:100]
        if state is None or (self.acting is not None and not self.acting.done()):
            return  # one that still waits for the store
        facts = facts_of(beat.now_ms, read, state.rev, state.records)
        merged = merged_quotas(row.dependencies for row in facts.nodes.values())
        self._quotas = msgspec.msgpack.encode(merged) if merged else b""
        self.acting = asyncio.create_task(self._do(facts), name="failsoft-duties")

    async def _do(self, facts: FleetFacts) -> None:
        lead = _Lead(self, facts, self.term)
        now = clock.monotonic()
        is_due = now - self._did_all >= _PERIOD_S - _LOOK_S
        if is_due:
            self._did_all = now
        for duty in self._duties:
            if not is_due and not getattr(duty, "is_urgent", False):
                continue
            try:
                await duty.each_second(facts, lead)
            except Exception as error:  # noqa: BLE001 - border: the other duties go on
                self.me.failed(f"duty {type(duty).__name__}", error)

    async def apply(self, call: Call) -> Answer:
        """Write as automation."""
        if not self.me.automation_url:
            answer: Answer = await self.store.apply(call)
            return answer
        writer = open_store(self.me.automation_url, self.store.env)
        try:
            return await writer.apply(call)
        finally:
            await writer.aclose()


class _Lead:
    """What one node may do for the fleet in one term."""

    def __init__(self, fleet: Fleet, facts: FleetFacts, term: int) -> None:
        self.term = term
        self._fleet = fleet
        self._facts = facts

    async def write(
        self, kind: str, name: str, doc: Any, until_ms: int, why: str
    ) -> Write:
        """Put or delete a control; see `controls.lead.Lead`."""
        record = self._facts.records.get((kind, name))
        if record is not None and not _is_automatic(record):
            return Write("kept", record.rev)
        if doc is None and record is None:
            return Write("same")
        rev, json, why = record.rev if record else 0, b"", why[:500]
        if doc is not None:
            json = encode_doc(msgspec.structs.replace(doc, who=AUTOMATION, why=why))
        change = Change(kind, name, "put", rev, str(until_ms), json)
        if doc is None:
            change = Change(kind, name, "del", rev)
        op_id = _op_id(kind, name, self.term, rev, json)
        via = f"{self._fleet.me.node}, term {self.term}"[-100:]
        call = Call(op_id, AUTOMATION, why, (change,), via=via)
        if not self._fleet.is_leading or self._fleet.term != self.term:
            return Write("lost")
        try:
            answer = await self._fleet.apply(call)
        except StoreConflict as conflict:
            return Write("kept", conflict.revision)
        except StoreUnavailable as error:
            _log.warning("%s/%s is not written yet: %s", kind, name, error)
            return Write("lost")
        except StoreRefused as refused:
            return await self._propose(change, _meant(doc), refused, why)
        if answer.duplicate:
            return Write("same", answer.revision)
        return Write("written", answer.revision)

    async def _propose(
        self, change: Change, meant: tuple[object, ...], refused: StoreRefused, why: str
    ) -> Write:
        fleet, target = self._fleet, f"{change.kind}:{change.name}"
        before, at_ms = fleet.proposed.get(target, ((), 0))
        now_ms = self._facts.now_ms
        if before == meant and now_ms - at_ms < _PROPOSED_AGAIN_MS:
            return Write("proposed")
        while len(fleet.proposed) >= _PROPOSALS_KEPT:
            del fleet.proposed[next(iter(fleet.proposed))]
        fleet.proposed[target] = (meant, now_ms)
        until_ms = int(change.until) if change.op == "put" else 0
        ttl_s = max(0.0, (until_ms - now_ms) / 1000) if until_ms else 0.0
        doc = change.json.decode()
        proposal = Proposal(change.kind, change.name, doc, ttl_s, why, fleet.me.node)
        with suppress(StoreError):
            await fleet.store.propose(target, msgspec.json.encode(proposal))
        _log.error("%s should be set by an operator: %s; %s", target, why, refused)
        return Write("proposed")


def _meant(doc: Any) -> tuple[object, ...]:
    """Return what a control would do; instants and figures change each second."""
    said = ("want", "state", "share", "latched")
    return (doc is None, *(getattr(doc, key, None) for key in said))


def _is_automatic(record: Record) -> bool:
    """Whether no operator wrote a record; a broken one counts as theirs."""
    try:
        return getattr(record.doc(), "via", "operator") != "operator"
    except msgspec.DecodeError:
        return False


def _op_id(*words: object) -> str:
    """Return one id for the same write, however often it is tried."""
    text = "\0".join(map(str, words)).encode(errors="backslashreplace")
    return hashlib.sha256(text).hexdigest()[:16]


def opened_by_fleet(records: Records) -> Iterable[tuple[str, int]]:
    """Return (name, since ms) of the dependencies that the fleet itself opened."""
    for (kind, name), record in records.items():
        if kind == "breaker":
            doc = _breaker(record)
            if doc is not None and (doc.state, doc.via) == ("open", "auto"):
                yield name, doc.since_ms or record.at_ms


def _breaker(record: Record) -> BreakerDoc | None:
    try:
        doc: BreakerDoc = record.doc()
    except msgspec.DecodeError:
        return None
    return doc


def facts_of(
    now_ms: int, rows: Mapping[str, NodeRow], rev: int, records: Records
) -> FleetFacts:
    """Return the facts of one second: rows older than 3 s do not count.  Pure."""
    nodes = {n: row for n, row in rows.items() if now_ms - row.at_ms <= ROW_FRESH_MS}
    by_name: dict[str, dict[str, DependencyRow]] = {}
    for node, row in nodes.items():
        for said in row.dependencies:
            by_name.setdefault(said.name, {})[node] = said
    docs = {
        name: record for (kind, name), record in records.items() if kind == "breaker"
    }
    found = {
        name: _dependency(name, by_name.get(name, {}), docs.get(name))
        for name in by_name.keys() | docs.keys()
    }
    return FleetFacts(now_ms, rev, nodes, dict(sorted(found.items())), records)


def _dependency(
    name: str, rows: Mapping[str, DependencyRow], record: Record | None
) -> DependencyFacts:
    doc = _breaker(record) if record is not None else None
    state, via, open_ms = "", "", 0
    if record is not None and doc is not None:
        state, via = doc.state, doc.via
        open_ms = (doc.since_ms or record.at_ms) if state == "open" else 0
    said = rows.values()
    left = [
        row.quota_remaining / row.quota_limit
        for row in said
        if row.quota_limit > 0 and row.quota_remaining >= 0
    ]
    return DependencyFacts(
        name=name,
        rows=rows,
        calls=sum(row.calls for row in said),
        fail=sum(row.fail for row in said),
        slow=sum(row.slow for row in said),
        refused=sum(row.refused for row in said),
        state=state,
        via=via,
        open_ms=open_ms,
        quota_left=min(left, default=None),
    )
