"""Values that fit a schema: few, telling, the same for the same seed.  Pure.

Each choice of a schema is taken at least once, one at a time: required fields
only, every field, each enum member, null, no items and two, each branch of a
union, the ends of each range.  Examples come first.
"""

from __future__ import annotations

import copy
import json
import math
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from failsoft.shapes.graph import Node
from failsoft.shapes.limits import Ends, limits
from failsoft.shapes.pattern import matching_text
from failsoft.shapes.walk import walk

__all__ = ["MOST", "Samples", "samples"]

MOST = 64
# Below this many objects within objects only what is required is filled.
_DEPTH = 3
# A required recursion has no finite value; nothing real is deeper.
_HARD_DEPTH = 16
_INSIDE = 12
_MOST_SIZE = 10_000

_FORMATS = {
    "date-time": "2026-01-31T12:30:00Z",
    "date": "2026-01-31",
    "time": "12:30:00Z",
    "duration": "PT1H",
    "uuid": "6f1e2d3c-4b5a-4978-8a6b-7c8d9e0f1a2b",
    **{f"uuid{n}": f"6f1e2d3c-4b5a-{n}978-8a6b-7c8d9e0f1a2b" for n in range(1, 9)},
    "email": "user@example.com",
    "idn-email": "user@example.com",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uri-reference": "/path",
    "iri": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv4interface": "192.0.2.1/24",
    "ipv4network": "192.0.2.0/24",
    "ipv6": "2001:db8::1",
    "ipv6interface": "2001:db8::1/32",
    "ipv6network": "2001:db8::/32",
    "ipvanyaddress": "192.0.2.1",
    "ipvanyinterface": "192.0.2.1/24",
    "ipvanynetwork": "192.0.2.0/24",
    "multi-host-uri": "postgres://user@example.com:5432/db",
    "json-pointer": "/a",
    "json-string": "{}",
    "regex": "a*",
    "byte": "dGV4dA==",
    "base64": "dGV4dA==",
    "base64url": "dGV4dA",
    "decimal": "1.5",
}


@dataclass(frozen=True, slots=True)
class Samples:
    """values: JSON values, most telling first.  skipped: `/path: why` left out."""

    values: tuple[Any, ...] = ()
    skipped: tuple[str, ...] = ()


class _Unmet(Exception):
    """No value fits a node; `why` says where and what."""


def samples(node: Node, *, seed: int = 0, most: int = MOST) -> Samples:
    """Return up to `most` values that fit a schema, and what was left out.

    seed: other seeds put other choices together.  A `pattern` that no text was
    found for leaves its field out, or, if the field is required, the schema has no
    sample; either way `skipped` names it.  Cost: about the size of the schema down
    to a depth of three objects.
    """
    maker = _Maker(seed)
    try:
        made = maker.values(node, 0, "")
    except _Unmet as why:
        maker.skip(str(why))
        made = []
    return Samples(tuple(_distinct(made)[:most]), tuple(maker.skipped))


def _examples(node: Node) -> list[Any]:
    """Return what the schema itself gives; pydantic writes a list, OpenAPI 3.0 one.

    An example may be older than its schema, or newer: one that does not fit is none.
    """
    given = node.schema.get("examples")
    found = list(given) if isinstance(given, list | tuple) else []
    if isinstance(given, dict):
        found = [one["value"] for one in given.values() if "value" in one]
    if "example" in node.schema:
        found.append(node.schema["example"])
    return [one for one in found if _fits(node, one)]


def _fits(node: Node, value: Any) -> bool:
    try:
        body = json.dumps(value).encode()
    except (TypeError, ValueError):
        return False
    return not walk(node, body).findings


def _distinct(values: Iterable[Any]) -> list[Any]:
    seen: dict[str, Any] = {}
    for value in values:
        # Copies, as a migration may edit in place what samples share.
        seen.setdefault(repr(value), copy.deepcopy(value))
    return list(seen.values())


