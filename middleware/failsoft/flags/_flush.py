"""Every ten seconds: send evaluations and outcomes, judge the guards, trip.

All nodes judge the fleet's sums alike; that many of them trip makes one entry.
Nothing here is awaited by a request.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import msgspec

from failsoft.controls.records import KillDoc, encode_doc
from failsoft.errors import StoreConflict, StoreError, StoreRefused, StoreUnavailable
from failsoft.flags._arms import GuardArms
from failsoft.flags._exposure import Counts, Exposures
from failsoft.flags._guard import (
    WHO,
    GuardAbout,
    GuardProposal,
    GuardRule,
    Verdict,
    bucket_starts,
    judge_window,
)
from failsoft.flags._state import FlagState
from failsoft.store.flagcounts import Outcomes
from failsoft.store.open import open_store
from failsoft.store.protocols import Answer, Call, Change

__all__ = ["FlagReporter"]

# A thousand in one pipeline hold the loop for 25 ms, a hundred for less than 5; the
# application's meter takes half of that.
_FLAGS_AT_ONCE = 100

_log = logging.getLogger("failsoft")


class FlagReporter:
    """Sends what this node counted of flags, and judges; `run` is one task.

    automation_url: "" = the store itself takes the kills.  tick_s: seconds between
    two reports, and the width of a bucket; the same on every node.
    """

    tick_s: ClassVar[float] = 10.0

    def __init__(
        self,
        store: Any,
        guard: GuardArms,
        node: str,
        *,
        automation_url: str = "",
    ) -> None:
        self.exposures = Exposures()
        self._store = store
        self._guard = guard
        self._node = node
        self._automation_url = automation_url
        self._tick_ms = int(self.tick_s * 1000)
        self._proposed: dict[str, int] = {}  # flag -> window of the last proposal

    async def run(
        self,
        state: Callable[[], FlagState],
        now_ms: Callable[[], float],
        failed: Callable[[str, BaseException], None],
        unsummed: Callable[[], Counts],
    ) -> None:
        """Report until cancelled, then send the rest; a fault costs one report.

        unsummed: the evaluations of the second that is not over.
        """
        try:
            while True:
                await asyncio.sleep(self.tick_s)
                try:
                    await self.report(state(), int(now_ms()))
                except StoreError as error:
                    _log.debug("a report on flags is lost: %s", error)
                except Exception as error:  # noqa: BLE001 - border: the next comes
                    failed("flags", error)
        except asyncio.CancelledError:
            # Scripts may live for less than a report's time.
            self.exposures.add(unsummed())
            with suppress(StoreError):
                await self.send(state(), int(now_ms()))
            raise

    async def report(self, state: FlagState, now_ms: int) -> None:
        """Send, then judge what this node has a share in.

        now_ms: store time.  Raises StoreUnavailable; what could not be sent is lost,
        as sending it late would judge today by yesterday.
        """
        rules = await self.send(state, now_ms)
        for key, rule in rules.items():
            starts = bucket_starts(now_ms, rule.window_s, self._tick_ms)
            fresh_ms, buckets = await self._store.outcomes(key, starts)
            verdicts = judge_window(rule, buckets, fresh_ms, now_ms)
            trips = [verdict for verdict in verdicts if verdict.state == "trip"]
            if trips:
                worst = max(trips, key=lambda verdict: verdict.arm.share)
                await self._trip(key, rule, worst, now_ms)

    async def send(self, state: FlagState, now_ms: int) -> dict[str, GuardRule]:
        """Send evaluations and outcomes; return the rules of what was counted."""
        evaluations = list(self.exposures.take().items())
        arms, rules, held = self._guard.take(state)
        parts = [
            dict(evaluations[at : at + _FLAGS_AT_ONCE])
            for at in range(0, len(evaluations), _FLAGS_AT_ONCE)
        ]
        for part in parts:
            self.exposures.tell(part)
            await asyncio.sleep(0)
        if arms or held:
            about = {
                key: msgspec.json.encode(GuardAbout(rule, self._tick_ms))
                for key, rule in rules.items()
            }
            start_ms = now_ms - now_ms % self._tick_ms
            fresh = dict.fromkeys(held, now_ms)
            try:
                await self._store.add_outcomes(Outcomes(start_ms, arms, about, fresh))
            except StoreError:
                self._guard.hold(held)  # a fresh window begins when it can be told
                raise
        for part in parts:
            await self._store.add_evaluations(part)
        return rules

    async def _trip(
        self, key: str, rule: GuardRule, verdict: Verdict, now_ms: int
    ) -> None:
        """Serve the control variant to everybody, or propose it to operators."""
        why = f"{verdict.text} in {rule.window_s:g} s"[:500]
        doc = KillDoc(WHO, why, variant=rule.control, since_ms=now_ms)
        until = f"+{int(rule.ttl_s * 1000)}" if rule.ttl_s else "0"
        window = now_ms // int(rule.window_s * 1000)
        # Absent, or somebody killed it meanwhile: their kill stands.
        change = Change("kill", f"flag:{key}", "put", 0, until, encode_doc(doc))
        call = Call(_op_id(key, window), WHO, why, (change,), via=self._node[:100])
        try:
            answer = await self._write(call)
        except StoreConflict:
            return
        except StoreRefused as refused:
            await self._propose(key, rule, why, window, refused)
            return
        except StoreUnavailable as error:
            _log.error("guard: flag %s is not killed yet: %s; %s", key, why, error)
            return
        if not answer.duplicate:
            _log.error(
                "guard: flag %s is killed, all get %s: %s", key, rule.control, why
            )

    async def _write(self, call: Call) -> Answer:
        if not self._automation_url:
            answer: Answer = await self._store.apply(call)
            return answer
        writer = open_store(self._automation_url, self._store.env)
        try:
            return await writer.apply(call)
        finally:
            await writer.aclose()

    async def _propose(
        self, key: str, rule: GuardRule, why: str, window: int, refused: StoreRefused
    ) -> None:
        if self._proposed.get(key) == window:
            return
        self._proposed[key] = window
        proposal = GuardProposal(rule.control, why, rule.ttl_s, self._node)
        await self._store.propose(f"flag:{key}", msgspec.json.encode(proposal))
        _log.error(
            "guard: flag %s should be killed (`failsoft guard apply %s`): %s; %s",
            *(key, key, why, refused),
        )


def _op_id(key: str, window: int) -> str:
    """Return one id for all nodes that trip a flag in one window."""
    return hashlib.sha256(f"{WHO}\0{key}\0{window}".encode()).hexdigest()[:16]
