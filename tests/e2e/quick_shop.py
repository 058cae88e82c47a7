"""The shop with guards that judge each second instead of every ten."""

from __future__ import annotations

from failsoft.flags._flush import FlagReporter
from shop.api import app

FlagReporter.tick_s = 1.0

__all__ = ["app"]
