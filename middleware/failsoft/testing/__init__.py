"""For tests of failsoft and of applications that use it: real parts, passed time.

Importing this loads neither redis nor starlette.
"""

from __future__ import annotations

from failsoft.testing.faults import FaultProxy
from failsoft.testing.manual_clock import ManualClock
from failsoft.testing.redis import RedisServer, RedisServerMissing, redis_server

__all__ = [
    "FaultProxy",
    "ManualClock",
    "RedisServer",
    "RedisServerMissing",
    "redis_server",
]
