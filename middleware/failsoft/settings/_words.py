"""Words that several settings share."""

from __future__ import annotations

__all__ = ["CRITICALITIES", "FAIL_POLICIES"]

# From the one that is refused last to the one that is refused first.
CRITICALITIES = ("critical_plus", "critical", "sheddable_plus", "sheddable")
FAIL_POLICIES = ("last_known", "default", "off", "refuse")
