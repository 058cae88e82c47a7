"""What is wrong with a contract in itself, before any schema is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any

from failsoft.settings import is_date
from failsoft.versions._gather import Gathered, target_of, words_of
from failsoft.versions._model import (
    ABSENT,
    Body,
    Brownout,
    Change,
    Contract,
    Deprecate,
    Drop,
    EndpointMoved,
    EnumMap,
    Join,
    Move,
    Op,
    Retype,
    Split,
    UnionBy,
    Version,
)
from failsoft.versions._negotiate import read_id
from failsoft.versions._targets import nearest
from failsoft.versions._values import RETYPES
from failsoft.versions._windows import compile_windows

__all__ = ["check_contract", "check_op"]

# Short name of several schemas -> their qualified names.
Ambiguous = Mapping[str, tuple[str, ...]]


def check_contract(contract: Contract, routes: Collection[str]) -> list[str]:
    """Return every fault that needs no schema; routes: known keys, empty for any."""
    findings = [*_ids(contract), *_sources(contract)]
    for version in contract.versions:
        findings += _lifecycle(version)
        for op in version.ops:
            if not isinstance(op, Op):
                name = getattr(op, "__name__", repr(op))
                todo = 'decorate a class with @change(on="Schema")'
                findings.append(f"version {version.id}: {name} is no op; {todo}")
                continue
            where = f"version {version.id}: {words_of(op)}"
            findings += [f"{where}: {fault}" for fault in _routes(op, routes)]
            findings += [f"{where}: {fault}" for fault in _dates(op)]
    for brownout in contract.brownouts:
        findings += [f"brownout {brownout.name}: {f}" for f in _dates(brownout)]
    ids = [version.id for version in contract.versions]
    for brownout in (*contract.brownouts, *_brownouts(contract)):
        findings += [
            f"brownout {brownout.name}: version {name} is not declared; "
            + nearest(name, ids)
            for name in brownout.versions
            if name not in ids
        ]
    for route in contract.accept_untranslated:
        if routes and route not in routes:
            todo = nearest(route, routes)
            findings.append(f"accept_untranslated: no route {route}; {todo}")
    return findings


def _brownouts(contract: Contract) -> Iterator[Brownout]:
    for version in contract.versions:
        yield from (op for op in version.ops if isinstance(op, Brownout))


def _ids(contract: Contract) -> Iterator[str]:
    ids = [version.id for version in contract.versions]
    if not ids:
        yield "contract: it has no versions; declare at least one"
    for name in ids:
        if read_id(contract.scheme, name) is None:
            example = "2026-02-01" if contract.scheme == "date" else "2.1"
            yield (
                f"version {name}: is no {contract.scheme}; write it like {example}, "
                "or choose the other scheme"
            )
    for before, after in pairwise(ids):
        if _order(after) < _order(before):
            yield f"version {after}: stands after {before}; list versions ascending"
    for name in sorted({n for n in ids if ids.count(n) > 1}):
        yield f"version {name}: is declared twice; drop one"
    if contract.default not in ("oldest", "newest", "required", *ids):
        todo = nearest(contract.default, ("oldest", "newest", "required", *ids))
        yield f"contract: default {contract.default!r} is no version; {todo}"
    for consumer, name in contract.pins.items():
        if name not in ids:
            yield (
                f"pin {consumer}: version {name} is not declared; {nearest(name, ids)}"
            )


def _order(name: str) -> list[Any]:
    parts = re.split(r"([0-9]+)", name.removeprefix("v"))
    return [int(part) if part.isdigit() else part for part in parts]


def _sources(contract: Contract) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    for source in contract.read:
        name = getattr(source, "name", getattr(source, "prefix", ""))
        key = type(source).__name__, name.lower()
        if not name:
            yield f"contract: {key[0]} in read has no name; give it one"
        if key in seen:
            yield f"contract: read names {key[0]} {name} twice; drop one"
        seen.add(key)


def _lifecycle(version: Version) -> Iterator[str]:
    where = f"version {version.id}"
    for label in ("deprecated", "sunset"):
        text = getattr(version, label)
        if text and not is_date(text):
            yield f"{where}: {label} {text!r} is no date; write it like 2026-11-01"
    yield from _order_of_dates(where, version.deprecated, version.sunset)


def _order_of_dates(where: str, since: str, sunset: str) -> Iterator[str]:
    # RFC 9745, 4: a Sunset must not be earlier than the Deprecation.
    if since and sunset and is_date(since) and is_date(sunset) and sunset < since:
        yield (
            f"{where}: sunset {sunset} is before its deprecation {since} "
            "(RFC 9745, section 4); choose a later date"
        )


def _dates(op: Op) -> Iterator[str]:
    if isinstance(op, Deprecate):
        for text in (op.since, op.sunset):
            if text and not is_date(text):
                yield f"{text!r} is no date; write it like 2026-11-01"
        yield from _order_of_dates("it", op.since, op.sunset)
    if isinstance(op, Brownout):
        yield from _brownout(op)


def _brownout(op: Brownout) -> Iterator[str]:
    if not op.windows:
        yield "it has no window; write one like 2026-10-01T14:00Z/PT2H"
    try:
        compile_windows(op.windows, op.every, op.times)
    except ValueError as error:
        yield f"window: {error}"
    if not 0 < op.percent <= 100:
        yield f"percent {op.percent:g} is not within 0 to 100; choose one that is"
    if op.status not in (503, 410, 429):
        yield f"status {op.status}: choose 503, 410 or 429"


def _routes(op: Op, routes: Collection[str]) -> Iterator[str]:
    named = [getattr(op, "route", "")]
    target = target_of(op)
    if isinstance(target, Body):
        named.append(target.route)
    if isinstance(op, EndpointMoved):
        named = [op.now]
        if not re.fullmatch(r"[A-Z*]+ /.*", op.was):
            yield f"was {op.was!r} is no METHOD /path; write it like GET /orders/{{id}}"
    for route in named:
        if route and routes and route not in routes:
            yield f"no route {route}; {nearest(route, routes)}"


# --- ops on bodies -----------------------------------------------------------------


def check_op(
    op: Op, gathered: Gathered, names: Collection[str], ambiguous: Ambiguous
) -> Iterator[str]:
    """Yield what is wrong with an op on bodies, whatever its schema looks like."""
    place = gathered.places.get(id(op))
    if place is None:
        return
    if not place.is_root and place.owner not in names:
        yield _unknown(place.owner, names, ambiguous)
        return
    if not place.path and not isinstance(op, Change | UnionBy):
        yield f"it names no field; write {place.owner}.field"
    for other, key in gathered.doubled:
        if other is op:
            yield f"{key} has two ops in this version; put one into the next"
    yield from _terms(op)


def _unknown(name: str, names: Collection[str], ambiguous: Ambiguous) -> str:
    if not names:
        return (
            f"no schema {name}, as the application has none; pass "
            'schemas="openapi.json", or target Body("GET /x", "response", "/field")'
        )
    if name in ambiguous:
        several = " or ".join(ambiguous[name])
        return f"schema {name} is in several modules; write {several}"
    return f"no schema {name}; {nearest(name, names)}"


def _terms(op: Op) -> Iterator[str]:
    if isinstance(op, Drop) and op.fill is ABSENT and not op.hidden:
        yield "older answers need the field; give fill= or hidden=True"
    if isinstance(op, Split) and len(set(op.into)) < 2:
        yield "it splits into fewer than two fields; name at least two"
    if isinstance(op, Split | Join) and not op.sep:
        yield "sep is empty; say what stands between the parts"
    if isinstance(op, Join):
        yield from _join(op)
    if isinstance(op, Retype):
        yield from _retype(op)
    if isinstance(op, EnumMap):
        yield from _enum_map(op)
    if isinstance(op, Move) and not all(op.to.split(".")):
        yield f"to {op.to!r} is no path; write it like contact.email"
    if isinstance(op, Change):
        yield from _change(op)


def _join(op: Join) -> Iterator[str]:
    if len(op.targets) < 2:
        yield "it joins fewer than two fields; name at least two"
    parents = {_parent(target) for target in op.targets}
    if len(parents) > 1:
        yield "its fields stand in different objects; move them together first"


def _parent(target: Any) -> str:
    if isinstance(target, Body):
        return f"{target.route} {target.direction} {target.pointer.rpartition('/')[0]}"
    return str(target).rpartition(".")[0]


def _retype(op: Retype) -> Iterator[str]:
    pair = RETYPES.get((op.was, op.now))
    if pair is None:
        known = ", ".join(f"{was} to {now}" for was, now in RETYPES)
        yield f"{op.was} to {op.now} is not known; known: {known}; or use @change"
    elif pair[2] and op.lossy is None:
        yield (
            f"{op.was} to {op.now} cannot bring back every old value; "
            'add lossy="up" if that is meant'
        )


def _enum_map(op: EnumMap) -> Iterator[str]:
    news = [new for _, new in op.values]
    twice = sorted({str(new) for new in news if news.count(new) > 1})
    if twice and op.lossy is None:
        yield (
            f"{', '.join(twice)} stands for several old members, so the way back is "
            'ambiguous; add lossy="up" if the first may stand for all'
        )


def _change(op: Change) -> Iterator[str]:
    if op.up is None and op.down is None:
        yield "the class has neither up nor down; define one"
    for name, function in (("up", op.up), ("down", op.down)):
        if function is not None and not callable(function):
            yield f"{name} is no function"
    if not isinstance(op.old, Mapping):
        yield "old must be a table with properties, required, remove"
