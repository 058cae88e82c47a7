"""Which users an edit moves to another variant, over synthetic ids.  Pure.

A change that can move users who should have stayed is a rebucket: another hash, other
order of variants, another bucket.  Growing a share is none: it only adds users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from failsoft.flags._compile import ASK, compile_rule, variant_of
from failsoft.flags._model import Const, Flag, Items, Node, Op

__all__ = ["IDS", "moved", "rebuckets", "splits"]

IDS = 10_000
_Split = tuple[Node | None, tuple[str, ...]]  # bucket, names of the arms


def splits(flag: Flag) -> tuple[Op, ...]:
    """Return the rollouts of a flag's rule, in the order of the document."""
    return tuple(_fractionals(flag.rule))


def _fractionals(node: Node | None) -> Iterator[Op]:
    if isinstance(node, Op):
        if node.name == "fractional":
            yield node
        for arg in node.args:
            yield from _fractionals(arg)
    elif isinstance(node, Items):
        for item in node.items:
            yield from _fractionals(item)


def rebuckets(before: Flag, after: Flag) -> str:
    """Return why an edit moves users that should stay, "" when it does not."""
    old = [_signature(op) for op in splits(before)]
    new = [_signature(op) for op in splits(after)]
    if before.hash_version != after.hash_version and old and new:
        return f"x.hash {before.hash_version} -> {after.hash_version}"
    gone = [one for one in old if one not in new]
    added = [one for one in new if one not in old]
    for (bucket, names), (other, others) in zip(gone, added, strict=False):
        if bucket != other:
            return "another bucket"
        common = [name for name in names if name in others]
        if common != [name for name in others if name in names] or not common:
            return f"order of variants {', '.join(names)} -> {', '.join(others)}"
    return ""


def _signature(op: Op) -> _Split:
    first = op.args[0] if op.args else None
    shorthand = isinstance(first, Items)
    arms = op.args if shorthand else op.args[1:]
    names = (arm.items[0] for arm in arms if isinstance(arm, Items) and arm.items)
    texts = tuple(
        str(name.value) if isinstance(name, Const) else repr(name) for name in names
    )
    return (None if shorthand else _placeless(first), texts)


def _placeless(node: Node | None) -> Any:
    """Return a node without where it stands: moving a rule up is no new bucket."""
    if isinstance(node, Op):
        return (node.name, tuple(_placeless(arg) for arg in node.args))
    if isinstance(node, Items):
        return tuple(_placeless(item) for item in node.items)
    return repr(node)


def moved(before: Flag, after: Flag, context: Mapping[str, Any] | None = None) -> float:
    """Return the ratio of 10,000 synthetic ids that get another variant.

    context: attributes all of them have.  About 5 us an id.
    """
    was, now = _chooser(before, context or {}), _chooser(after, context or {})
    ids = (f"user-{number}" for number in range(IDS))
    return sum(was(one) != now(one) for one in ids) / IDS


def _chooser(flag: Flag, context: Mapping[str, Any]) -> Callable[[str], str | None]:
    if not flag.enabled or flag.rule is None:
        fixed = flag.default if flag.enabled else None
        return lambda targeting_key: fixed
    rule = compile_rule(flag)
    data: dict[Any, Any] = {**context, ASK: lambda key: None}
    data["$flagd"] = {"flagKey": flag.key, "timestamp": 0}

    def choose(targeting_key: str) -> str | None:
        try:
            result = rule({**data, "targetingKey": targeting_key})
            return flag.default if result is None else variant_of(result)
        except Exception:  # noqa: BLE001 - border: any rule; such users get the coded default
            return None

    return choose
