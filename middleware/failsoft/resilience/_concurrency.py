"""How many requests of one route are with the application at a time.

Sets of one event loop: nobody waits, and giving back twice gives back once.
"""

from __future__ import annotations

from failsoft.pipeline import Exchange

__all__ = ["IS_LATE", "PERMIT", "SLOT", "Inside", "limit_of"]

# Bits of `Exchange.holds`.  IS_LATE: answered for while the handler goes on; its
# slot is its own until it ends.
SLOT, PERMIT, IS_LATE = 1, 2, 4

Inside = set[Exchange]


def limit_of(declared: int | None, by_mode: int | None) -> int | None:
    """Return the lower of what is declared and what a mode says, None for none."""
    said = [limit for limit in (declared, by_mode) if limit is not None]
    return min(said) if said else None
