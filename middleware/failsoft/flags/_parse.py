"""Check a flag's document and build the tree of its rule.

Whatever the bytes are, the outcome is a `Flag` or a `FlagError` that names the key,
the path, what was expected and the nearest name.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from failsoft.controls.targets import nearest
from failsoft.errors import FlagError
from failsoft.flags._guard import read_guard
from failsoft.flags._hash import HASH_VERSIONS
from failsoft.flags._model import Const, Flag, Items, Node, Op
from failsoft.flags._ops import EAGER
from failsoft.settings import FAIL_POLICIES, is_date

__all__ = ["MAX_DEPTH", "MAX_NODES", "OPERATORS", "decode", "parse_flag"]

MAX_DEPTH = 64
MAX_NODES = 2_000
MAX_WEIGHT = (1 << 31) - 1

# Two array operators inside each other may already take a million steps.
_MAX_LOOPS = 2
_LOOPS = frozenset(("map", "filter", "reduce", "all", "none", "some"))
_LAZY = frozenset(("if", "and", "or", "var", "missing", "missing_some"))
OPERATORS = (
    frozenset(EAGER) | _LAZY | _LOOPS | frozenset(("fractional", "$ref", "$flag"))
)
_NOT_HERE = {"log": "evaluation writes no logs; put its argument in its place"}
_OWN_FIELDS = ("state", "variants", "defaultVariant", "targeting", "metadata")
# The last two are flagd's own notes on where a flag came from.
_FIELDS = (*_OWN_FIELDS, "source", "selector")
_KINDS = ("release", "experiment", "ops", "permission")


def decode(raw: bytes, where: str) -> Any:
    """Decode JSON; FlagError for what is none, or nested without end."""
    try:
        return msgspec.json.decode(raw)
    except RecursionError:
        todo = f"keep rules within {MAX_DEPTH} levels"
        raise FlagError("is nested too deep", where=where, todo=todo) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise FlagError(f"is no JSON: {error}", where=where) from None


def parse_flag(
    key: str, raw: bytes, evaluators: Mapping[str, bytes] | None = None
) -> Flag:
    """Return the checked flag of a document.

    raw: one flagd flag as JSON.  evaluators: name -> JSON that `$ref` stands for.
    O(nodes), at most 2,000 of them.  Raises FlagError.
    """
    where = f"flag:{key}"
    doc = decode(raw, where)
    if not isinstance(doc, dict):
        raise FlagError("must be an object", where=where)
    for name in doc:
        if name not in _FIELDS:
            raise FlagError(
                f"{name} is not known", where=where, todo=_meant(name, _FIELDS)
            )
    if doc.get("state") not in ("ENABLED", "DISABLED"):
        found = doc.get("state")
        raise FlagError(
            f"{found!r:.50} must be ENABLED or DISABLED", where=f"{where} state"
        )
    variants = _variants(doc.get("variants"), where)
    default = _default(doc.get("defaultVariant"), variants, where)
    metadata = _metadata(doc.get("metadata"), variants, where)
    version = metadata.get("x.hash", 3)
    reader = _Reader(key, version, {} if evaluators is None else evaluators)
    rule = reader.rule(doc.get("targeting"))
    return Flag(
        key,
        doc["state"] == "ENABLED",
        variants,
        default,
        rule,
        version,
        metadata,
        frozenset(reader.refs),
        frozenset(reader.dangling),
        frozenset(reader.prerequisites),
        frozenset(reader.reads),
        read_guard(metadata, variants, f"{where} metadata"),
    )


def _meant(name: str, known: Iterable[str]) -> str:
    close = nearest(name, known, 1)
    return f"did you mean {close[0]}?" if close else ""


def _variants(found: Any, where: str) -> dict[str, Any]:
    if not isinstance(found, dict) or not found:
        raise FlagError("has no variants", where=where, todo="add some")
    _measure(found, f"{where} variants", MAX_DEPTH, MAX_NODES * 10)
    kinds = {_kind(value) for value in found.values()}
    if len(kinds) > 1 or "" in kinds:
        named = sorted(kind or "null or array" for kind in kinds)
        raise FlagError(
            f"are of {' and '.join(named)}",
            where=f"{where} variants",
            todo="use one of boolean, string, number and object for all",
        )
    return found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return (
        "string" if isinstance(value, str) else "object" if type(value) is dict else ""
    )


def _default(found: Any, variants: Mapping[str, Any], where: str) -> str | None:
    if found is None or found == "":
        return None
    if not isinstance(found, str) or found not in variants:
        raise FlagError(
            f"{found!r:.50} is not one of {', '.join(variants)}",
            where=f"{where} defaultVariant",
            todo="name a variant",
        )
    return found


def _metadata(found: Any, variants: Mapping[str, Any], where: str) -> dict[str, Any]:
    if found is None:
        return {}
    where = f"{where} metadata"
    if not isinstance(found, dict):
        raise FlagError("must be an object", where=where)
    for name, value in found.items():
        if not name or not isinstance(value, str | int | float):
            raise FlagError(
                "must be text, a number or a boolean", where=f"{where}.{name}"
            )
    version = found.get("x.hash", 3)
    if isinstance(version, bool) or version not in HASH_VERSIONS:
        raise FlagError(
            f"{version!r} is no hash version", where=f"{where}.x.hash", todo="use 3"
        )
    for name, allowed in (
        ("x.kill", tuple(variants)),
        ("x.fail", FAIL_POLICIES),
        ("x.kind", _KINDS),
    ):
        if name in found and found[name] not in allowed:
            raise FlagError(
                f"{found[name]!r:.50} is not one of {', '.join(allowed)}",
                where=f"{where}.{name}",
            )
    expires = found.get("x.expires")
    if expires is not None and not (isinstance(expires, str) and is_date(expires)):
        raise FlagError(
            f"{expires!r:.50} is no date",
            where=f"{where}.x.expires",
            todo='write it like "2027-01-31"',
        )
    age = found.get("x.max_stale", 1)
    if isinstance(age, bool | str) or not age > 0:
        raise FlagError(
            f"{age!r:.50} must be seconds > 0", where=f"{where}.x.max_stale"
        )
    return found


def _measure(value: Any, where: str, max_depth: int, max_nodes: int) -> None:
    """Refuse what is too deep or too large, without recursion."""
    level, depth, count = [value], 0, 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > max_depth:
            raise FlagError(f"is nested deeper than {max_depth}", where=where)
        if count > max_nodes:
            raise FlagError(f"has more than {max_nodes} nodes", where=where)
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                below.extend(item.values())
            elif type(item) is list:
                below.extend(item)
        level = below


class _Reader:
    """Reads one rule; collects what it refers to.

    `$ref` is substituted on the tree, so nodes are counted once more here: a few
    evaluators that name each other twice would else grow without end.
    """

    def __init__(self, key: str, version: int, evaluators: Mapping[str, bytes]) -> None:
        self.version = version
        self.refs: set[str] = set()
        self.dangling: set[str] = set()
        self.prerequisites: set[str] = set()
        self.reads: set[str] = set()
        self._where = f"flag:{key}"
        self._evaluators = evaluators
        self._nodes = 0
        self._open: list[str] = []  # evaluators being substituted

    def rule(self, targeting: Any) -> Node | None:
        if targeting is None or targeting == {}:
            return None
        if not isinstance(targeting, dict) or len(targeting) != 1:
            names = ", ".join(targeting) if isinstance(targeting, dict) else targeting
            raise self._fault(f"{names!r:.80} must be one operator", "targeting")
        _measure(targeting, f"{self._where} targeting", MAX_DEPTH, MAX_NODES)
        return self._node(targeting, "targeting", 1, 0)

    def _fault(self, message: str, path: str, todo: str = "") -> FlagError:
        return FlagError(message, where=f"{self._where} {path}", todo=todo)

    def _node(self, value: Any, path: str, depth: int, loops: int) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._fault(f"has more than {MAX_NODES} nodes", path)
        if depth > MAX_DEPTH:
            raise self._fault(f"is nested deeper than {MAX_DEPTH}", path)
        if isinstance(value, list):
            return Items(
                tuple(
                    self._node(item, f"{path}[{at}]", depth + 1, loops)
                    for at, item in enumerate(value)
                )
            )
        if not isinstance(value, dict) or len(value) != 1:
            # JsonLogic: an object of several names is a literal.
            return Const(value)
        ((name, raw),) = value.items()
        return self._operator(name, raw, f"{path}.{name}", depth, loops)

    def _operator(self, name: str, raw: Any, path: str, depth: int, loops: int) -> Node:
        if name not in OPERATORS:
            todo = _NOT_HERE.get(name) or _meant(name, OPERATORS)
            todo = todo or "update the node, or use another operator"
            raise self._fault(f"operator {name!r:.50} is not known", path, todo)
        args = raw if isinstance(raw, list) else [raw]
        if name == "$ref":
            return self._ref(args, path, depth, loops)
        if name in _LOOPS and loops == _MAX_LOOPS:
            todo = f"nest at most {_MAX_LOOPS}"
            raise self._fault("array operators are nested too deep", path, todo)
        nodes = tuple(
            # The second argument of an array operator runs once an element.
            self._node(
                arg, f"{path}[{at}]", depth + 1, loops + (name in _LOOPS and at == 1)
            )
            for at, arg in enumerate(args)
        )
        op = Op(name, nodes, path)
        if name == "var":
            self._note_read(op)
        elif name.startswith("missing"):
            self.reads.add("*")
        elif name == "$flag":
            self._prerequisite(op, loops)
        elif name == "fractional":
            self._check_weights(op)
        return op

    def _note_read(self, op: Op) -> None:
        first = op.args[0] if op.args else Const("")
        if isinstance(first, Const) and isinstance(first.value, str) and first.value:
            self.reads.add(first.value.partition(".")[0])
        else:
            self.reads.add("*")

    def _prerequisite(self, op: Op, loops: int) -> None:
        names = [a.value for a in op.args if isinstance(a, Const)]
        if len(op.args) != 2 or [type(name) for name in names] != [str, str]:
            raise self._fault("must be [flag, variant]", op.path)
        if loops:
            # There the element is the context, and nobody knows the user.
            raise self._fault("cannot stand inside an array operator", op.path)
        self.prerequisites.add(names[0])

    def _ref(self, args: list[Any], path: str, depth: int, loops: int) -> Node:
        name = args[0] if len(args) == 1 else None
        if not isinstance(name, str):
            raise self._fault("must name one evaluator", path)
        self.refs.add(name)
        raw = self._evaluators.get(name)
        if raw is None:
            self.dangling.add(name)
            return Op("$ref", (Const(name),), path)
        if name in self._open:
            circle = " -> ".join((*self._open, name))
            raise self._fault(f"evaluators refer to themselves: {circle}", path)
        rule = decode(raw, f"evaluator:{name}")
        _measure(rule, f"evaluator:{name}", MAX_DEPTH, MAX_NODES)
        self._open.append(name)
        node = self._node(rule, path, depth + 1, loops)
        self._open.pop()
        return node

    def _check_weights(self, op: Op) -> None:
        """Refuse constant weights that could only give null."""
        arms = op.args if op.args and isinstance(op.args[0], Items) else op.args[1:]
        total = 0
        for at, arm in enumerate(arms, len(op.args) - len(arms)):
            path = f"{op.path}[{at}]"
            if isinstance(arm, Op):
                return  # known at evaluation only
            if isinstance(arm, Const) or not 1 <= len(arm.items) <= 2:
                raise self._fault("must be [variant, weight]", path)
            weight = arm.items[1] if len(arm.items) == 2 else Const(1)
            if isinstance(weight, Op):
                return
            value = weight.value if isinstance(weight, Const) else None
            if type(value) is not int:
                raise self._fault(f"weight {value!r:.50} must be a whole number", path)
            total += max(0, value)
        if not 1 <= total <= MAX_WEIGHT:
            todo = f"make the sum 1..{MAX_WEIGHT}"
            raise self._fault(f"weights add up to {total}", op.path, todo)
