"""`/_failsoft/live` and `/_failsoft/ready`: what a platform's probes ask a process.

Live: the loop answers.  Ready: it is to get requests.  A node whose store is away, or
whose controls are stale, stays ready: it serves with what it last knew, and a fleet
that left the balancer for that would be an outage of our making.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from failsoft.clock import utc_text
from failsoft.pipeline import Exchange, Hook, Rejection

__all__ = ["Controls", "Readiness", "live_hook", "ready_hook"]

# Returns how this process stands to the controls: `state` and `age_s`.
Controls = Callable[[], Mapping[str, Any]]

_HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class Readiness:
    """Where the application is between its start and its end.

    Without a lifespan nobody says, and it is ready from the start.
    now: Unix seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.reason = ""
        self.since = now()

    def starting(self) -> None:
        """Begin: the application has not finished its startup."""
        self._say("starting")

    def up(self) -> None:
        """Take requests from now on."""
        self._say("")

    def stopping(self) -> None:
        """Take no more: those in flight end."""
        self._say("stopping")

    def _say(self, reason: str) -> None:
        if reason != self.reason:
            self.reason, self.since = reason, self._now()


def live_hook(since: Callable[[], float], controls: Controls) -> Hook:
    """Return the hook of `live`.  since: start of the process, Unix seconds."""

    def asked(exchange: Exchange) -> Rejection:
        return _answer("ok", since(), "", controls())

    return asked


def ready_hook(readiness: Readiness, controls: Controls, *, requires: bool) -> Hook:
    """Return the hook of `ready`.

    requires: whether it may not serve before it has any controls.
    """

    def asked(exchange: Exchange) -> Rejection:
        state, reason = controls(), readiness.reason
        if not reason and requires and state["state"] == "cold":
            reason = "no controls yet"
        word = "unavailable" if reason else "ok"
        return _answer(word, readiness.since, reason, state)

    return asked


def _answer(
    word: str, since: float, reason: str, controls: Mapping[str, Any]
) -> Rejection:
    told = {"status": word, "since": utc_text(since), "reason": reason or None}
    body = json.dumps({**told, "control": controls}).encode()
    status = 200 if word == "ok" else 503
    # A refusal, where it is one: no failure of the application that anybody keeps.
    is_refusal = status == 503
    return Rejection(
        "health", status, _HEADERS, body, is_problem=False, is_refusal=is_refusal
    )
