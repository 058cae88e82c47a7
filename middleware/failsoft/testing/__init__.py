"""For tests of failsoft and of applications that use it: real parts, passed time.

Names load on first use, as the pytest plugin must cost a test run nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from failsoft.testing.faults import FaultProxy
    from failsoft.testing.flags import FlagsInTests, flag_matrix, override
    from failsoft.testing.manual_clock import ManualClock
    from failsoft.testing.redis import RedisServer, RedisServerMissing, redis_server

__all__ = [
    "FaultProxy",
    "FlagsInTests",
    "ManualClock",
    "RedisServer",
    "RedisServerMissing",
    "flag_matrix",
    "override",
    "redis_server",
]

_HOMES = {
    "FaultProxy": "faults",
    "FlagsInTests": "flags",
    "ManualClock": "manual_clock",
    "RedisServer": "redis",
    "RedisServerMissing": "redis",
    "flag_matrix": "flags",
    "override": "flags",
    "redis_server": "redis",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'failsoft.testing' has no attribute {name!r}")
    value = getattr(import_module(f"failsoft.testing.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
