"""Ids of requests that begin a trace, made many at a time.

What each request does once is cold code: random bits and their hexadecimal text cost
more amid an application than many of them in one go.
"""

from __future__ import annotations

import os

from failsoft.dice import getrandbits
from failsoft.tracing._context import format_response

__all__ = ["Ids", "new_ids"]

# Trace id, span id, and the `traceresponse` of a trace that is not sampled.
Ids = tuple[int, int, bytes]

_AT_ONCE = 64
_made: list[Ids] = []


def new_ids() -> Ids:
    """Return ids that nobody else has."""
    try:
        return _made.pop()
    except IndexError:
        _made.extend(_make() for _ in range(_AT_ONCE))
        return _make()


def _make() -> Ids:
    trace_id, span_id = getrandbits(128) or 1, getrandbits(64) or 1
    return trace_id, span_id, format_response(trace_id, span_id, 0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_made.clear)
