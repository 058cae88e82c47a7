"""Merges what nodes and the store say into one `FleetView`.  Pure, one per reader.

Only what changed is made anew: a route whose windows did not move keeps its row.
Rates divide by the time the nodes say they counted, so a tick that slips into the
next second does not bend them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from operator import attrgetter

import msgspec

from failsoft.controls.targets import covers
from failsoft.ops.alertrows import alert_notices, alert_rows
from failsoft.ops.breakerrows import dependency_view
from failsoft.ops.contractbook import ContractBook, joined_contract
from failsoft.ops.contractnotices import contract_notices
from failsoft.ops.contractrows import DriftView, VersionsView
from failsoft.ops.controlrows import (
    CONTRACT_KINDS,
    control_rows,
    evaluators_of,
    log_row,
    reached_routes,
)
from failsoft.ops.fleetrows import DependencyView
from failsoft.ops.groups import GroupBook
from failsoft.ops.guard import proposal_rows
from failsoft.ops.limitrows import limit_sums
from failsoft.ops.matrix import call_rows, with_calls
from failsoft.ops.moderows import mode_rows
from failsoft.ops.nodes import NodeBook
from failsoft.ops.notices import notices
from failsoft.ops.rings import MINUTE_S, WINDOW_S, Counts, FleetRings, Ring
from failsoft.ops.sloviews import SloBook
from failsoft.ops.sources.source import Batch
from failsoft.ops.ticks import FEW_CALLS, shown_percentiles
from failsoft.ops.views import ControlRow, FleetView, Late, Link, RouteRow, Totals
from failsoft.store.callmap import Seen
from failsoft.store.fleet import FleetRead
from failsoft.store.protocols import Entry, Observed
from failsoft.telemetry import Definitions, decode_definitions, read_tick

__all__ = ["FleetMerge", "is_production"]

LOG_SHOWN = 200
_LOG_KEPT = 1000
_WEIGHTS = {"critical_plus": 8, "critical": 4, "sheddable_plus": 2, "sheddable": 1}
_STATE_RANK = {letter: i for i, letter in enumerate("KBDSLW.?")}
_LETTERS = {"brownout": "W", "mode": "D", "kill": "K"}
_CLOCK_BACK_S = 5
_NOTHING_LATE = Late()
_impact_of = attrgetter("impact")
_rps_of = attrgetter("rps")


def is_production(env: str) -> bool:
    """Whether the environment's name says so: `prod` or `production` as a word."""
    return not {"prod", "production"}.isdisjoint(env.split("-"))


class _Spans:
    """The windows that rows are made of, and how many seconds they really cover."""

    def __init__(self, rings: FleetRings) -> None:
        self.ticks = rings.span()
        self.second = rings.second
        self.now_s = rings.span_s(WINDOW_S)
        self.minute_s = rings.span_s(MINUTE_S)


class _Controls(msgspec.Struct, frozen=True):
    """Raw records and the history they belong to."""

    records: Mapping[tuple[str, str], bytes] = {}
    epoch: str = ""


