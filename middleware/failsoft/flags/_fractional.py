"""Percentage rollouts: which arm a user falls into.

The bucket is a hash of the first argument, or, where that is an array, of flag key
and targeting key.  Source: open-feature/flagd, fractional operation, v2 and v3.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import mmh3

from failsoft.flags._hash import Heads, user_hash, user_heads, value_hash
from failsoft.flags._model import Const, Items, Node, Op, Rule

__all__ = ["fractional", "limits_of"]

_MAX_WEIGHT = (1 << 31) - 1


# Operators whose result is text, never an array.
_TEXT = ("cat", "substr")


def fractional(
    op: Op, key: str, version: int, compiled: Callable[[Node], Rule]
) -> Rule:
    """Build the rule of a rollout.  compiled: how its parts become rules."""
    first = op.args[0]
    if isinstance(first, Items):
        return _by_user(op, key, version, compiled)
    value = compiled(first)
    explicit = _split(
        lambda data: value_hash(version, value(data)), op.args[1:], compiled
    )
    if isinstance(first, Const) or (isinstance(first, Op) and first.name in _TEXT):
        return explicit
    # Only evaluation tells; an array is the first arm of the shorthand.
    shorthand = _split(user_hash(version, key), op.args, compiled)
    return lambda data: (
        shorthand(data) if isinstance(value(data), list | tuple) else explicit(data)
    )


def _by_user(op: Op, key: str, version: int, compiled: Callable[[Node], Rule]) -> Rule:
    sums, heads = _constant_sums(op.args), user_heads(version, key)
    # Arms are known to have parts where all weights are constant, else they may not.
    names = _constant_variants(op.args) if sums is not None else None
    if sums is None or names is None or heads is None:
        return _split(user_hash(version, key), op.args, compiled)
    return _shorthand(heads, limits_of(sums), names)


def _split(
    bucket: Rule, arms: Sequence[Node], compiled: Callable[[Node], Rule]
) -> Rule:
    sums = _constant_sums(arms)
    if sums is None:
        return _dynamic(bucket, [_arm(arm, compiled) for arm in arms])
    names = _constant_variants(arms)
    if names is not None:
        return _fixed(bucket, limits_of(sums), names)
    variants = [compiled(arm.items[0]) for arm in arms if isinstance(arm, Items)]
    chosen = _fixed(bucket, limits_of(sums), variants)

    def pick(data: Any) -> Any:
        rule = chosen(data)
        return None if rule is None else rule(data)

    return pick


def _constant_variants(arms: Sequence[Node]) -> list[Any] | None:
    variants = [arm.items[0] for arm in arms if isinstance(arm, Items)]
    constants = [one.value for one in variants if isinstance(one, Const)]
    return constants if len(constants) == len(arms) else None


def limits_of(sums: tuple[int, ...]) -> tuple[int, ...]:
    """Return for each arm the smallest hash beyond it; sums: of weights, the last W.

    (h * W) >> 32 < s  is  h < ceil(s * 2^32 / W): no multiplication is left for
    the evaluation.  Growing the first share never removes a user.
    """
    return tuple(-(-(one << 32) // sums[-1]) for one in sums)


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


def _fixed(bucket: Rule, limits: tuple[int, ...], arms: Sequence[Any]) -> Rule:
    def pick(data: Any) -> Any:
        h = bucket(data)
        return None if h is None else arms[bisect_right(limits, h)]

    return pick


def _shorthand(heads: Heads, limits: tuple[int, ...], arms: Sequence[Any]) -> Rule:
    """Choose by flag key and targeting key, among constant arms.

    Does what `_fixed` of `user_hash` does: most rollouts are these, and the call
    between the two costs a sixth.
    """
    murmur, find = mmh3.mmh3_32_uintdigest, bisect_right

    def pick(data: Any) -> Any:
        user = data.get("targetingKey") if type(data) is dict else None
        if type(user) is not str or not user:
            return None
        try:
            packed = user.encode()
        except UnicodeEncodeError:
            return None
        return arms[find(limits, murmur(heads[len(packed)] + packed))]

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
