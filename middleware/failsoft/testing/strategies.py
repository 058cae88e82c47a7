"""Hypothesis strategies of what fits a schema graph.

hypothesis-jsonschema 0.23.1, the last one, fails on objects with Hypothesis 6.170
(`'many' object has no attribute 'more'`); a graph needs less than JSON Schema does.
"""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from failsoft.shapes.graph import Node
from failsoft.shapes.limits import limits
from failsoft.shapes.sample import samples

__all__ = ["fitting"]

Strategy = st.SearchStrategy[Any]

_MOST_ITEMS = 5
# JSON that every parser reads alike; surrogates and nul are tested elsewhere.
_TEXT = st.characters(exclude_categories=["Cs", "Cc"])


def fitting(node: Node) -> Strategy:
    """Return a strategy of JSON values that fit a schema; recursion is followed."""
    return _Made().of(node)


class _Made:
    """One strategy per node, so that cycles of schemas are cycles of strategies."""

    def __init__(self) -> None:
        self._known: dict[int, Strategy] = {}

    def of(self, node: Node) -> Strategy:
        if id(node) not in self._known:
            self._known[id(node)] = st.deferred(lambda: self._fresh(node))
        return self._known[id(node)]

    def _fresh(self, node: Node) -> Strategy:
        null = [st.none()] if "null" in node.types else []
        if node.members is not None:
            return st.one_of(st.sampled_from(node.members), *null)
        if node.branches:
            return st.one_of(
                *map(self._tagged, [node] * len(node.branches), node.branches), *null
            )
        each = [self._kind(kind, node) for kind in sorted(node.types - {"null"})]
        if not each and not null:
            return st.one_of(st.none(), st.booleans(), st.text(_TEXT, max_size=9))
        return st.one_of(*each, *null)

    def _tagged(self, union: Node, branch: Node) -> Strategy:
        made = self.of(branch)
        if union.tag is None:
            return made
        name, by_value = union.tag
        values = [value for value, one in by_value.items() if one is branch]
        if not values:
            return made
        return made.map(lambda value: {**value, name: values[0]})

    def _kind(self, kind: str, node: Node) -> Strategy:
        if kind == "object":
            return self._object(node)
        if kind == "array":
            return self._array(node)
        if kind == "boolean":
            return st.booleans()
        return _text(node) if kind == "string" else _number(node, kind)

    def _object(self, node: Node) -> Strategy:
        needed: dict[str, Strategy] = {}
        optional: dict[str, Strategy] = {}
        for name, prop in node.properties.items():
            (needed if prop.required else optional)[name] = self.of(prop.node)
        made = st.fixed_dictionaries(needed, optional=optional)
        if node.properties or node.extra is None:
            return made
        if {"propertyNames", "patternProperties"} & node.schema.keys():
            return st.sampled_from(samples(node).values or ({},))
        values = self.of(node.extra) if isinstance(node.extra, Node) else st.booleans()
        names = st.text(_TEXT, min_size=1, max_size=9)
        low = int(node.schema.get("minProperties", 0))
        return st.dictionaries(names, values, min_size=low, max_size=low + _MOST_ITEMS)

    def _array(self, node: Node) -> Strategy:
        low = int(node.schema.get("minItems", 0))
        high = int(node.schema.get("maxItems", low + _MOST_ITEMS))
        if node.items is None:
            return st.sampled_from(samples(node).values or ([],))
        unique = repr if node.schema.get("uniqueItems") else None
        high = min(high, low + _MOST_ITEMS)
        return st.lists(
            self.of(node.items), min_size=low, max_size=high, unique_by=unique
        )


def _text(node: Node) -> Strategy:
    schema = node.schema
    if "pattern" in schema:
        low, high = int(schema.get("minLength", 0)), schema.get("maxLength", math.inf)
        matching = st.from_regex(str(schema["pattern"]))
        return matching.filter(lambda text: low <= len(text) <= high)
    if node.format:
        known = {
            "date": st.dates().map(str),
            "uuid": st.uuids().map(str),
            "date-time": st.datetimes().map(lambda at: f"{at.isoformat()}Z"),
        }
        if node.format in known:
            return known[node.format]
        return st.sampled_from(samples(node).values)
    low = int(schema.get("minLength", 0))
    high = schema.get("maxLength", low + 20)
    return st.text(_TEXT, min_size=low, max_size=min(high, low + 1000))


def _number(node: Node, kind: str) -> Strategy:
    if "multipleOf" in node.schema:
        return st.sampled_from(samples(node).values)
    (low, above), (high, below) = limits(node.schema)
    low = max((x for x in (low, above) if x is not None), default=None)
    high = min((x for x in (high, below) if x is not None), default=None)
    if kind == "integer":
        made: Strategy = st.integers(
            math.ceil(low) if low is not None else None,
            math.floor(high) if high is not None else None,
        )
    else:
        made = st.floats(low, high, allow_nan=False, allow_infinity=False)
    return made.filter(lambda number: number not in (above, below))
