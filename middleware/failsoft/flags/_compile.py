"""Turn one stored flag edit into a closure: plain variants and percentage rollouts.

The flag language is flagd's; what is understood so far is a flag without targeting
and `{"fractional": [["on", w], ["off", w]]}` by targeting key.  Anything else is
`FlagError`: the node reports the flag as one it cannot enforce.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

from failsoft.controls.records import FlagDoc
from failsoft.errors import FlagError
from failsoft.flags._hash import HASH_VERSIONS, bucket_hash

__all__ = ["Pick", "compile_flag"]

# targeting key -> (variant, reason); variant None = the caller's default.
Pick = Callable[[str | None], tuple[str | None, str]]

_MAX_WEIGHT = (1 << 31) - 1


def compile_flag(key: str, doc: FlagDoc) -> tuple[Pick, Mapping[str, Any]]:
    """Return how to pick a variant, and the values of the variants.

    Raises FlagError naming the key and the path of what is not understood.
    """
    _check_variants(key, doc)
    if doc.state == "DISABLED":
        return _always(None, "DISABLED"), doc.variants
    if not doc.targeting:
        reason = "STATIC" if doc.defaultVariant is not None else "DEFAULT"
        return _always(doc.defaultVariant, reason), doc.variants
    if set(doc.targeting) != {"fractional"}:
        names = ", ".join(sorted(doc.targeting))
        raise FlagError(
            f"operator {names} is not known to this node",
            where=f"flag:{key} targeting",
            todo="use fractional, or update the node",
        )
    return _fractional(key, doc), doc.variants


def _check_variants(key: str, doc: FlagDoc) -> None:
    if not doc.variants:
        raise FlagError("has no variants", where=f"flag:{key}", todo="add some")
    default = doc.defaultVariant
    if default is not None and default not in doc.variants:
        raise FlagError(
            f"{default!r} is not one of {', '.join(doc.variants)}",
            where=f"flag:{key} defaultVariant",
            todo="name a variant",
        )


def _always(variant: str | None, reason: str) -> Pick:
    result = (variant, reason)
    return lambda targeting_key: result


def _fractional(key: str, doc: FlagDoc) -> Pick:
    version = doc.metadata.get("x.hash", 3)
    if version not in HASH_VERSIONS:
        raise FlagError(
            f"{version!r} is no hash version", where=f"flag:{key} x.hash", todo="use 3"
        )
    names, weights = _weights(key, doc)
    sums = tuple(accumulate(weights))
    total = sums[-1]
    fallback = (doc.defaultVariant, "DEFAULT")
    results = tuple((name, "TARGETING_MATCH") for name in names)

    def pick(targeting_key: str | None) -> tuple[str | None, str]:
        if targeting_key is None:
            return fallback
        h = bucket_hash(version, key, targeting_key)
        if h is None:
            return fallback
        # The first variant whose running sum exceeds the bucket: growing the
        # first share never removes a user.
        return results[bisect_right(sums, (h * total) >> 32)]

    return pick


def _weights(key: str, doc: FlagDoc) -> tuple[list[str], list[int]]:
    names, weights = [], []
    arms = doc.targeting["fractional"]
    for at, arm in enumerate(arms if isinstance(arms, list) else [None]):
        where = f"flag:{key} targeting.fractional[{at}]"
        if not isinstance(arm, list) or not 1 <= len(arm) <= 2:
            raise FlagError("must be [variant, weight]", where=where)
        weight = arm[1] if len(arm) == 2 else 1
        if not isinstance(arm[0], str) or arm[0] not in doc.variants:
            raise FlagError(f"{arm[0]!r} is no variant", where=where)
        if not isinstance(weight, int) or isinstance(weight, bool):
            raise FlagError(f"weight {weight!r} must be a whole number", where=where)
        names.append(arm[0])
        weights.append(max(0, weight))
    if not 1 <= sum(weights) <= _MAX_WEIGHT:
        raise FlagError(
            f"weights add up to {sum(weights)}",
            where=f"flag:{key} targeting.fractional",
            todo=f"make the sum 1..{_MAX_WEIGHT}",
        )
    return names, weights
