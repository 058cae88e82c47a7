"""Which runtime speaks for this process, and what a fork does to all of them.

Evaluation holds no lock, so a child cannot inherit one that is locked; what was
running in the parent starts again in the child at its first use.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from failsoft.controls.gauges import Facts, show_gauges
from failsoft.events import Swapped, tell
from failsoft.pipeline import CURRENT

if TYPE_CHECKING:
    from failsoft.runtime import Runtime

__all__ = ["current_runtime", "enroll", "resign", "take_over"]

_runtimes: WeakSet[Runtime] = WeakSet()
_current: Runtime | None = None
_dormant: Runtime | None = None  # the current one, since a fork and before its use
_waking = threading.Lock()
# A child never finalizes what the parent's loops use: that would act on them.
_left_alone: list[Any] = []


def enroll(runtime: Runtime) -> None:
    """Let forks reach a runtime."""
    _runtimes.add(runtime)


def take_over(runtime: Runtime) -> None:
    """Let a runtime speak for this process."""
    global _current, _dormant
    _current, _dormant = runtime, None
    show_gauges(_facts)


def _facts() -> Facts | None:
    runtime = _current
    if runtime is None:
        return None
    snapshot = runtime.snapshot
    return runtime.control_age_s, snapshot.revision, snapshot.state


def resign(runtime: Runtime, wait_s: float) -> None:
    """End a runtime that lives on a loop of its own, waiting up to `wait_s`."""
    global _current
    if _current is runtime:
        _current = None
        tell(Swapped(runtime, "cold", runtime.flags))
    runtime.end_alone(wait_s)


def current_runtime() -> Runtime | None:
    """Return the runtime started last in this process, None before any."""
    return _current if _current is not None else _wake()


def _wake() -> Runtime | None:
    """Restart, in a forked child, what was running in the parent; waits for nothing."""
    global _current, _dormant
    if _dormant is None:
        return _current
    fault = None
    with _waking:
        if (runtime := _dormant) is None:
            return _current
        try:
            runtime.live_alone()
            _current, _dormant = runtime, None
        except (OSError, RuntimeError) as error:
            fault = error
    if fault is not None:
        # Who asks has what the parent had; whoever asks next tries again.
        runtime.failed("restart after a fork", fault)
    return runtime


def _after_fork() -> None:
    global _current, _dormant, _waking
    _waking = threading.Lock()  # whoever held the parent's is not in the child
    CURRENT.set(None)  # the request that forked is the parent's to answer
    if _current is not None and _current.is_up:
        _current, _dormant = None, _current
    _left_alone.extend([runtime.leave_parent() for runtime in list(_runtimes)])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
