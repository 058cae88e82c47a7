"""What failsoft answers itself, whatever the application is: status, live and ready.

They are no routes of the application: not counted, not listed, never refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from failsoft.endpoints.health import Readiness, live_hook, ready_hook
from failsoft.endpoints.status import StatusBoard
from failsoft.endpoints.statuspage import StatusPage
from failsoft.pipeline import Hook
from failsoft.routes.discover import Found
from failsoft.runtime import Runtime

__all__ = ["serve_own"]


def serve_own(runtime: Runtime, readiness: Readiness) -> Iterator[Found]:
    """Let a runtime's planner answer them; yield the routes added.

    To be called after `serve_documents`, which begins the planner's answers anew.
    """
    wanted = runtime.settings.endpoints
    answers = dict(runtime.planner.answers)
    for name, hook in _hooks(runtime, readiness):
        if getattr(wanted, name.replace(".", "_")):
            path = f"{wanted.prefix}/{name}"
            answers[f"GET {path}"] = hook
            yield Found(path, ("GET", "HEAD"))
    runtime.planner.answers = answers


def _hooks(runtime: Runtime, readiness: Readiness) -> Iterator[tuple[str, Hook]]:
    board = StatusBoard(runtime)

    def controls() -> dict[str, Any]:
        age_s = int(runtime.control_age_s)
        return {"state": runtime.snapshot.state, "age_s": age_s}

    requires = runtime.settings.store.require
    yield "status", board.asked
    yield "status.html", StatusPage(board).asked
    yield "live", live_hook(lambda: runtime.started, controls)
    yield "ready", ready_hook(readiness, controls, requires=requires)
