"""Wait for something that a background task will bring about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def eventually(check: Callable[[], object], within_s: float = 2.0) -> None:
    """Return once `check()` is true; AssertionError after `within_s`."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not check():
        assert asyncio.get_running_loop().time() < deadline, "it never happened"
        await asyncio.sleep(0.005)
