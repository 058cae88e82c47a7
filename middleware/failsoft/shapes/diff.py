"""What changed between two schemas or OpenAPI documents, and whom it can break.

Differences bear the ids and levels of oasdiff (tufin/oasdiff: checker/rules.go)
where it has one, so that its tools and filters read our reports.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from failsoft.shapes.graph import Node, Prop
from failsoft.shapes.limits import limits

__all__ = [
    "BREAKING",
    "LEVELS",
    "Difference",
    "breaking",
    "compare_nodes",
    "drift_id",
    "level_of",
    "report_row",
]

Section = Literal["request", "response", "parameter", "operation"]

# oasdiff's ERR, WARN, INFO.
LEVELS = ("error", "warning", "info")
BREAKING = frozenset(("error", "warning"))

# Ids that are not `error`; `breaking` of oasdiff is error and warning.
_INFO = re.compile(
    r"endpoint-(added|deprecated)|api-removed-with-deprecation"
    r"|.*-(generalized|became-optional|-added-optional)|request-.*-became-nullable"
    r"|request-.*-enum-value-added|request-.*(max|min).*-(widened)"
    r"|response-.*-became-required|new-optional-.*|response-.*-property-added"
    r"|response-property-enum-value-removed|response-property-one-of-removed"
    r"|request-property-one-of-added|response-(non-)?success-status-added"
    r"|response-non-success-status-removed|.*-media-type-added"
    r"|request-body-added-optional|response-property-became-not-nullable"
    r"|response-body-became-not-nullable|response-property-type-specialized"
)
_WARNING = frozenset(
    (
        "request-property-removed",
        "request-parameter-removed",
        "response-optional-property-removed",
        "response-property-enum-value-added",
        "optional-response-header-removed",
        "request-property-pattern-added",
        "request-property-pattern-changed",
        "request-property-max-set",
        "request-property-min-set",
        "request-property-max-length-set",
        "request-property-min-items-set",
    )
)


def level_of(rule: str) -> str:
    """Return `error`, `warning` or `info` for an oasdiff id."""
    if rule in _WARNING:
        return "warning"
    # An answer that may lack a key breaks its readers.
    if rule == "response-property-became-optional":
        return "error"
    return "info" if _INFO.fullmatch(rule) else "error"


@dataclass(frozen=True, slots=True)
class Difference:
    """One change.

    id: oasdiff's where it has one.  path: `/items/*/qty` from the body, or
    `query/limit`.  target: what an op would name: `Order.qty`, or
    `Body("GET /x", "response", "/qty")` outside named schemas.  was, now: types,
    names or members of each side, "" for absent.
    """

    id: str
    operation: str
    section: Section
    path: str = ""
    target: str = ""
    was: str = ""
    now: str = ""
    level: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.level:
            object.__setattr__(self, "level", level_of(self.id))

    def __str__(self) -> str:
        sides = f" ({self.was or 'absent'} -> {self.now or 'absent'})"
        shown = sides if self.was or self.now else ""
        return f"{self.level}: {self.operation} {self.path} {self.id}{shown}".strip()


def breaking(found: Iterable[Difference]) -> tuple[Difference, ...]:
    """Return those of level error or warning."""
    return tuple(one for one in found if one.level in BREAKING)


def report_row(one: Difference) -> dict[str, Any]:
    """Return the fields that drift reports and contract diffs share."""
    return {
        "id": one.id,
        "path": one.path,
        "operation": one.operation,
        "section": one.section,
        "level": one.level,
        "count": 1,
        "consumers": 0,
        "first": None,
        "last": None,
        "target": one.target,
        "was": one.was,
        "now": one.now,
    }


_OF_DRIFT = {
    "unknown": ("new-optional-request-property", "response-optional-property-added"),
    "missing": (
        "request-property-became-optional",
        "response-required-property-removed",
    ),
    "null": ("request-property-became-nullable", "response-property-became-nullable"),
    "enum": ("request-property-enum-value-added", "response-property-enum-value-added"),
    "status": ("", "response-non-success-status-added"),
}
_OF_TYPE = frozenset(("type", "coerced", "format", "array_scalar"))


def drift_id(kind: str, section: str, path: str) -> str:
    """Return oasdiff's id of a drift kind, the kind itself where it has none.

    kind: of `findings.KINDS`, or `lifecycle`.  section: `request` or `response`.
    path: "" for the body itself.
    """
    if kind == "lifecycle":
        return "api-removed-before-sunset"
    if kind in _OF_TYPE:
        return f"{section}-{'property' if path else 'body'}-type-changed"
    return _OF_DRIFT.get(kind, (kind, kind))[section == "response"] or kind


def compare_nodes(
    old: Node, new: Node, section: Literal["request", "response"], operation: str = ""
) -> tuple[Difference, ...]:
    """Return what differs between two schemas of one body.

    section: who breaks: in requests the client's old body must still fit, in
    responses the new body must fit the client's old schema.  Cost: linear in the
    nodes of both; recursion is followed once.
    """
    return tuple(_Walk(section, operation).nodes(old, new))


@dataclass(frozen=True, slots=True)
class _At:
    """Where the walk stands.  base: the last named schema; below: path from there."""

    path: str = ""
    base: str = ""
    below: tuple[str, ...] = ()

    def into(self, step: str, node: Node) -> _At:
        path = f"{self.path}/{step}"
        if node.name:
            return _At(path, node.name)
        return _At(path, self.base, (*self.below, step))


class _Walk:
    """One comparison of two graphs in one direction."""

    def __init__(self, section: Literal["request", "response"], operation: str) -> None:
        self.section = section
        self.operation = operation
        self.is_request = section == "request"
        self._seen: set[tuple[int, int]] = set()

    def nodes(self, old: Node, new: Node) -> Iterator[Difference]:
        # By hand instead of by recursion: public specs are deep.
        stack = [(old, new, _At(base=new.name or old.name))]
        while stack:
            old, new, at = stack.pop()
            if (id(old), id(new)) in self._seen:
                continue
            self._seen.add((id(old), id(new)))
            if "x-failsoft-unknown" in new.schema:
                continue  # a contract fills it, nobody has said of what type
            changed = list(self._types(old, new, at))
            yield from changed
            yield from self._null(old, new, at)
            if any(one.id.endswith("type-changed") for one in changed):
                continue
            yield from self._enum(old, new, at)
            yield from self._limits(old, new, at)
            yield from self._properties(old, new, at)
            yield from self._branches(old, new, at)
            stack.extend(_inside(old, new, at))

    def _one(
        self, what: str, at: _At, was: object = "", now: object = ""
    ) -> Difference:
        """Make a difference; `what` without the section, `{}` for body or property."""
        rule = f"{self.section}-{what.format('property' if at.path else 'body')}"
        return self._named(rule, at, was, now)

    def _named(
        self, rule: str, at: _At, was: object = "", now: object = ""
    ) -> Difference:
        return Difference(
            rule,
            self.operation,
            self.section,
            at.path,
            self._target(at),
            str(was),
            str(now),
        )

    def _target(self, at: _At) -> str:
        if at.base:
            return ".".join((at.base, *at.below))
        return f'Body("{self.operation}", "{self.section}", "{at.path}")'

    def _types(self, old: Node, new: Node, at: _At) -> Iterator[Difference]:
        before, after = _kinds(old), _kinds(new)
        was, now = _words(old), _words(new)
        wider, narrower = _covers(after, before), _covers(before, after)
        if old.format != new.format and before == after:
            wider, narrower = not new.format, not old.format
        if wider and narrower:
            return
        if self.is_request and wider:
            yield self._one("{}-type-generalized", at, was, now)
        elif not self.is_request and narrower:
            yield self._one("{}-type-specialized", at, was, now)
        else:
            yield self._one("{}-type-changed", at, was, now)

    def _null(self, old: Node, new: Node, at: _At) -> Iterator[Difference]:
        before, after = _takes_null(old), _takes_null(new)
        if after and not before:
            yield self._one("{}-became-nullable", at)
        elif before and not after:
            yield self._one("{}-became-not-nullable", at)

    def _enum(self, old: Node, new: Node, at: _At) -> Iterator[Difference]:
        if old.members is None and new.members is None:
            return
        if old.members is None:
            if self.is_request:
                yield self._one("{}-became-enum", at, "", _listed(new.members))
            return
        if new.members is None:
            yield self._one("{}-enum-value-added", at, _listed(old.members), "any")
            return
        gone = [m for m in old.members if m not in new.members and m is not None]
        came = [m for m in new.members if m not in old.members and m is not None]
        for member in gone:
            yield self._one("{}-enum-value-removed", at, member, "")
        for member in came:
            yield self._one("{}-enum-value-added", at, "", member)

    def _limits(self, old: Node, new: Node, at: _At) -> Iterator[Difference]:
        before, after = _ends(old), _ends(new)
        for key, word, sign in _LIMITS:
            was, now = before.get(key), after.get(key)
            if was == now:
                continue
            if was is None and self.is_request:
                yield self._one(f"{{}}-{word}-set", at, was, now)
            elif now is None and not self.is_request:
                yield self._one(f"{{}}-{word}-unset", at, was, now)
            elif was is None or now is None:
                continue
            elif ((now > was) == (sign > 0)) == self.is_request:
                how = "increased" if now > was else "decreased"
                yield self._one(f"{{}}-{word}-{how}", at, was, now)
        was, now = old.schema.get("pattern"), new.schema.get("pattern")
        if self.is_request and now is not None and was != now:
            how = "added" if was is None else "changed"
            yield self._one(f"{{}}-pattern-{how}", at, was or "", now)

    def _properties(self, old: Node, new: Node, at: _At) -> Iterator[Difference]:
        if not (old.properties or new.properties):
            return
        for name, prop in old.properties.items():
            here = _At(f"{at.path}/{name}", at.base, (*at.below, name))
            other = new.properties.get(name)
            if other is None:
                yield self._gone(prop, here)
            elif prop.required != other.required and not self._is_filled(other):
                how = "required" if other.required else "optional"
                yield self._one(f"property-became-{how}", here)
        for name, prop in new.properties.items():
            if name not in old.properties:
                yield self._came(
                    prop, _At(f"{at.path}/{name}", at.base, (*at.below, name))
                )
        if self.is_request and _refuses(new) and not _refuses(old):
            yield self._one("{}-unknown-properties-refused", at)

    def _is_filled(self, prop: Prop) -> bool:
        """Whether old answers get it filled; old requests were never asked for it."""
        return self.is_request and "x-failsoft-filled" in prop.node.schema

    def _gone(self, prop: Prop, at: _At) -> Difference:
        if self.is_request:
            return self._named("request-property-removed", at, _words(prop.node))
        how = "required" if prop.required else "optional"
        return self._named(f"response-{how}-property-removed", at, _words(prop.node))

    def _came(self, prop: Prop, at: _At) -> Difference:
        how = "required" if prop.required else "optional"
        now = _words(prop.node)
        if self.is_request:
            return self._named(f"new-{how}-request-property", at, "", now)
        return self._named(f"response-{how}-property-added", at, "", now)

    def _branches(self, old: Node, new: Node, at: _At) -> Iterator[Difference]:
        if not (old.branches or new.branches):
            return
        before, after = dict(_branches(old)), dict(_branches(new))
        for name in before.keys() - after.keys():
            yield self._one("{}-one-of-removed", at, name, "")
        for name in after.keys() - before.keys():
            yield self._one("{}-one-of-added", at, "", name)


# Keyword, oasdiff's word, and whether more (1) or less (-1) of it is stricter.
_LIMITS = (
    ("maxLength", "max-length", -1),
    ("minLength", "min-length", 1),
    ("maximum", "max", -1),
    ("minimum", "min", 1),
    ("maxItems", "max-items", -1),
    ("minItems", "min-items", 1),
)


class _End(tuple[Any, int]):
    """A limit and whether the number itself lies beyond it; as a word, the limit."""

    def __str__(self) -> str:
        return str(self[0])


def _ends(node: Node) -> dict[str, _End]:
    """Return the limits of a schema, exclusive ones on the scale of the others."""
    schema = node.schema
    (low, above), (high, below) = limits(schema)
    found = {key: schema[key] for key, _, _ in _LIMITS if schema.get(key) is not None}
    ends = {key: _End((value, 0)) for key, value in found.items()}
    step = int(node.types - {"null"} == {"integer"})
    for key, limit, beyond, pick in (
        ("minimum", low, above, max),
        ("maximum", high, below, min),
    ):
        sign = 1 if pick is max else -1
        open_ = (beyond + sign, 0) if step and beyond is not None else (beyond, sign)
        each = [_End(end) for end in ((limit, 0), open_) if end[0] is not None]
        ends |= {key: pick(each)} if each else {}
    return ends


def _refuses(node: Node) -> bool:
    """Whether unknown keys are an error; a graph's `extra` says what is known."""
    return node.schema.get("additionalProperties") is False


