"""How many calls are held back from a dependency that fails in part."""

from __future__ import annotations

__all__ = ["refused_share"]

_CALLS = 20
_ACCEPTED = 0.9  # this many of the calls that are sent should end well
_MOST = 0.9
_RUN, _WELL_RUN = 10, 40  # good calls in a row: it sinks from the one to the other


def refused_share(sent: int, ok: int, run: int = 0) -> float:
    """Return the share of calls to refuse, 0 to 0.9: one in ten always probes.

    sent: calls of the last 30 s that were sent.  ok: of these, those that ended well.
    run: good ones since the last that was not; past 10 each takes a part of the share
    away, so that what is back is not held back until its failures are 30 s old.
    Source: Google SRE book, ch. 21, with K = 1 / 0.9 on calls that were sent.
    """
    if sent < _CALLS or run >= _WELL_RUN:
        return 0.0
    share = min(_MOST, max(0.0, (sent - ok / _ACCEPTED) / (sent + 1)))
    return share * (1 - max(run - _RUN, 0) / (_WELL_RUN - _RUN))
