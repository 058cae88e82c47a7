"""An edit of a flag as a test writes it: one flagd flag."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["FlagDoc"]


class FlagDoc(msgspec.Struct, frozen=True):
    """The document behind `flag:` records; the store keeps its JSON."""

    state: str = "ENABLED"
    variants: dict[str, Any] = {}
    defaultVariant: str | None = None
    targeting: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
