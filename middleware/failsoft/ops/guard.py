"""Guards of flags as operators meet them: figures, verdicts, proposals.

Verdicts are worked out of the same sums and by the same rule as on the nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Literal

import msgspec

from failsoft.controls.records import KillDoc
from failsoft.controls.targets import covers, nearest
from failsoft.errors import FlagError, Invalid
from failsoft.flags._guard import (
    WHO,
    Arm,
    GuardAbout,
    GuardProposal,
    GuardRule,
    Sums,
    Verdict,
    add_arms,
    bucket_starts,
    judge_window,
)
from failsoft.flags._parse import parse_flag
from failsoft.ops.command import GuardApply
from failsoft.ops.plan import Plan, row_of, split_kind
from failsoft.ops.proposals import PROPOSED_KINDS, automatic_rows, plan_proposal
from failsoft.ops.views import ControlRow, FleetView, Proposal
from failsoft.store.flagcounts import FlagCountStore, Proposed
from failsoft.telemetry import Definitions

__all__ = ["GuardRow", "GuardedArm", "plan_guard", "proposal_rows", "read_guards"]

_TICK_MS = 10_000

_Word = Literal["trip", "ok", "none", "control"]
_State = Literal["watching", "tripped", "killed", "proposed"]


class GuardedArm(msgspec.Struct, frozen=True):
    """Requests of the window that saw one variant.

    share: bad ratio, None without requests.  z: None where it was not asked for.
    verdict: trip, ok, none (too few), or control.  text: the figures, or why there
    is no verdict.
    """

    variant: str
    n: int
    bad: int
    share: float | None
    z: float | None
    verdict: _Word
    text: str = ""


class GuardRow(msgspec.Struct, frozen=True):
    """One guarded flag.

    state: watching, tripped (killed by the guard), killed (by somebody else) or
    proposed.  why: of the kill or the proposal.  control: variant after a trip.
    least: requests an arm needs for a verdict.
    """

    flag: str
    state: _State
    control: str
    window_s: float
    least: int
    arms: tuple[GuardedArm, ...] = ()
    why: str = ""
    since_ms: int = 0


async def read_guards(
    store: FlagCountStore, view: FleetView, definitions: Definitions
) -> tuple[GuardRow, ...]:
    """Return every guarded flag, those that tripped first; a read for each.

    Raises StoreUnavailable, and StoreRefused without the right to read.
    """
    reported = await store.guarded()
    flags = _documents(view, definitions)
    found = []
    for key in sorted(flags.keys() | reported.keys()):
        about = _about(key, flags.get(key), reported.get(key))
        if about is not None:
            starts = bucket_starts(view.server_ms, about.rule.window_s, about.tick_ms)
            fresh_ms, buckets = await store.outcomes(key, starts)
            found.append(_row(key, about.rule, fresh_ms, buckets, view))
    return tuple(sorted(found, key=lambda row: row.state == "watching"))


def _documents(view: FleetView, definitions: Definitions) -> dict[str, bytes]:
    """Return the document that decides on each flag: an edit, else a file's."""
    found = {flag.key: flag.doc.encode() for flag in definitions.flagdefs if flag.doc}
    edits = (row for row in view.controls if row.kind == "flag" and row.doc)
    return found | {row.target[5:]: row.doc for row in edits}


def _about(key: str, doc: bytes | None, reported: bytes | None) -> GuardAbout | None:
    """Return how a flag is judged; None for one without guard.

    reported: what nodes said; a document that is known here is newer.
    """
    about = None
    if reported is not None:
        with suppress(msgspec.DecodeError):  # of a newer release
            about = msgspec.json.decode(reported, type=GuardAbout)
    if doc is None:
        return about
    try:
        rule = parse_flag(key, doc).guard
    except FlagError:
        return about  # nodes go on with the last good one
    return GuardAbout(rule, about.tick_ms if about else _TICK_MS) if rule else None


def _row(
    key: str,
    rule: GuardRule,
    fresh_ms: int,
    buckets: Mapping[int, Sums],
    view: FleetView,
) -> GuardRow:
    verdicts = judge_window(rule, buckets, fresh_ms, view.server_ms)
    sums = add_arms(held for at_ms, held in buckets.items() if at_ms >= fresh_ms)
    control = sums.get(rule.control, Arm())
    arms = [_arm(rule.control, control, "control"), *map(_judged, verdicts)]
    state, why, since_ms = _state(key, view)
    return GuardRow(
        flag=key,
        state=state,
        control=rule.control,
        window_s=rule.window_s,
        least=rule.least,
        arms=tuple(arms),
        why=why,
        since_ms=since_ms,
    )


def _arm(variant: str, arm: Arm, word: _Word) -> GuardedArm:
    return GuardedArm(variant, arm.n, arm.bad, arm.share if arm.n else None, None, word)


def _judged(verdict: Verdict) -> GuardedArm:
    arm = _arm(verdict.variant, verdict.arm, verdict.state)
    return msgspec.structs.replace(arm, z=verdict.z, text=verdict.text)


def _state(key: str, view: FleetView) -> tuple[_State, str, int]:
    for row in view.controls:
        is_kill = row.kind == "kill" and row.active and row.target.startswith("flag:")
        if is_kill and covers(row.target[5:], key):
            state: _State = "tripped" if row.by == WHO else "killed"
            return state, row.why, row.at_ms
    for proposal in view.proposals:
        if proposal.target == f"flag:{key}":
            return "proposed", proposal.why, proposal.at_ms
    return "watching", "", 0


def proposal_rows(
    proposed: Mapping[str, Proposed], controls: Iterable[ControlRow]
) -> tuple[Proposal, ...]:
    """Return what is proposed and not done yet, newest first."""
    done = {row.target for row in controls if row.active and row.kind != "flag"}
    rows = list(automatic_rows(proposed, done))
    for target, found in proposed.items():
        with suppress(msgspec.DecodeError):  # of a newer release, or no guard's
            doc = msgspec.json.decode(found.json, type=GuardProposal)
            row = Proposal(
                target, found.at_ms, doc.variant, doc.why, doc.ttl_s, doc.node
            )
            rows += [row] if target not in done else []
    return tuple(sorted(rows, key=lambda row: -row.at_ms))


def plan_guard(command: GuardApply, view: FleetView, _: Definitions) -> Plan:
    """Return the kill that a guard proposes; Invalid where it proposes none.

    The figures stand as the reason where the operator gives none.
    """
    if split_kind(command.target, PROPOSED_KINDS)[0] != "flag":
        return plan_proposal(command, view)
    row = row_of(view, "kill", command.target)
    if row is not None and row.active:
        raise Invalid(command.target, f"is killed already, by {row.by}")
    rows = [one for one in view.proposals if one.target == command.target]
    if not rows:
        close = nearest(command.target, [one.target for one in view.proposals], 1)
        message = "no guard proposes anything for it"
        raise Invalid(command.target, message, nearest=close[0] if close else "")
    proposal = rows[0]
    ttl_s = proposal.ttl_s
    return Plan(
        target=command.target,
        action="guard-apply",
        kind="kill",
        name=command.target,
        op="put",
        before="on",
        after="KILLED",
        doc=KillDoc("", "", variant=proposal.variant, since_ms=view.server_ms),
        if_rev=0,
        until=f"+{int(ttl_s * 1000)}" if ttl_s else "0",
        until_s=ttl_s,
        answer=f"variant {proposal.variant} instead of the flag's value",
        needs_end=False,
        warnings=(f"guard: {proposal.why}",),
        reason=f"guard: {proposal.why}"[:500],
    )
