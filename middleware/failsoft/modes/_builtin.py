"""The modes that every environment has: what operators may turn undeclared."""

from __future__ import annotations

from collections.abc import Mapping

from failsoft.settings import ModeDefinition, Shed

__all__ = ["BUILT_IN"]

# A value of None must be given as a parameter when the mode is entered.
BUILT_IN: Mapping[str, ModeDefinition] = {
    "fs.read-only": ModeDefinition(
        "Changes are paused; reading works", "major", actions=(("read_only", True),)
    ),
    "fs.maintenance": ModeDefinition(
        "Down for maintenance",
        "critical",
        actions=(("maintenance", "Down for maintenance"),),
    ),
    "fs.shed": ModeDefinition(
        "Less important requests are refused",
        "minor",
        actions=(("shed", Shed(1.0, "sheddable_plus")),),
    ),
    "fs.banner": ModeDefinition(
        "Expect disturbances", "minor", actions=(("banner", "Expect disturbances"),)
    ),
    "fs.no-shed": ModeDefinition(
        "Load shedding is off", actions=(("no_shed", True),), public=False
    ),
    "fs.rate-limits": ModeDefinition(
        "Rate limits are scaled", actions=(("rate_limit_scale", None),), public=False
    ),
    "fs.timeouts": ModeDefinition(
        "Timeouts are scaled", actions=(("timeout_scale", None),), public=False
    ),
    "fs.concurrency": ModeDefinition(
        "Fewer requests at a time", actions=(("concurrency", None),), public=False
    ),
    "fs.no-retries": ModeDefinition(
        "Calls to third parties are not retried",
        actions=(("no_retries", True),),
        public=False,
    ),
    "fs.mute": ModeDefinition(
        "Alerts are muted", actions=(("mute", None),), public=False
    ),
}