def _inside(old: Node, new: Node, at: _At) -> Iterator[tuple[Node, Node, _At]]:
    for name, prop in old.properties.items():
        other = new.properties.get(name)
        if other is not None:
            yield prop.node, other.node, at.into(name, other.node)
    if old.items is not None and new.items is not None:
        yield old.items, new.items, at.into("*", new.items)
    if isinstance(old.extra, Node) and isinstance(new.extra, Node):
        yield old.extra, new.extra, at.into("{*}", new.extra)
    if old.branches or new.branches:
        after = dict(_branches(new))
        for name, branch in _branches(old):
            if name in after:
                twin = after[name]
                base = twin.name or at.base
                below = () if twin.name else at.below
                yield branch, twin, _At(at.path, base, below)


def _branches(node: Node) -> Iterator[tuple[str, Node]]:
    """Name the branches: by component, else by place; a plain schema is one."""
    for i, branch in enumerate(node.branches or (node,)):
        yield branch.name or f"#{i} {_words(branch)}", branch


def _kinds(node: Node) -> frozenset[str]:
    if node.branches:
        each = [_kinds(branch) for branch in node.branches]
        return frozenset() if not all(each) else frozenset().union(*each)
    if node.types == {"null"}:
        return frozenset(("null",))
    return node.types - {"null"}


def _takes_null(node: Node) -> bool:
    if not node.types and not node.branches:
        return node.members is None or None in node.members
    return "null" in node.types or any(map(_takes_null, node.branches))


def _covers(wide: frozenset[str], narrow: frozenset[str]) -> bool:
    """Whether whatever is of `narrow` is of `wide`; empty means any type."""
    if not wide:
        return True
    return bool(narrow) and all(
        kind in wide or (kind == "integer" and "number" in wide) for kind in narrow
    )


def _words(node: Node) -> str:
    words = "|".join(sorted(_kinds(node))) or "any"
    return f"{words}:{node.format}" if node.format else words


def _listed(members: Iterable[Any] | None) -> str:
    return ", ".join(map(str, members or ()))
