"""failsoft lets APIs survive production: measure, alert, isolate, degrade on purpose.

    from failsoft import Failsoft
    app.add_middleware(Failsoft)

Heavy packages are imported when they are first used, never by `import failsoft`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from failsoft.asgi import Failsoft
    from failsoft.errors import FailsoftError
    from failsoft.flags import FlagDetails
    from failsoft.handlers import (
        Flag,
        current,
        dependency,
        flag,
        flag_details,
        http_transport,
    )
    from failsoft.outbound._dependency import Dependency
    from failsoft.pipeline import Exchange
    from failsoft.routes.policy import route
    from failsoft.routes.standins import Static, handler
    from failsoft.startup import start, stop

__version__ = "0.1.0"

__all__ = [
    "Dependency",
    "Exchange",
    "Failsoft",
    "FailsoftError",
    "Flag",
    "FlagDetails",
    "Static",
    "current",
    "dependency",
    "flag",
    "flag_details",
    "handler",
    "http_transport",
    "route",
    "start",
    "stop",
]

_HOMES = {
    "Dependency": "failsoft.outbound._dependency",
    "Exchange": "failsoft.pipeline",
    "Failsoft": "failsoft.asgi",
    "FailsoftError": "failsoft.errors",
    "Flag": "failsoft.handlers",
    "FlagDetails": "failsoft.flags",
    "Static": "failsoft.routes.standins",
    "current": "failsoft.handlers",
    "dependency": "failsoft.handlers",
    "flag": "failsoft.handlers",
    "flag_details": "failsoft.handlers",
    "handler": "failsoft.routes.standins",
    "http_transport": "failsoft.handlers",
    "route": "failsoft.routes.policy",
    "start": "failsoft.startup",
    "stop": "failsoft.startup",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'failsoft' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
