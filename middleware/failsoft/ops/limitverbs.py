"""The verbs on limits of clients.  Pure."""

from __future__ import annotations

from failsoft.ops.words import Verb, Word

__all__ = ["LIMIT_VERBS"]

LIMIT_VERBS: tuple[Verb, ...] = (
    Verb("limits list", "rate limits of clients: allowed, refused, trips to Redis"),
    Verb("limits show", "one of them, node by node", (Word("name", "its name"),)),
)
