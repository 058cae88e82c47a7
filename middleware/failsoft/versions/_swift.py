"""Fields that only move, all at once: decoded as one type, encoded as another.

A third of the time of the general way, where nothing is to be done but renames,
additions and removals on schemas whose keys are all known.  A body that holds
anything else (a key nobody knows, a child that is absent) is left to the general way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Union

import msgspec
from msgspec import Raw

from failsoft.shapes.graph import Node
from failsoft.versions._fuse import moves_of
from failsoft.versions._visit import Visit

__all__ = ["swift_of"]

# Stands for a member that is absent; `omit_defaults` knows it by its identity.
_ABSENT = Raw()
# msgspec cannot rename a field to these.
_UNWRITABLE = re.compile(r'["\\\x00-\x1f]')
_REFUSED = (msgspec.MsgspecError, RecursionError, ValueError)
# (name at the start, name at the end, value that is put there); "" for neither
_Field = tuple[str, str, Any]


def swift_of(visit: Visit, node: Node) -> Callable[[bytes], bytes | None] | None:
    """Return what migrates whole bodies, or gives None where it cannot.

    node: of the newest layout, which the visit was built for.  None if something
    else than fields that move is to be done.
    """
    try:
        start, end = _Types().of(visit, node)
        decode = msgspec.json.Decoder(start).decode
    except _Unsuited:
        return None
    encode, convert = msgspec.json.Encoder().encode, msgspec.convert

    def migrate(body: bytes) -> bytes | None:
        try:
            return encode(convert(decode(body), end, from_attributes=True))
        except _REFUSED:
            return None

    return migrate


class _Unsuited(Exception):
    """There is more to do than moves."""


class _Types:
    """Pairs of types, one a visit: a cycle of visits is a cycle of types."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Any, Any]] = {}

    def of(self, visit: Visit, node: Node) -> tuple[Any, Any]:
        """Return the types at the start and at the end of an object."""
        known = self._made.get(id(visit))
        if known is not None:
            return known
        if not _is_suited(visit, node):
            raise _Unsuited
        fields = list(_fields(visit, node))
        for side in ([was for was, _, _ in fields], [now for _, now, _ in fields]):
            told = [name for name in side if name]
            if len({*told}) < len(told) or any(map(_UNWRITABLE.search, told)):
                raise _Unsuited
        # Filled in below: a type that is still being made cannot be named.
        start = self._struct([(was, _ABSENT) for was, _, _ in fields], is_start=True)
        end = self._struct([(now, put) for _, now, put in fields], is_start=False)
        self._made[id(visit)] = start, end
        children = dict(visit.children)
        for at, (was, now, _) in enumerate(fields):
            name = now if visit.is_up else was
            if name in children:
                below = self._below(children[name], node.properties[name].node)
                start.__annotations__[f"f{at}"], end.__annotations__[f"f{at}"] = below
        return start, end

    def _struct(self, fields: list[tuple[str, Any]], *, is_start: bool) -> Any:
        named = {f"f{at}": (n, put) for at, (n, put) in enumerate(fields) if n}
        return msgspec.defstruct(
            "Start" if is_start else "End",
            [(field, Raw, put) for field, (_, put) in named.items()],
            rename={field: name for field, (name, _) in named.items()},
            forbid_unknown_fields=is_start,
            omit_defaults=True,
            kw_only=True,
            gc=False,
        )

    def _below(self, visit: Visit, node: Node) -> tuple[Any, Any]:
        kinds = node.types - {"null"}
        if kinds == {"array"} and visit.items is not None and node.items is not None:
            start, end = self._below(visit.items, node.items)
            start, end = list[start], list[end]  # type: ignore[valid-type]
        elif kinds == {"object"}:
            start, end = self.of(visit, node)
        else:
            raise _Unsuited
        if "null" in node.types:
            return Union[start, None], Union[end, None]  # noqa: UP007
        return start, end


def _is_suited(visit: Visit, node: Node) -> bool:
    is_more = visit.codes or visit.extra or visit.choose or visit.items
    return not is_more and node.extra is None and not node.branches


def _fields(visit: Visit, node: Node) -> Iterator[_Field]:
    moves = None if visit.own is None else moves_of(visit.own, is_up=visit.is_up)
    if moves is None:
        raise _Unsuited
    names, ends, made = node.properties, moves.ends, moves.made
    if visit.is_up:
        starts = {now: was for was, now in ends.items()}
        for name in names:
            # Not what only newer bodies have: an old one may not set it.
            if name in starts or name not in moves.between:
                yield starts.get(name, name), name, _ABSENT
        yield from ((was, "", _ABSENT) for was, now in ends.items() if now is None)
    else:
        for name in names:
            yield name, ends.get(name, name) or "", _ABSENT
    for name, value in made.items():
        # Not a default, which would be left out.
        yield "", name, msgspec.field(default_factory=partial(Raw, value))
