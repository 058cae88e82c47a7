"""How flags are used: evaluations by variant, last evaluation, and which are stale.

A flag is stale once it is past `x.expires`, has served one variant to everybody for
30 days, or was not evaluated for 14.  Pure but for the one read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from failsoft.clock import utc_date
from failsoft.controls.targets import covers
from failsoft.errors import FlagError
from failsoft.flags._model import Const, Flag, Items, Op
from failsoft.flags._parse import parse_flag
from failsoft.ops.stale import span
from failsoft.ops.views import ControlRow, FleetView
from failsoft.store.flagcounts import OTHER, Evaluations, FlagCountStore
from failsoft.telemetry import Definitions, FlagDef

__all__ = ["FlagLife", "StaleReason", "constant_variant", "flag_life", "read_flag_life"]

_CONSTANT_MS = 30 * 86_400_000
_UNUSED_MS = 14 * 86_400_000


class StaleReason(msgspec.Struct, frozen=True):
    """Why a flag should be looked at: `expired 2026-01-31`."""

    kind: Literal["expired", "constant", "unused"]
    text: str


class FlagLife(msgspec.Struct, frozen=True):
    """How one flag is used.

    counts: (variant, evaluations) of today and the two days before, most first;
    `(default)` stands for the coded default.  seen_ms: last evaluation, 0 = none.
    """

    key: str
    counts: tuple[tuple[str, int], ...] = ()
    seen_ms: int = 0
    owner: str = ""
    stale: tuple[StaleReason, ...] = ()


async def read_flag_life(
    store: FlagCountStore, view: FleetView, definitions: Definitions
) -> tuple[FlagLife, ...]:
    """Return every known or evaluated flag, stale ones first; one read.

    Raises StoreUnavailable, and StoreRefused without the right to read.
    """
    return flag_life(await store.evaluations(), view.controls, definitions)


def flag_life(
    evaluations: Evaluations,
    controls: Iterable[ControlRow],
    definitions: Definitions,
) -> tuple[FlagLife, ...]:
    """Return how flags are used: controls and declarations joined with evaluations."""
    declared = {flag.key: flag for flag in definitions.flagdefs}
    rows = {row.target[5:]: row for row in controls if row.kind == "flag"}
    kills = [
        row
        for row in controls
        if row.active and row.kind == "kill" and row.target.startswith("flag:")
    ]
    keys = rows.keys() | evaluations.counts.keys() | evaluations.seen.keys()
    keys -= {OTHER, ""}
    found = [
        _life(key, rows.get(key), declared.get(key), kills, evaluations) for key in keys
    ]
    return tuple(sorted(found, key=lambda life: (not life.stale, life.key)))


def _life(
    key: str,
    row: ControlRow | None,
    declared: FlagDef | None,
    kills: list[ControlRow],
    known: Evaluations,
) -> FlagLife:
    flag = _flag(key, row)
    metadata = {} if flag is None else flag.metadata
    expires, owner = metadata.get("x.expires"), metadata.get("x.owner")
    if declared is not None:
        expires, owner = expires or declared.expires, owner or declared.owner
    variants = known.counts.get(key, {})
    reasons = (
        _expired(expires, known.now_ms),
        _constant(flag, key, row, kills, known.now_ms),
        _unused(key, row, known),
    )
    return FlagLife(
        key=key,
        counts=tuple(sorted(variants.items(), key=lambda item: (-item[1], item[0]))),
        seen_ms=known.seen.get(key, 0),
        owner=str(owner or ""),
        stale=tuple(reason for reason in reasons if reason is not None),
    )


def _flag(key: str, row: ControlRow | None) -> Flag | None:
    try:
        return parse_flag(key, row.doc) if row is not None and row.doc else None
    except FlagError:
        return None  # shown as what it is elsewhere


def _expired(date: object, now_ms: int) -> StaleReason | None:
    if isinstance(date, str) and "" < date < utc_date(now_ms / 1000):
        return StaleReason("expired", f"expired {date}")
    return None


def constant_variant(flag: Flag) -> str | None:
    """Return the variant that everybody is served, None where a rule decides.

    `(default)` stands for the coded default.
    """
    if not flag.enabled:
        return "(default)"
    if flag.rule is None:
        return flag.default or "(default)"
    rule = flag.rule
    if not isinstance(rule, Op) or rule.name != "fractional":
        return None
    served = {_served(arm) for arm in rule.args} - {""}
    return served.pop() if len(served) == 1 else None


def _served(arm: object) -> str | None:
    """Return the variant of a bucket, "" of one without weight, None if unknown."""
    parts = arm.items if isinstance(arm, Items) else ()
    values = [part.value for part in parts if isinstance(part, Const)]
    if not values or len(values) != len(parts) or not isinstance(values[0], str):
        return None
    weight = values[1] if len(values) > 1 else 1
    return values[0] if weight > 0 else ""


def _constant(
    flag: Flag | None,
    key: str,
    row: ControlRow | None,
    kills: list[ControlRow],
    now_ms: int,
) -> StaleReason | None:
    oldest = min((k.at_ms for k in kills if covers(k.target[5:], key)), default=now_ms)
    if now_ms - oldest >= _CONSTANT_MS:
        text = f"killed for {span((now_ms - oldest) / 1000)}"
        return StaleReason("constant", text)
    variant = constant_variant(flag) if flag else None
    if row is None or variant is None or now_ms - row.at_ms < _CONSTANT_MS:
        return None
    age = span((now_ms - row.at_ms) / 1000)
    return StaleReason("constant", f"{variant} for everybody for {age}")


def _unused(key: str, row: ControlRow | None, known: Evaluations) -> StaleReason | None:
    seen_ms = known.seen.get(key)
    since_ms = max(known.since_ms, row.at_ms if row else 0)
    if not known.since_ms or known.now_ms - (seen_ms or since_ms) < _UNUSED_MS:
        return None
    age = span((known.now_ms - (seen_ms or since_ms)) / 1000)
    word = "not" if seen_ms else "never"
    return StaleReason("unused", f"{word} evaluated for {age}")
