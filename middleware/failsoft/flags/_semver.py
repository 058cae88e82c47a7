"""Versions as `sem_ver` compares them: `v` prefix, missing parts as 0.

Source: semver.org 2.0.0, clauses 9 to 11; open-feature/flagd, sem_ver operation.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

__all__ = ["COMPARISONS", "Version", "parse_version"]

# (major, minor, patch) and the precedence of the pre-release.
Version = tuple[tuple[int, int, int], tuple[Any, ...]]

_NUMBER = r"(0|[1-9][0-9]*)"
_PRE = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"[vV]?{_NUMBER}(?:\.{_NUMBER})?(?:\.{_NUMBER})?"
    rf"(?:-({_PRE}(?:\.{_PRE})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_MAX_LENGTH = 256
_RELEASE = (1,)


def parse_version(value: Any) -> Version | None:
    """Return what orders versions, None for what is no version; build is ignored."""
    text = value if isinstance(value, str) else str(value)
    if isinstance(value, bool) or len(text) > _MAX_LENGTH:
        return None
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    major, minor, patch, pre = found.groups()
    return (int(major), int(minor or 0), int(patch or 0)), _precedence(pre)


def _precedence(pre: str | None) -> tuple[Any, ...]:
    if pre is None:
        return _RELEASE
    # Clause 11.4: numbers below words, fewer fields below more.
    fields = ((0, int(f), "") if f.isdigit() else (1, 0, f) for f in pre.split("."))
    return (0, tuple(fields))


COMPARISONS: dict[str, Callable[[Version, Version], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "^": lambda one, two: one[0][0] == two[0][0],
    "~": lambda one, two: one[0][:2] == two[0][:2],
}
