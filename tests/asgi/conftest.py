from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from failsoft import Failsoft

Guard = Callable[..., Awaitable[Failsoft]]


@pytest.fixture
async def guard(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Guard]:
    """Wrap an application and start its runtime on the memory store."""
    for name in ("FAILSOFT_REDIS_URL", "FAILSOFT_ENV", "FAILSOFT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    started: list[Failsoft] = []

    async def wrap(app: Any, **overrides: Any) -> Failsoft:
        guarded = Failsoft(app, **overrides)
        started.append(guarded)
        await guarded.runtime.ensure()
        return guarded

    yield wrap
    for guarded in started:
        await guarded.runtime.stop()
