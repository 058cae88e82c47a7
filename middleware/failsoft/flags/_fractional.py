"""Percentage rollouts: which arm a user falls into.

The bucket is a hash of the first argument, or, where that is an array, of flag key
and targeting key.  Source: open-feature/flagd, fractional operation, v2 and v3.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from failsoft.flags._hash import user_hash, value_hash
from failsoft.flags._model import Const, Items, Node, Op, Rule

__all__ = ["fractional"]

_MAX_WEIGHT = (1 << 31) - 1


# Operators whose result is text, never an array.
_TEXT = ("cat", "substr")


def fractional(
    op: Op, key: str, version: int, compiled: Callable[[Node], Rule]
) -> Rule:
    """Build the rule of a rollout.  compiled: how its parts become rules."""
    first, by_user = op.args[0], user_hash(version, key)
    if isinstance(first, Items):
        return _split(by_user, op.args, compiled)
    value = compiled(first)
    explicit = _split(
        lambda data: value_hash(version, value(data)), op.args[1:], compiled
    )
    if isinstance(first, Const) or (isinstance(first, Op) and first.name in _TEXT):
        return explicit
    # Only evaluation tells; an array is the first arm of the shorthand.
    shorthand = _split(by_user, op.args, compiled)
    return lambda data: (
        shorthand(data) if isinstance(value(data), list | tuple) else explicit(data)
    )


def _split(
    bucket: Rule, arms: Sequence[Node], compiled: Callable[[Node], Rule]
) -> Rule:
    sums = _constant_sums(arms)
    if sums is None:
        return _dynamic(bucket, [_arm(arm, compiled) for arm in arms])
    variants = [arm.items[0] for arm in arms if isinstance(arm, Items)]
    constants = [one.value for one in variants if isinstance(one, Const)]
    if len(constants) == len(variants):
        return _fixed(bucket, sums, constants)
    chosen = _fixed(bucket, sums, [compiled(variant) for variant in variants])

    def pick(data: Any) -> Any:
        rule = chosen(data)
        return None if rule is None else rule(data)

    return pick


def _constant_sums(arms: Sequence[Node]) -> tuple[int, ...] | None:
    weights: list[int] = []
    for arm in arms:
        if not isinstance(arm, Items):
            return None
        weight = arm.items[1] if len(arm.items) == 2 else Const(1)
        if not isinstance(weight, Const):
            return None
        weights.append(max(0, weight.value))
    return tuple(accumulate(weights))


def _fixed(bucket: Rule, sums: tuple[int, ...], arms: Sequence[Any]) -> Rule:
    total = sums[-1]
    find = bisect_right

    def pick(data: Any) -> Any:
        h = bucket(data)
        if h is None:
            return None
        # The first arm whose running sum exceeds the bucket: growing the first
        # share never removes a user.
        return arms[find(sums, (h * total) >> 32)]

    return pick


def _dynamic(bucket: Rule, arms: Sequence[Rule]) -> Rule:
    def pick(data: Any) -> Any:
        h = bucket(data)
        if h is None:
            return None
        found = [arm(data) for arm in arms]
        weights = [weight for _, weight in found if weight is not None]
        total = sum(weights)
        if len(weights) != len(found) or not 1 <= total <= _MAX_WEIGHT:
            return None
        return found[bisect_right(list(accumulate(weights)), (h * total) >> 32)][0]

    return pick


def _arm(arm: Node, compiled: Callable[[Node], Rule]) -> Rule:
    """Return context -> (variant, weight); weight None = this rollout gives null."""
    whole = compiled(arm)

    def weighed(data: Any) -> tuple[Any, int | None]:
        found = whole(data)
        if not isinstance(found, list | tuple) or not 1 <= len(found) <= 2:
            return None, None
        weight = found[1] if len(found) == 2 else 1
        return found[0], max(0, weight) if type(weight) is int else None

    return weighed
