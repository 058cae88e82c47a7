"""How many calls are held back from a dependency that fails in part."""

from __future__ import annotations

__all__ = ["refused_share"]

_CALLS = 20
_ACCEPTED = 0.9  # this many of the calls that are sent should end well
_MOST = 0.9


def refused_share(sent: int, ok: int) -> float:
    """Return the share of calls to refuse, 0 to 0.9: one in ten always probes.

    sent: calls of the last 30 s that were sent.  ok: of these, those that ended well.
    Source: Google SRE book, ch. 21, with K = 1 / 0.9 on calls that were sent.
    """
    if sent < _CALLS:
        return 0.0
    return min(_MOST, max(0.0, (sent - ok / _ACCEPTED) / (sent + 1)))
