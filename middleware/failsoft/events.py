"""What a process tells whoever listens: another set of controls, another state."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Swapped", "listen", "tell"]

_log = logging.getLogger("failsoft")


@dataclass(frozen=True, slots=True)
class Swapped:
    """A runtime serves another snapshot, or serves the same one in another state.

    state: cold live stale rewound local, or refused (`store.require`).  flags: all
    flags at that revision.
    """

    runtime: Any
    state: str
    flags: Any


Listener = Callable[[Swapped], None]

# Of the process, not of a runtime: who listens may be there before any runtime is.
# Each change is one step to other threads, which come and go at the same time.
_listeners: dict[object, Listener] = {}


def listen(listener: Listener) -> Callable[[], None]:
    """Have a function called on every swap; returns what ends that.

    It is called on the application's loop, and must return at once.
    """
    mine = object()
    _listeners[mine] = listener

    def end() -> None:
        _listeners.pop(mine, None)

    return end


def tell(event: Swapped) -> None:
    """Call all listeners; a fault of theirs is logged and ends there."""
    for listener in tuple(_listeners.values()):
        try:
            listener(event)
        except Exception:  # noqa: BLE001 - border: a listener's fault is not ours
            _log.exception("%r did not take %s", listener, event.state)
