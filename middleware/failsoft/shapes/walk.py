"""The slow path: list everything in which a body differs from its schema.

Reads with the standard library's json, as the application's parser does; a body
that the gate certified never gets here.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import msgspec

from failsoft.shapes.findings import Finding
from failsoft.shapes.graph import Node
from failsoft.shapes.readings import (
    accepted,
    expected_of,
    folded,
    got_of,
    is_coerced,
    label,
    text_fault,
)

__all__ = ["MAX_DEPTH", "MAX_FINDINGS", "MAX_WALKED", "Walked", "repeats", "walk"]

MAX_DEPTH = 64
MAX_WALKED = 20_000
MAX_FINDINGS = 100
# More unknown keys than this in one object are data, not names.
MAX_NAMES = 64

_RAW = msgspec.json.Decoder(msgspec.Raw)
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Walked:
    """findings: each once, however often it occurs.  truncated: there may be more."""

    findings: tuple[Finding, ...]
    truncated: bool = False


def walk(node: Node, body: bytes, *, is_patch: bool = False) -> Walked:
    """List the differences of a body; never raises, on any bytes.

    is_patch: of a PATCH or merge patch: nothing is missing, all may be null.
    At most 100 findings, 20,000 values, 64 levels.
    """
    task = _Walk(is_patch)
    if not body:
        if "null" not in node.types:
            task.add("", "missing", expected_of(node), "absent")
        return task.done()
    value = task.read(body)
    if value is not _ABSENT:
        task.run(node, value, "", 0)
        if not task.findings:
            task.judge_unread(body)
    return task.done()


def repeats(body: bytes) -> bool:
    """Tell whether some object of a body holds a key twice; a gate cannot see it."""
    task = _Walk(False)
    task.read(body)
    return bool(task.doubled)


class _Walk:
    """One walk: what it found, and what it may still spend."""

    __slots__ = (
        "doubled",
        "findings",
        "has_constant",
        "is_patch",
        "left",
        "truncated",
    )

    def __init__(self, is_patch: bool) -> None:
        self.is_patch = is_patch
        self.findings: dict[Finding, None] = {}
        self.left = MAX_WALKED
        self.truncated = False
        self.has_constant = False
        # id of an object that held a key twice -> it (so the id stays its) and the keys
        self.doubled: dict[int, tuple[Any, list[str]]] = {}

    def done(self) -> Walked:
        return Walked(tuple(self.findings), self.truncated)

    def add(self, path: str, kind: str, expected: str = "", got: str = "") -> None:
        if len(self.findings) >= MAX_FINDINGS:
            self.truncated = True
        else:
            self.findings[Finding(path, kind, expected, got)] = None

    # Reading.

    def read(self, body: bytes) -> Any:
        """Parse as the application would; what nobody can read is a finding."""
        encoding = json.detect_encoding(body)
        try:
            if encoding != "utf-8":
                self.add("", "encoding")
            text = body.decode(encoding, "surrogatepass")
            return json.loads(
                text,
                object_pairs_hook=self._pairs,
                parse_constant=self._constant,
            )
        except RecursionError:
            self.add("", "too_deep")
        except UnicodeDecodeError:
            self.add("", "encoding")
        except json.JSONDecodeError:
            self.add("", "not_json")
        except ValueError:  # more digits than Python reads into an integer
            self.add("", "number")
        return _ABSENT

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            twice = [name for name, _ in pairs if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
            self.doubled[id(found)] = (found, list(dict.fromkeys(twice)))
        return found

    def _constant(self, name: str) -> float:
        self.has_constant = True
        return float(name)

    def judge_unread(self, body: bytes) -> None:
        """Report what a strict parser refuses where nothing was looked at."""
        try:
            _RAW.decode(body)
            body.decode()
        except RecursionError:
            self.add("", "too_deep")
        except (msgspec.MsgspecError, ValueError):
            self.add("", "number" if self.has_constant else "encoding")

    # Walking.

    def run(self, node: Node, value: Any, path: str, depth: int) -> None:
        """Walk a value and all below it, the outer levels first."""
        todo = [(node, value, path, depth)]
        while todo:
            level, todo = todo, []
            for item in level:
                self.left -= 1
                if self.left < 0:
                    self.truncated = True
                    return
                self._visit(item, todo)

    def _visit(self, item: _Item, todo: list[_Item]) -> None:
        node, value, path, depth = item
        if node.is_opaque or type(value) in node.plain:
            return
        if node.branches:
            self._union(item, todo)
        elif not node.types:
            return
        elif type(value) is float and not _is_finite(value):
            self.add(path, "number", expected_of(node), "float")
        elif not accepted(node, value):
            self._misfit(node, value, path)
        elif depth > MAX_DEPTH:
            self.add(path, "too_deep")
        elif node.members is not None and value is not None:
            if not any(_is_same(value, member) for member in node.members):
                self.add(path, "enum", expected_of(node), got_of(value))
        elif type(value) is dict:
            self._object(item, todo)
        elif type(value) is list:
            if node.items is not None:
                self._array(node.items, value, path, todo, depth)
        else:
            self._scalar(node, value, path)

    def _array(
        self, node: Node, value: list[Any], path: str, todo: list[_Item], depth: int
    ) -> None:
        self.left -= len(value) // 16  # what is plain is cheap, not free
        plain, below = node.plain, f"{path}/*"
        fresh = [v for v in value[: MAX_WALKED + 1] if type(v) not in plain]
        todo += [(node, each, below, depth + 1) for each in fresh]
        self.truncated |= len(value) > MAX_WALKED

    def _scalar(self, node: Node, value: Any, path: str) -> None:
        kind = ""
        if type(value) is str:
            kind = text_fault(node.format, value)
        elif type(value) in (int, float) and not _is_finite(value):
            kind = "number"
        if kind:
            self.add(path, kind, expected_of(node), got_of(value))

    def _misfit(self, node: Node, value: Any, path: str) -> None:
        kind = "type"
        if value is None:
            kind = "null"
        elif is_coerced(node, value):
            kind = "coerced"
        elif "array" in node.types and type(value) is not list:
            if node.items is None or accepted(node.items, value):
                kind = "array_scalar"
        elif type(value) is list and len(value) == 1 and accepted(node, value[0]):
            kind = "array_scalar"
        self.add(path, kind, expected_of(node), got_of(value))

    def _union(self, item: _Item, todo: list[_Item]) -> None:
        node, value, path, depth = item
        if value is None and "null" in node.types:
            return
        if node.tag is not None and type(value) is dict:
            self._tagged(item, todo)
            return
        fitting = [branch for branch in node.branches if accepted(branch, value)]
        if not fitting:
            self._misfit(node, value, path)
        elif len(fitting) == 1:
            todo.append((fitting[0], value, path, depth))
        elif depth > MAX_DEPTH:
            self.add(path, "too_deep")
        else:
            self._try(item)

    def _tagged(self, item: _Item, todo: list[_Item]) -> None:
        node, value, path, depth = item
        name, by_value = node.tag or ("", {})
        said = value.get(name, _ABSENT)
        branch = by_value.get(str(said)) if type(said) in (str, int) else None
        if branch is not None:
            todo.append((branch, value, path, depth))
        elif said is _ABSENT and self.is_patch:
            return
        else:
            kind = "missing" if said is _ABSENT else "enum"
            got = "absent" if said is _ABSENT else got_of(said)
            self.add(f"{path}/{label(name)}", kind, "string", got)

    def _try(self, item: _Item) -> None:
        """Report the branch of a union that differs least; none if one fits."""
        node, value, path, depth = item
        before, was_truncated = self.findings, self.truncated
        best, is_cut = None, False
        # Not the branches: a union may hold itself.
        for branch in node.leaves():
            if not accepted(branch, value):
                continue
            self.findings, self.truncated = {}, False
            self.run(branch, value, path, depth)
            if best is None or len(self.findings) < len(best):
                best, is_cut = self.findings, self.truncated
            if not best or self.left < 0:
                break
        self.findings, self.truncated = before, was_truncated or is_cut
        for found in best or ():
            self.add(found.path, found.kind, found.expected, found.got)

    def _object(self, item: _Item, todo: list[_Item]) -> None:
        node, value, path, depth = item
        if self.doubled:
            self._repeated(node, value, path)
        self.left -= len(value) // 16
        properties = node.properties
        others = []
        for name, each in value.items():
            prop = properties.get(name)
            if prop is None:
                others.append(name)
            elif type(each) not in prop.node.plain:
                if each is None and self.is_patch:
                    continue
                below = f"{path}/{label(name, True)}"
                todo.append((prop.node, each, below, depth + 1))
        renamed = self._others(item, others, todo) if others else frozenset()
        if len(value) - len(others) < len(properties) and not self.is_patch:
            for name, prop in properties.items():
                if prop.required and name not in value and name not in renamed:
                    self.left -= 1
                    below = f"{path}/{label(name, True)}"
                    self.add(below, "missing", expected_of(prop.node), "absent")

    def _repeated(self, node: Node, value: Any, path: str) -> None:
        for name in self.doubled.get(id(value), _NOTHING)[1]:
            self.add(f"{path}/{label(name, name in node.properties)}", "duplicate")

    def _others(
        self, item: _Item, names: list[str], todo: list[_Item]
    ) -> frozenset[str]:
        """Judge keys that are no property; return the properties they mean."""
        node, value, path, depth = item
        # Objects of one key each would have all properties looked through for it.
        self.left -= len(node.properties) // 4
        aliases = {a: n for n, prop in node.properties.items() for a in prop.aliases}
        renamed = {aliases[name] for name in names if name in aliases}
        for name in names:
            if name in aliases:
                meant = aliases[name]
                kind = "ambiguous" if meant in value else "alias"
                below = f"{path}/{label(name, True)}"
                child = node.properties[meant].node
                self.add(below, kind, expected_of(child), got_of(value[name]))
                todo.append((child, value[name], below, depth + 1))
        rest = [name for name in names if name not in aliases]
        if isinstance(node.extra, Node):
            plain, below = node.extra.plain, f"{path}/{{*}}"
            todo += [
                (node.extra, value[name], below, depth + 1)
                for name in rest[: MAX_WALKED + 1]
                if type(value[name]) not in plain
            ]
        elif node.extra is None and len(rest) > MAX_NAMES:
            self.add(f"{path}/{{*}}", "unknown", "", got_of(value[rest[0]]))
        elif node.extra is None:
            renamed |= self._unknown(item, rest)
        return frozenset(renamed)

    def _unknown(self, item: _Item, names: list[str]) -> set[str]:
        """Report keys the schema lacks; of other case only, they mean a property."""
        node, value, path, _ = item
        folds: dict[str, list[str]] = {}
        for name in node.properties:
            folds.setdefault(folded(name), []).append(name)
        claims = [folded(name) for name in names]
        renamed = set()
        for name, fold in zip(names, claims, strict=True):
            meant = folds.get(fold, ())
            kind, expected = "unknown", ""
            if meant:
                is_clear = claims.count(fold) == 1 and len(meant) == 1
                kind = "ambiguous"
                if is_clear and meant[0] not in value:
                    kind = "case"
                    renamed.add(meant[0])
                expected = expected_of(node.properties[meant[0]].node)
            self.add(f"{path}/{label(name)}", kind, expected, got_of(value[name]))
        return renamed


_Item = tuple[Node, Any, str, int]
_NOTHING: tuple[Any, list[str]] = (None, [])


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


def _is_same(value: Any, member: Any) -> bool:
    """Compare as JSON does: 1 is 1.0, but never true."""
    if isinstance(value, bool) or isinstance(member, bool):
        return value is member
    return bool(value == member)
