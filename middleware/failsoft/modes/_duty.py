"""What the leader does for the modes of a fleet: enters, renews and ends them.

No node enters a mode by itself, and no automation touches what a person set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from failsoft.controls.burns import Burns
from failsoft.controls.lead import FleetFacts, Lead
from failsoft.controls.records import ModeDoc, Record
from failsoft.modes._engine import STEP_S, Move, Rule, Signal, State, advance
from failsoft.modes._triggers import Sight, Watch
from failsoft.settings import ANSWERING, ModeDefinition
from failsoft.store.fleet import ModeRow

__all__ = ["ModeDuty"]

_LASTS_MS = 1_800_000  # a dead leader leaves no mode for longer
_RENEWED_MS = 600_000  # ... and a living one writes again when so much is left
_ECHO_S = 5.0  # how long a write may take to come back as a fact
_DRILLED = 100  # requests that each action must be tried on


@dataclass(eq=False)
class _Held:
    """One automatic mode.  wrote_at: last write that facts may not show yet."""

    rule: Rule
    watch: Watch
    state: State = field(default_factory=State)
    wrote_at: float = -_ECHO_S
    seen: dict[str, tuple[int, int, int]] = field(default_factory=dict)


class ModeDuty:
    """Runs the engine of each mode that has a trigger, once a second.

    burns: what is known of SLOs in this second.  rand: 0..1.
    """

    def __init__(
        self,
        modes: Mapping[str, ModeDefinition],
        burns: Callable[[], Burns],
        rand: Callable[[], float],
    ) -> None:
        self._modes = modes
        self._burns = burns
        self._rand = rand
        self._exercised: dict[str, int] = {}
        self._held = {
            name: _Held(_rule_of(mode), Watch(mode.enter))
            for name, mode in modes.items()
            if mode.enter is not None
        }

    async def each_second(self, facts: FleetFacts, lead: Lead) -> None:
        """Judge every mode on the facts of this second; raises what one of them did."""
        sight = Sight(facts, self._burns())
        faults: list[Exception] = []
        for name, mode in self._modes.items():
            seen = _seen(name, facts)
            try:
                await self._remember(mode, seen, lead)
                if name in self._held:
                    await self._mind(mode, seen, sight, lead)
            except Exception as fault:  # noqa: BLE001 - border: the other modes go on
                faults.append(fault)
        if faults:
            raise faults[0]

    async def _mind(
        self, mode: ModeDefinition, seen: _Seen, sight: Sight, lead: Lead
    ) -> None:
        held, now = self._held[seen.name], seen.now_ms / 1000
        state = _reconciled(held, seen.doc, now)
        read = held.watch.read(sight)
        probes, bad = _probed(held, seen.rows)
        signal = Signal(*read[:4], probes, bad)
        after, move = advance(held.rule, state, signal, now, self._rand)
        if not move and not _is_due(after, seen):
            held.state = after
            return
        doc = self._doc(mode, after, seen, read.why)
        until_ms = 0 if doc is None or doc.latched else seen.now_ms + _LASTS_MS
        if after.is_timed and doc is not None:
            until_ms = read.window_ms
        why = _why(move, read.why, seen)
        wrote = await lead.write("mode", seen.name, doc, until_ms, why)
        if wrote.is_done:
            held.state, held.wrote_at = after, now
        # Else it stays as it was, and tries again in the next second.

    def _doc(
        self, mode: ModeDefinition, state: State, seen: _Seen, why: str
    ) -> ModeDoc | None:
        """Return the record of a state, None for none."""
        exercised_ms = self._exercised.get(seen.name, 0)
        if not state.is_on:
            return _resting(exercised_ms) if exercised_ms else None
        doc = seen.doc
        is_on = doc is not None and doc.want == "on"
        back = mode.recover[state.step] if state.phase == "recovering" else 0
        return ModeDoc(
            who="",
            why="",
            since_ms=doc.since_ms if doc is not None and is_on else seen.now_ms,
            via="schedule" if state.is_timed else "auto",
            share=round(1 - back / 100, 4),
            step=state.step + 1 if state.phase == "recovering" else 0,
            latched=state.phase == "latched",
            dry_run=mode.dry_run,
            trigger=why or (doc.trigger if doc is not None else ""),
            exercised_ms=exercised_ms,
            flips=tuple(int(at * 1000) for at in state.flips),
        )

    async def _remember(self, mode: ModeDefinition, seen: _Seen, lead: Lead) -> None:
        """Keep when a mode was last tried, also when its record ends by itself."""
        name, doc = seen.name, seen.doc
        known_ms = self._exercised.get(name, 0)
        if doc is not None and doc.exercised_ms > known_ms:
            known_ms = self._exercised[name] = doc.exercised_ms
        if doc is None:
            if known_ms and not self._is_writing(name, seen.now_ms):
                why = "the last drill is remembered"
                await lead.write("mode", name, _resting(known_ms), 0, why)
        elif doc.exercised_ms < doc.since_ms and _is_exercised(mode, seen):
            doc = msgspec.structs.replace(doc, exercised_ms=seen.now_ms)
            why = f"drill done: {_touched(seen)}, none failed"
            await lead.write("mode", name, doc, seen.until_ms, why)

    def _is_writing(self, name: str, now_ms: int) -> bool:
        held = self._held.get(name)
        return held is not None and now_ms / 1000 - held.wrote_at < _ECHO_S


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a second's facts say of one mode.  rows: by node."""

    name: str
    now_ms: int
    doc: ModeDoc | None
    until_ms: int
    rows: Mapping[str, ModeRow]


