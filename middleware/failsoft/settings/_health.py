"""`[health]`: what a node does for its whole fleet."""

from __future__ import annotations

from dataclasses import dataclass

from failsoft.settings._readers import Reader, read_bool

__all__ = ["HEALTH_FIELDS", "HealthSettings"]


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """leader: whether this node may be the one that acts for the fleet."""

    leader: bool = True


HEALTH_FIELDS: dict[str, Reader] = {"leader": read_bool}
