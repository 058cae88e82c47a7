"""Follow one evaluation of a rule: which condition held, which bucket decided.

Says in words what `_evaluate` does in closures, part by part of the tree.  Pure.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import msgspec

from failsoft.flags._compile import compile_rule, variant_of
from failsoft.flags._hash import user_hash, value_hash
from failsoft.flags._model import Const, Flag, Items, Node, Op, RuleFault
from failsoft.flags._moves import splits
from failsoft.flags._ops import look_up, truthy
from failsoft.flags._parse import MAX_WEIGHT

__all__ = ["Bucket", "Trace", "buckets", "trace"]

_SHOWN = 120


class Bucket(msgspec.Struct, frozen=True):
    """Where a user falls in one split.

    path: of the split in the document.  hashed: the 32-bit hash, None where the user
    has none; then the default variant is served.  total: sum of the weights.
    """

    path: str
    version: int
    by: str
    hashed: int | None
    total: int = 0
    number: int = 0
    arm: str | None = None
    arms: tuple[tuple[str, int], ...] = ()

    def text(self) -> str:
        """Return the bucket in one line."""
        if self.hashed is None:
            return f"no bucket: {self.by}; the split gives null"
        shares = ", ".join(f"{name} {weight}" for name, weight in self.arms)
        return (
            f"hash v{self.version} of {self.by} = {self.hashed}, bucket {self.number} "
            f"of {self.total} ({shares}) -> {self.arm}"
        )


class Trace(msgspec.Struct, frozen=True):
    """One evaluation.  variant: None = the default one.  lines: how it came."""

    variant: str | None
    reason: str
    lines: tuple[str, ...]
    error: str = ""


def trace(flag: Flag, data: dict[Any, Any]) -> Trace:
    """Return how a flag's rule decides in a context, which holds `targetingKey`."""
    if flag.rule is None:
        return Trace(None, "STATIC", ("no targeting: the default is served",))
    lines: list[str] = []
    try:
        result = _Walk(flag, data, lines).result(flag.rule)
        if result is None:
            lines.append("the rule gives null: the default is served")
            return Trace(None, "DEFAULT", tuple(lines))
        variant = variant_of(result)
        if variant not in flag.variants:
            raise RuleFault("GENERAL", f"{variant:.50} is no variant")
    except Exception as error:  # noqa: BLE001 - border: any rule, any context
        code = error.code if isinstance(error, RuleFault) else "GENERAL"
        lines.append(f"the rule fails: {error}: the coded default is served")
        return Trace(None, "ERROR", tuple(lines), code)
    return Trace(variant, "TARGETING_MATCH", tuple(lines))


def buckets(flag: Flag, data: dict[Any, Any]) -> tuple[Bucket, ...]:
    """Return where a user falls in each split of a flag."""
    walk = _Walk(flag, data, [])
    return tuple(walk.bucket(op) for op in splits(flag))


class _Walk:
    def __init__(self, flag: Flag, data: dict[Any, Any], lines: list[str]) -> None:
        self._flag = flag
        self._data = data
        self._lines = lines

    def result(self, node: Node) -> Any:
        """Return what a part gives; the way there is told."""
        if isinstance(node, Op) and node.name == "if":
            return self._branch(node)
        if isinstance(node, Op) and node.name == "fractional":
            bucket = self.bucket(node)
            self._lines.append(f"{node.path}: {bucket.text()}")
        return self._value(node)

    def _value(self, node: Node) -> Any:
        return compile_rule(msgspec.structs.replace(self._flag, rule=node))(self._data)

    def _branch(self, op: Op) -> Any:
        for number in range(0, len(op.args) - 1, 2):
            test = op.args[number]
            held = truthy(self._value(test))
            word = "holds" if held else "does not hold"
            rule = f"rule {number // 2 + 1}"
            self._lines.append(f"{rule}: {self._told(test)} {word}")
            if held:
                return self.result(op.args[number + 1])
        if len(op.args) % 2:
            self._lines.append("no rule holds: others")
            return self.result(op.args[-1])
        return None

    def _told(self, test: Node) -> str:
        """Return a condition with the values it read."""
        read = {name: look_up(self._data, name) for name in dict.fromkeys(_names(test))}
        values = ", ".join(f"{name} = {_shown(value)}" for name, value in read.items())
        path = f"{test.path} " if isinstance(test, Op) else ""
        return f"{path}({values})" if values else path.strip()

    def bucket(self, op: Op) -> Bucket:
        """Return the bucket a split puts the user in."""
        by, hashed, arms = self._hashed(op)
        version = self._flag.hash_version
        try:
            weighed = tuple(self._arm(arm) for arm in arms)
        except (TypeError, ValueError, RuleFault):
            return Bucket(op.path, version, "an arm is not [variant, weight]", None)
        total = sum(weight for _, weight in weighed)
        if hashed is not None and not 1 <= total <= MAX_WEIGHT:
            return Bucket(op.path, version, f"weights add up to {total}", None)
        if hashed is None:
            return Bucket(op.path, version, by, None)
        number = (hashed * total) >> 32
        sums = accumulate(weight for _, weight in weighed)
        arm = next(i for i, end in enumerate(sums) if end > number)
        name = weighed[arm][0]
        return Bucket(op.path, version, by, hashed, total, number, name, weighed)

    def _hashed(self, op: Op) -> tuple[str, int | None, tuple[Node, ...]]:
        first = op.args[0]
        value = None if isinstance(first, Items) else self._value(first)
        if isinstance(first, Items) or isinstance(value, list | tuple):
            return self._by_user(op)
        hashed = value_hash(self._flag.hash_version, value)
        return f"{_shown(value)}", hashed, op.args[1:]

    def _by_user(self, op: Op) -> tuple[str, int | None, tuple[Node, ...]]:
        flag, user = self._flag, self._data.get("targetingKey")
        hashed = user_hash(flag.hash_version, flag.key)(self._data)
        by = f"{flag.key} and {_shown(user)}"
        if not isinstance(user, str) or not user:
            by = "there is no targeting key"
        elif hashed is None:
            by = f"the targeting key {user!a} is text that UTF-8 cannot hold"
        return by, hashed, op.args

    def _arm(self, arm: Node) -> tuple[str, int]:
        found = self._value(arm)
        if not isinstance(found, list | tuple) or not 1 <= len(found) <= 2:
            raise TypeError
        name, weight = found if len(found) == 2 else (found[0], 1)
        if type(weight) is not int:
            raise TypeError
        return str(name), max(0, weight)


def _names(node: Node) -> list[str]:
    """Return the context paths that a part reads, as far as they are constant."""
    if isinstance(node, Items):
        return [name for item in node.items for name in _names(item)]
    if not isinstance(node, Op):
        return []
    first = node.args[0] if node.args else None
    if node.name == "var" and isinstance(first, Const):
        return [first.value] if isinstance(first.value, str) and first.value else []
    return [name for arg in node.args for name in _names(arg)]


def _shown(value: Any) -> str:
    text = "absent" if value is None else f"{value!a}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