class FleetMerge:
    """The state between two views."""

    def __init__(self) -> None:
        self.rings = FleetRings()
        self.nodes = NodeBook()
        self.groups = GroupBook()
        self.contract = ContractBook()
        self.slos = SloBook()
        self.definitions = Definitions()
        self._stored = _Controls()
        self._good = _Controls()  # what the nodes enforce
        self._held: frozenset[str] = frozenset()
        self.entries: deque[Entry] = deque(maxlen=_LOG_KEPT)
        self.observed: Observed | None = None
        self._fleet: FleetRead | None = None
        self._calls: Mapping[Seen, int] = {}
        self._calls_ms = 0  # when they were read
        self.bad_ticks = 0
        self.has_controls = False
        self._blobs: dict[str, Definitions] = {}
        self._criticality: dict[str, str] = {}
        self._controls: tuple[ControlRow, ...] = ()
        self._evaluators: Mapping[str, bytes] = {}
        self._reach: dict[str, tuple[str, ...]] = {}  # target -> routes
        self._states: dict[str, tuple[str, str]] = {}  # route -> letter, word
        self._rows: dict[str, RouteRow] = {}
        self._routes_known = 0
        self._next_end_ms = 0
        self._dirty = True

    def begin(self, batch: Batch) -> None:
        """Take everything of a batch but its ticks."""
        if batch.controls is not None:
            self._stored = _Controls(batch.controls, batch.epoch)
            self.has_controls = True
            self._dirty = True
        if batch.entries:
            seen = {entry.id for entry in self.entries}
            self.entries.extend(e for e in batch.entries if e.id not in seen)
            self._dirty = True
        for digest, blob in batch.definitions.items():
            self._learn(digest, blob)
        if batch.ledgers is not None:
            self.contract.take(batch.ledgers)
            if batch.ledgers.calls is not None:
                self._calls = batch.ledgers.calls
                self._calls_ms = batch.ledgers.now_ms or 1
        if batch.ledgers is not None and batch.ledgers.slos is not None:
            self.slos.take(batch.ledgers.slos)
        if batch.fleet is not None:
            self._fleet = batch.fleet
        if batch.observed is not None:
            self.observed = batch.observed
            self.nodes.take(batch.observed)
            self._dirty |= self.nodes.held_epochs() != self._held
            self._held = self.nodes.held_epochs()
            self.groups.take(batch.observed.flights)
            self._choose_definitions()

    def _learn(self, digest: str, blob: bytes) -> None:
        try:
            self._blobs[digest] = decode_definitions(blob)
        except msgspec.DecodeError:
            self._blobs[digest] = Definitions()

    def _choose_definitions(self) -> None:
        digests = self.nodes.digests()
        known = [self._blobs[d] for d in digests if d in self._blobs]
        merged = _joined(known) if known else self.definitions
        if merged != self.definitions:
            self.definitions = merged
            self._criticality = {key: level for key, level, _ in merged.routes}
            self._dirty = True

    def take_tick(self, tick_id: str, blob: bytes) -> None:
        """Count one tick in the second of its stream id."""
        try:
            tick = read_tick(blob)
            second = int(tick_id.partition("-")[0]) // 1000
        except (msgspec.DecodeError, ValueError):
            self.bad_ticks += 1
            return
        self.rings.take(second, tick)

    def settle(self) -> None:
        """Count the ticks taken so far, and let old seconds leave the windows."""
        if self.observed is None:
            return
        second = self.observed.now_ms // 1000
        if second < self.rings.second - _CLOCK_BACK_S:
            # Another server with another clock: its seconds cannot be joined to ours.
            self.rings = FleetRings()
            self._rows.clear()
        self.rings.settle(second)

    def join_contract(self) -> tuple[VersionsView | None, DriftView | None]:
        """Return the pictures of versions and drift; 0.5 s for 20,000 counters.

        In a thread where it was just read: further calls cost nothing.
        """
        now_ms = self.observed.now_ms if self.observed else 0
        return self.contract.views(self._controls, self.definitions, now_ms)

    def view(self, seq: int, link: Link, received: float) -> FleetView:
        """Return the picture after `settle`; O(routes that changed)."""
        observed = self.observed or Observed(0, 0, "", "")
        now_ms = observed.now_ms
        if self._controls_changed(now_ms):
            self._compile_controls(now_ms)
        node_rows = self.nodes.rows(observed)
        routes = self._route_rows()
        controls = self._with_rates()
        totals = self._totals(controls, now_ms)
        versions, drift = self.join_contract()
        more = [*contract_notices(self.definitions, controls, drift, now_ms)]
        alerts = alert_rows(observed.alerts)
        more += alert_notices(alerts)
        return FleetView(
            seq=seq,
            env=observed.env,
            link=link,
            received=received,
            server_ms=now_ms,
            revision=observed.rev,
            epoch=observed.epoch,
            controls_state=self.nodes.controls_state(observed),
            production=is_production(observed.env),
            window_s=float(WINDOW_S),
            nodes=node_rows,
            routes=routes,
            groups=self.groups.rows(self.rings, now_ms),
            flights=self.groups.newest(),
            controls=controls,
            log=tuple(log_row(e) for e in list(self.entries)[: -LOG_SHOWN - 1 : -1]),
            notices=notices(node_rows, controls, observed, self.bad_ticks, more),
            proposals=proposal_rows(observed.proposals, controls),
            totals=totals,
            evaluators=self._evaluators,
            versions=versions,
            drift=drift,
            dependencies=self._dependencies(controls),
            limits=limit_sums(self._fleet, self.nodes.short) if self._fleet else (),
            slo=self.slos.view(self.definitions.slos, observed.alerts),
            alerts=alerts,
            modes=mode_rows(self.definitions.modes, controls, self._calls, now_ms),
        )

    def _dependencies(self, controls: Iterable[ControlRow]) -> DependencyView | None:
        if self._fleet is None:
            return None
        declared = self.definitions.dependencies
        view = dependency_view(self._fleet, controls, declared, self.nodes.short)
        calls = call_rows(self._calls, self.definitions, view.read_ms)
        return with_calls(view, calls, self._calls_ms)

    def _controls_changed(self, now_ms: int) -> bool:
        ended = 0 < self._next_end_ms <= now_ms
        return self._dirty or ended or len(self.rings.rings) != self._routes_known

    def _records(self) -> Mapping[tuple[str, str], bytes]:
        """Return the controls; those of a lost history while nodes enforce them."""
        lost = self._good.epoch and self._good.epoch != self._stored.epoch
        if lost and (self._good.epoch in self._held or self.nodes.overlaid()):
            return {**self._good.records, **self._stored.records}
        self._good = self._stored
        return self._good.records

    def _compile_controls(self, now_ms: int) -> None:
        self._dirty = False
        self._routes_known = len(self.rings.rings)
        records = self._records()
        self._evaluators = evaluators_of(records, self.definitions)
        lost = records.keys() - self._stored.records.keys()
        self._controls = control_rows(
            records, self.entries, self.definitions, now_ms, lost
        )
        active = [row for row in self._controls if row.active]
        ends = [row.until_ms for row in active if row.until_ms]
        self._next_end_ms = min(ends, default=0)
        keys = tuple(self.rings.rings)
        self._reach = {
            row.target: reached_routes(row, self.definitions, keys)
            for row in active
            if row.kind != "flag"
        }
        states: dict[str, tuple[str, str]] = {}
        for kind, letter in _LETTERS.items():  # the last one wins
            for row in active:
                word = f"DEGRADED {row.target[5:]}" if kind == "mode" else row.now
                reach = self._reach.get(row.target, ()) if row.kind == kind else ()
                states.update(dict.fromkeys(reach, (letter, word)))
        changed = states.items() ^ self._states.items()
        self._states = states
        self.rings.changed.update(route for route, _ in changed)

    def _route_rows(self) -> tuple[RouteRow, ...]:
        rings, spans = self.rings, _Spans(self.rings)
        rings.forget(frozenset(self._criticality))
        rows, count = self._rows, len(self._rows)
        stale = rings.changed | {k for k, r in rings.rings.items() if r.errors_at}
        for key in stale:
            ring = rings.rings.get(key)
            if ring is not None:
                rows[key] = self._route_row(ring, spans)
        rings.changed.clear()
        for key in self._criticality.keys() - rows.keys():
            rows[key] = self._route_row(Ring(key), spans)
        if len(rows) > count:
            self._rows = rows = dict(sorted(rows.items()))
        for key in rows.keys() - rings.rings.keys() - self._criticality.keys():
            del rows[key]
        return self._ranked()

    def _ranked(self) -> tuple[RouteRow, ...]:
        # Stable sorts by one number each: a third of the cost of sorting by tuples
        # (measured at 2,000 rows).  The rows themselves stand in the order of keys.
        rows = list(self._rows.values())
        rows.sort(key=_rps_of, reverse=True)
        rows.sort(key=_state_rank)
        rows.sort(key=_impact_of, reverse=True)
        return tuple(rows)

    def _route_row(self, ring: Ring, spans: _Spans) -> RouteRow:
        now, now_s = ring.now, spans.now_s
        few = now.n < FEW_CALLS
        sums, span_s = (ring.minute, spans.minute_s) if few else (now, now_s)
        err_rate = sums.errors / sums.n if sums.n >= FEW_CALLS else None
        err_per_s = sums.errors / span_s
        refused_per_s = now.refused / now_s
        criticality = self._criticality.get(ring.key, "critical")
        state, text = self._state(ring, refused_per_s, now_s)
        # A row without ticks may stay for ever, and would keep those of others.
        quiet = spans.second - ring.seen >= MINUTE_S
        return RouteRow(
            key=ring.key,
            rps=now.n / now_s,
            n=sums.n,
            err_rate=err_rate,
            err_delta=_delta(ring, err_rate),
            err_per_s=err_per_s,
            refused_per_s=refused_per_s,
            gone_per_s=now.gone / now_s,
            spark=ring.spark(spans.second),
            state=state,
            state_text=text,
            criticality=criticality,
            impact=err_per_s * _WEIGHTS.get(criticality, 4),
            few=few,
            ticks_lost=ring.lost > 0,
            late=_NOTHING_LATE if quiet else spans.ticks,
        )

    def _state(self, ring: Ring, refused_per_s: float, now_s: float) -> tuple[str, str]:
        letter, word = self._states.get(ring.key, (".", "ok"))
        if letter == "K" and refused_per_s:
            return letter, f"{word} {refused_per_s:.1f}/s refused"
        if letter != ".":
            return letter, word
        if ring.now.shed:
            return "S", f"SHEDDING {ring.now.shed / now_s:.1f}/s"
        if not ring.seen:
            return "?", "no request seen"
        few = 0 < ring.minute.n < FEW_CALLS
        return ".", "ok (too few calls)" if few else word

    def _with_rates(self) -> tuple[ControlRow, ...]:
        span_s = self.rings.span_s(WINDOW_S)
        flags = self.rings.flag_counts()
        rows = []
        for row in self._controls:
            rps = self._rate(row, flags, span_s)
            same = rps == row.rps
            rows.append(row if same else msgspec.structs.replace(row, rps=rps))
        return tuple(rows)

    def _rate(
        self, row: ControlRow, flags: Mapping[str, int], span_s: float
    ) -> float | None:
        kind, _, name = row.target.partition(":")
        if kind == "flag" and row.kind == "flag":
            return flags[name] / span_s if name in flags else None
        if not row.active or row.kind in CONTRACT_KINDS:
            return None
        if kind == "flag":
            return sum(n for flag, n in flags.items() if covers(name, flag)) / span_s
        reached = (self._rows.get(key) for key in self._reach.get(row.target, ()))
        return sum(row.rps + row.refused_per_s for row in reached if row is not None)

    def _totals(self, controls: Iterable[ControlRow], now_ms: int) -> Totals:
        live = self.nodes.live
        first = self.rings.second - WINDOW_S + 1
        fleet = Counts()
        rates = [0.0, 0.0, 0.0, 0.0, 0.0]
        for node, window in self.rings.nodes.items():
            span_s, sums = window.since(first)
            if node in live and span_s:
                fleet.add(sums)
                counts = (sums.n, sums.errors, sums.refused, sums.shed, sums.gone)
                rates = [r + c / span_s for r, c in zip(rates, counts, strict=True)]
        total = self.rings.total
        few = total.now.n < FEW_CALLS
        hist = total.minute.hist if few else total.now.hist
        p50, p95, p99 = shown_percentiles(hist)
        # Of rates, not of counts: a node with a second more in its window, and all of
        # the errors, would weigh too much.
        n, errors = (total.minute.n, total.minute.errors) if few else rates[:2]
        calls = total.minute.n if few else fleet.n
        active = [row for row in controls if row.active]
        ends = [row.until_ms for row in active if row.until_ms > now_ms]
        return Totals(
            rps=rates[0],
            n=fleet.n,
            err_rate=errors / n if calls >= FEW_CALLS else None,
            p50=p50,
            p95=p95,
            p99=p99,
            refused_per_s=rates[2],
            shed_per_s=rates[3],
            gone_per_s=rates[4],
            inflight=self.nodes.inflight(),
            nodes_live=len(live),
            nodes_known=self.nodes.known,
            controls_active=len(active),
            next_end_ms=min(ends, default=0),
            counted_s=self.rings.span_s(WINDOW_S) if self.rings.nodes else 0.0,
        )


