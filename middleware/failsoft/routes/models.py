"""What each route takes and answers, as schemas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from failsoft.shapes.graph import Node

__all__ = ["RouteShapes"]


@dataclass(frozen=True, slots=True)
class RouteShapes:
    """Schemas of one `METHOD template`; None or absent = unknown, never judged.

    responses: by status, 0 for all others.  is_stream: events or JSON lines.
    """

    request: Node | None = None
    responses: Mapping[int, Node] = field(default_factory=dict)
    is_stream: bool = False