class _Maker:
    """One run; `values` returns at least one value or raises `_Unmet`."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.skipped: dict[str, None] = {}
        self._known: dict[tuple[int, int], list[Any] | _Unmet] = {}

    def skip(self, why: str) -> None:
        self.skipped[why] = None

    def values(self, node: Node, depth: int, path: str) -> list[Any]:
        """Return the values of a node, the fullest first."""
        key = (id(node), depth)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._tried(node, depth, path)
        if isinstance(known, _Unmet):
            raise known
        return known

    def _tried(self, node: Node, depth: int, path: str) -> list[Any] | _Unmet:
        """Also remember failures: unions of endless schemas are tried once each."""
        if depth > _HARD_DEPTH:
            return _Unmet(f"{path or '/'}: the schema has no end")
        made = _examples(node)
        try:
            made += self._fresh(node, depth, path)
        except _Unmet as why:
            if not made:
                return why
        made = _distinct(made)
        return self._turned(made, path) if depth else made

    def _fresh(self, node: Node, depth: int, path: str) -> list[Any]:
        null = [None] if "null" in node.types else []
        if node.members is not None:
            return [*node.members, *null]
        if null and depth > _DEPTH:
            return null
        if node.branches:
            return [*self._branches(node, depth, path), *null]
        out: list[Any] = []
        whys = []
        for kind in sorted(node.types - {"null"}, key=_KINDS.index):
            try:
                out += _MAKE[kind](self, node, depth, path)
            except _Unmet as why:
                whys.append(str(why))
        if not out and not null and whys:
            raise _Unmet(whys[0])
        for missed in whys:
            self.skip(missed)
        return [*out, *null] or ["text"]

    def _turned(self, values: list[Any], path: str) -> list[Any]:
        """Begin with another value for another seed."""
        at = zlib.crc32(f"{self.seed}:{path}".encode()) % len(values)
        at = at if self.seed else 0
        return values[at:] + values[:at]

    def _branches(self, node: Node, depth: int, path: str) -> list[Any]:
        each = []
        tags = {id(b): v for v, b in node.tag[1].items()} if node.tag else {}
        for branch in node.branches:
            try:
                made = self.values(branch, depth, path)
            except _Unmet as why:
                self.skip(str(why))
                continue
            if node.tag and id(branch) in tags:
                made = [{**v, node.tag[0]: tags[id(branch)]} for v in made]
            each.append(made)
        if not each:
            raise _Unmet(f"{path or '/'}: no branch of the union has a sample")
        # The first of each branch before the second of any.
        rounds = range(max(map(len, each)))
        return [made[i] for i in rounds for made in each if i < len(made)]

    def object(self, node: Node, depth: int, path: str) -> list[Any]:
        options: dict[str, list[Any]] = {}
        for name, prop in node.properties.items():
            if depth >= _DEPTH and not prop.required:
                continue
            try:
                options[name] = self.values(prop.node, depth + 1, f"{path}/{name}")
            except _Unmet as why:
                if prop.required:
                    raise
                self.skip(str(why))
        full = {name: made[0] for name, made in options.items()}
        full |= self._map_values(node, depth, path, full)
        required = {n: v for n, v in full.items() if _is_required(node, n)}
        out: list[Any] = [full]
        if len(required) >= int(node.schema.get("minProperties", 0)):
            out.append(required)
        for name, made in options.items():
            limit = MOST if depth == 0 else _INSIDE
            out += [{**full, name: value} for value in made[1:limit]]
        return out

    def _map_values(
        self, node: Node, depth: int, path: str, full: dict[str, Any]
    ) -> dict[str, Any]:
        """Return two keys of a map; objects with known fields get none."""
        wanted = self.size(node, "minProperties", path) - len(full)
        if node.extra is None or (node.properties and wanted <= 0):
            return {}
        made: list[Any] = ["text"]
        if isinstance(node.extra, Node):
            made = self.values(node.extra, depth + 1, f"{path}/{{*}}")
        elif wanted <= 0:
            return {}
        count = max(wanted, min(2, int(node.schema.get("maxProperties", 2))))
        names = _names(node, count)
        if len(names) < wanted:
            raise _Unmet(f"{path or '/'}: no names of keys were found")
        return {name: made[i % len(made)] for i, name in enumerate(names)}

    @staticmethod
    def size(node: Node, word: str, path: str) -> int:
        """Return how large a value must be at least."""
        size = int(node.schema.get(word, 0))
        if size > _MOST_SIZE:
            raise _Unmet(f"{path or '/'}: {word} = {size} is too large for a sample")
        return size

    def array(self, node: Node, depth: int, path: str) -> list[Any]:
        fixed = node.schema.get("prefixItems")
        low = self.size(node, "minItems", path)
        if fixed and low:
            raise _Unmet(f"{path or '/'}: items by position are not sampled")
        most = int(node.schema.get("maxItems", max(2, low)))
        empty: list[Any] = [[]] if low == 0 else []
        if (depth > _DEPTH and empty) or fixed:
            return [[]]
        if node.items is None:
            return [["text"] * max(low, min(2, most)), *empty]
        try:
            made = self.values(node.items, depth + 1, f"{path}/*")
        except _Unmet as why:
            if not empty:
                raise
            self.skip(str(why))
            return empty
        return [*_lists(node, made, low, most, path), *empty]

    def string(self, node: Node, depth: int, path: str) -> list[Any]:
        schema = node.schema
        low, high = self.size(node, "minLength", path), schema.get("maxLength")
        if "pattern" in schema:
            try:
                return [matching_text(str(schema["pattern"]), low, high)]
            except ValueError as why:
                raise _Unmet(f"{path or '/'}: {why}") from None
        if node.format in _FORMATS:
            return [_FORMATS[node.format]]
        usual = "text"[:high] if low <= 4 else "a" * low
        ends = ["a" * low] if low else []
        return [usual, *ends, *(["a" * high] if high and high <= 256 else [])]

    def integer(self, node: Node, depth: int, path: str) -> list[Any]:
        step = _step(node)
        ends = _ends(node, step)
        if ends == (None, None):
            return [step if step != 1 else 1, 0, -7 * step]
        return _numbers(ends, path)

    def number(self, node: Node, depth: int, path: str) -> list[Any]:
        if "multipleOf" in node.schema:
            return self.integer(node, depth, path)
        ends = _inside(node)
        return [1.5, 0, -2.5] if ends == (None, None) else _numbers(ends, path)

    def boolean(self, node: Node, depth: int, path: str) -> list[Any]:
        return [True, False]


def _names(node: Node, count: int) -> list[str]:
    """Return names for the keys of a map; fewer where the schema wants certain ones."""
    rule = node.schema.get("propertyNames")
    patterns = list(node.schema.get("patternProperties") or ())
    if rule is None and not patterns:
        return [f"key_{i + 1}" for i in range(count)]
    if isinstance(rule, dict):
        if isinstance(rule.get("enum"), list):
            return list(map(str, rule["enum"][:count]))
        patterns = [rule["pattern"]] if "pattern" in rule else []
    found = []
    for pattern in patterns[:1]:
        with suppress(ValueError):
            found.append(matching_text(str(pattern), 1))
    return found


def _is_required(node: Node, name: str) -> bool:
    prop = node.properties.get(name)
    return prop is None or prop.required


def _different(node: Node | None, first: Any, count: int) -> list[Any]:
    """Return items that differ, none where that takes more than counting up."""
    types = node.types if node is not None else frozenset(("string",))
    schema = node.schema if node is not None else {}
    if types == {"string"} and not {"pattern", "format", "enum"} & schema.keys():
        most = schema.get("maxLength", math.inf)
        items = [f"{first}{i}" for i in range(count)]
        return items if len(items[-1]) <= most else []
    if types == {"integer"} and node is not None and node.members is None:
        step = _step(node)
        low, high = _ends(node, step)
        if low is None:
            low = 0 if high is None else high - (count - 1) * step
        last = low + (count - 1) * step
        is_room = high is None or last <= high
        return list(range(low, last + 1, step)) if is_room else []
    return []


def _lists(node: Node, made: list[Any], low: int, most: int, path: str) -> list[Any]:
    """Return one list of two items, then a list of each further item."""
    count = min(max(low, 2), most)
    items = [made[i % len(made)] for i in range(count)]
    if node.schema.get("uniqueItems"):
        items = _distinct(items)
    if len(items) < low:
        items = _different(node.items, made[0], low)
    if len(items) < low:
        raise _Unmet(f"{path or '/'}: there are not {low} different items")
    out = [items] if items else []
    single = made[2:_INSIDE] if low <= 1 <= most else []
    return out + [[value] for value in single]


def _step(node: Node) -> Any:
    step = node.schema.get("multipleOf", 1)
    return int(step) if "integer" in node.types and step == int(step) else step


def _ends(node: Node, step: Any) -> Ends:
    """Return the least and greatest multiple of a step."""
    (low, above), (high, below) = limits(node.schema)
    if "integer" in node.types:  # pydantic writes bounds as 1.0
        low, below = (x if x is None else math.ceil(x) for x in (low, below))
        high, above = (x if x is None else math.floor(x) for x in (high, above))
    least = [-(-low // step) * step] if low is not None else []
    least += [(above // step + 1) * step] if above is not None else []
    most = [high // step * step] if high is not None else []
    most += [(-(-below // step) - 1) * step] if below is not None else []
    return max(least, default=None), min(most, default=None)


def _inside(node: Node) -> Ends:
    """Return the least and greatest number worth trying."""
    (low, above), (high, below) = limits(node.schema)
    start = max((x for x in (low, above) if x is not None), default=None)
    stop = min((x for x in (high, below) if x is not None), default=None)
    gap = 0.5 if start is None or stop is None else (stop - start) / 4
    return (
        start + gap if start is not None and start == above else start,
        stop - gap if stop is not None and stop == below else stop,
    )


def _numbers(ends: Ends, path: str) -> list[Any]:
    low, high = ends
    if low is not None and high is not None and low > high:
        raise _Unmet(f"{path or '/'}: no number is within its limits")
    fits_zero = (low is None or low <= 0) and (high is None or high >= 0)
    return [*(end for end in ends if end is not None), *([0] if fits_zero else [])]


_KINDS = ("object", "array", "string", "integer", "number", "boolean")
_MAKE: dict[str, Callable[[_Maker, Node, int, str], list[Any]]] = {
    "object": _Maker.object,
    "array": _Maker.array,
    "string": _Maker.string,
    "integer": _Maker.integer,
    "number": _Maker.number,
    "boolean": _Maker.boolean,
}