def _state_rank(row: RouteRow) -> int:
    return _STATE_RANK[row.state]


def _delta(ring: Ring, err_rate: float | None) -> float | None:
    if err_rate is None or ring.past_n < FEW_CALLS:
        return None
    return err_rate - ring.past_errors / ring.past_n


def _joined(parts: list[Definitions]) -> Definitions:
    """Join the definitions of several releases; a later one wins by name."""
    if len(parts) == 1:
        return parts[0]
    routes = {key: (key, level, tags) for p in parts for key, level, tags in p.routes}
    flags = {key: (key, coded) for p in parts for key, coded in p.flags}
    modes = {mode.name: mode for p in parts for mode in p.modes}
    known = {flag.key: flag for p in parts for flag in p.flagdefs}
    shared = {name: (name, json) for p in parts for name, json in p.evaluators}
    return Definitions(
        tuple(routes.values()),
        tuple(flags.values()),
        tuple(modes.values()),
        tuple(known.values()),
        kill_default_s=min(part.kill_default_s for part in parts),
        kill_most_s=min(part.kill_most_s for part in parts),
        evaluators=tuple(shared.values()),
        dependencies=tuple(sorted({name for p in parts for name in p.dependencies})),
        spared=tuple(sorted({key for p in parts for key in p.spared})),
        slos=tuple({slo.name: slo for p in parts for slo in p.slos}.values()),
        guards=tuple({one.route: one for p in parts for one in p.guards}.values()),
        **joined_contract(parts),
    )