def _seen(name: str, facts: FleetFacts) -> _Seen:
    record = facts.records.get(("mode", name))
    doc = _doc_of(record)
    since_ms = doc.since_ms if doc is not None else 0
    rows = {
        node: row
        for node, said in facts.nodes.items()
        for row in said.modes
        if row.name == name and row.since_ms == since_ms
    }
    return _Seen(name, facts.now_ms, doc, record.until_ms if record else 0, rows)


def _doc_of(record: Record | None) -> ModeDoc | None:
    if record is None:
        return None
    try:
        doc: ModeDoc = record.doc()
    except msgspec.DecodeError:
        # Of whom it is cannot be told: automation keeps off.
        return ModeDoc("", "", want="off")
    return doc


def _rule_of(mode: ModeDefinition) -> Rule:
    said = mode.timing
    needs_probes = mode.answers and mode.probe > 0 and not mode.dry_run
    spans = said.hold_s, said.exit_hold_s, said.dwell_s
    return Rule(*spans, len(mode.recover), needs_probes)


def _reconciled(held: _Held, doc: ModeDoc | None, now: float) -> State:
    """Return where a mode stands, after what others wrote since."""
    state = held.state
    if doc is None or doc.want == "auto":
        is_echoing = now - held.wrote_at < _ECHO_S
        # Its record ended, or somebody gave it back to automation.
        is_stale = state.phase == "kept" or (state.is_on and not is_echoing)
        return State() if is_stale else state
    if doc.via in ("operator", "drill") or doc.want != "on":
        return State("kept")
    if state.is_on or now - held.wrote_at < _ECHO_S:
        return state
    # Another leader's: its timers begin anew, what it wrote stands.
    flips = tuple(at / 1000 for at in doc.flips)
    adopted = State("on", since=doc.since_ms / 1000, flips=flips)
    if doc.latched:
        return replace(adopted, phase="latched")
    if doc.step:
        # Its definition may have had more steps than ours.
        step, until = min(doc.step, held.rule.steps) - 1, now + STEP_S
        return replace(adopted, phase="recovering", step=step, step_until=until)
    return replace(adopted, is_timed=doc.via == "schedule")


def _is_due(state: State, seen: _Seen) -> bool:
    """Whether the record must be written again, lest it ends."""
    if state.phase not in ("on", "recovering") or state.is_timed or seen.doc is None:
        return False
    return seen.doc.want == "on" and seen.until_ms - seen.now_ms < _RENEWED_MS


def _probed(held: _Held, rows: Mapping[str, ModeRow]) -> tuple[int, int]:
    """Return the probes that ended since the last second, and the bad ones."""
    probes = bad = 0
    for node, row in rows.items():
        since_ms, had, had_bad = held.seen.get(node, (0, 0, 0))
        if since_ms != row.since_ms or row.probes < had:
            had = had_bad = 0
        probes += row.probes - had
        bad += max(0, row.bad - had_bad)
    held.seen = {n: (r.since_ms, r.probes, r.bad) for n, r in rows.items()}
    return probes, bad


def _is_exercised(mode: ModeDefinition, seen: _Seen) -> bool:
    """Whether a drill tried every action on 100 requests, and none failed."""
    if seen.doc is None or seen.doc.via != "drill":
        return False
    if any(row.failed for row in seen.rows.values()):
        return False
    done: dict[str, int] = {}
    for row in seen.rows.values():
        for name, count in row.acts.items():
            # Of those that answer, the strictest does: one of them is enough.
            name = "answer" if name in ANSWERING else name
            done[name] = done.get(name, 0) + count
    names = {"answer" if n in ANSWERING else n for n, _ in mode.actions}
    return all(done.get(name, 0) >= _DRILLED for name in names)


def _resting(exercised_ms: int) -> ModeDoc:
    """Return a record that holds for nobody, and remembers."""
    return ModeDoc("", "", want="auto", via="auto", exercised_ms=exercised_ms)


def _touched(seen: _Seen) -> str:
    count = sum(row.touched for row in seen.rows.values())
    return f"{count:,} request{'s' if count != 1 else ''} touched"


def _why(move: Move, why: str, seen: _Seen) -> str:
    if move in ("enter", "again"):
        return why or "its trigger is true"
    if move == "end":
        return f"recovered; {_touched(seen)}"
    if move == "latch":
        more = f": {why}" if why else ""
        return f"entered and ended too often; it stays until a person acts{more}"
    return {
        "recover": "its trigger is gone; requests go back to normal step by step",
        "back": "no trouble with those that are back",
    }.get(move, "still needed")
