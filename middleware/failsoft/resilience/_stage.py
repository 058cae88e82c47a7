"""What a request meets between the kills and the application.

The stage puts its hooks into each plan and keeps what lives as long as the process.
"""

from __future__ import annotations

from typing import Any

from failsoft.pipeline import Exchange, Plan
from failsoft.routes.table import RouteDef
from failsoft.settings import Settings

__all__ = ["InboundStage"]


class InboundStage:
    """Deadlines, shedding and limits of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def dress(self, route: RouteDef, plan: Plan) -> None:
        """Put hooks into a plan and those of its versions; bypass routes get none."""

    def release(self, exchange: Exchange) -> None:
        """Give back what an admitted request held."""
        exchange.holds = 0

    def guarded(self, app: Any, exchange: Exchange) -> Any:
        """Return the application under the deadline and with what may stand in."""
        return app
