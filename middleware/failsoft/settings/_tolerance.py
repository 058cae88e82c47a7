"""`[tolerance]`: how strictly bodies are read, and the exceptions that are allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from failsoft.clock import unix, utc_date
from failsoft.settings._readers import (
    At,
    Fault,
    Reader,
    check_glob,
    one_of,
    read_bool,
    read_date,
    read_fields,
    read_scope,
    read_text,
    read_texts,
    suggest,
)

__all__ = [
    "FIELD_OF",
    "HANDLINGS",
    "HandlingRule",
    "ToleranceDefinition",
    "ToleranceSettings",
    "read_handling",
    "tolerance_fields",
]

HANDLINGS = ("off", "observe", "warn", "tolerate", "strict")
# Kinds of repair, with the field each one needs ("" = none).
FIELD_OF = {
    "alias": "from",
    "casefold": "",
    "number_to_string": "",
    "string_to_number": "",
    "null_as_missing": "",
    "default": "value",
    "enum_fallback": "to",
    "wrap_array": "",
    "drop_unknown": "",
}
# Words of `shapes.findings.KINDS` that tell of a request's body.
_STRICT = (
    *("unknown", "missing", "null", "type", "coerced", "enum", "format", "case"),
    *("alias", "array_scalar", "duplicate", "number", "ambiguous"),
)
_MOST_DAYS = 90
_MOST = 1_000

read_handling = one_of(*HANDLINGS)


@dataclass(frozen=True, slots=True)
class ToleranceDefinition:
    """One named exception: a repair that is allowed until a date.

    route, consumer: globs.  path: `/items/*/qty` in schema terms.  value: what the
    kind needs: of alias the client's key, of default the value, of enum_fallback
    the declared member.  until: ISO date, from its UTC midnight it is over.
    """

    name: str
    path: str
    kind: str
    until: str
    reason: str
    owner: str
    route: str = "* *"
    consumer: str = "*"
    value: Any = None


@dataclass(frozen=True, slots=True)
class HandlingRule:
    """The handling of a route, of a consumer, or of one on the other."""

    handling: str
    route: str = "* *"
    consumer: str = "*"


@dataclass(frozen=True, slots=True)
class ToleranceSettings:
    """How bodies are read.

    handling: where nothing else is said.  handlings: of routes and consumers.
    allow: the exceptions.  prefer: whose `Prefer: handling=` is honoured.
    strict_kinds: of findings that `strict` refuses.  transparent: schema names whose
    validators of the whole model accept no more than the schema.  enum_values:
    globs of routes whose unknown enum members are named in the ledger.
    """

    handling: str = "observe"
    handlings: tuple[HandlingRule, ...] = ()
    allow: tuple[ToleranceDefinition, ...] = ()
    prefer: Literal["off", "strict", "both"] = "off"
    strict_kinds: tuple[str, ...] = ("unknown", "duplicate")
    transparent: tuple[str, ...] = ()
    enum_values: tuple[str, ...] = ()


def _read_glob(raw: object, at: At) -> str:
    glob = read_text(raw, at)
    check_glob(glob)
    return glob


def _read_path(raw: object, _at: At) -> str:
    """Read a place in a body; "" is the body itself."""
    if not isinstance(raw, str) or (raw and not raw.startswith("/")):
        raise Fault("is no path in a body", 'write it like "/items/*/qty"')
    return raw


def _read_until(raw: object, at: At) -> str:
    until = read_date(raw, at)
    latest = utc_date(unix() + _MOST_DAYS * 86_400)
    if until > latest:
        todo = f"write {latest} or sooner: a tolerance ends within {_MOST_DAYS} days"
        raise Fault("is too far away", todo)
    return until


def _read_name(raw: object, _at: At) -> str:
    if isinstance(raw, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", raw):
        return raw
    raise Fault("is no name of a tolerance", "write it in letters, digits, ._-")


def _read_any(raw: object, _at: At) -> object:
    return raw


_TOLERANCE: dict[str, Reader] = {
    "name": _read_name,
    "route": _read_glob,
    "consumer": read_text,
    "path": _read_path,
    "kind": one_of(*FIELD_OF),
    "until": _read_until,
    "reason": read_text,
    "owner": read_text,
    "from": read_text,
    "value": _read_any,
    "to": _read_any,
}
_REQUIRED = {
    "name": '"old-app"',
    "path": '"/items/*/qty"',
    "kind": '"string_to_number"',
    "until": "2026-12-31",
    "reason": '"why"',
    "owner": '"team"',
}


def _read_allow(raw: object, at: At) -> tuple[ToleranceDefinition, ...]:
    found = _each(raw, at, _read_tolerance)
    names = [one.name for one in found]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise Fault(f"holds two of the name {name!r}", "rename one", shown=False)
    return found


def _read_tolerance(raw: object, at: At) -> ToleranceDefinition | None:
    found = read_fields(raw, at, _TOLERANCE)
    assert isinstance(raw, Mapping)
    if missing := [key for key in _REQUIRED if key not in raw]:
        example = ", ".join(f"{key} = {_REQUIRED[key]}" for key in missing)
        problem = f"has no {' and no '.join(missing)}"
        raise Fault(problem, f"add {example}", shown=False)
    if len(found) < len(raw):
        return None  # what is wrong with its parts is noted
    needed = FIELD_OF[found["kind"]]
    given = [field for field in ("from", "value", "to") if field in found]
    if given != ([needed] if needed else []):
        todo = f"give it {needed}" if needed else f"drop {', '.join(given)}"
        what = f"of kind {found['kind']} has {', '.join(given) or 'none of its fields'}"
        raise Fault(what, todo, shown=False)
    if needed:
        found["value"] = found.pop(needed)
    return ToleranceDefinition(**found)


def _read_rule(raw: object, at: At) -> HandlingRule:
    readers: dict[str, Reader] = {
        "handling": read_handling,
        "route": _read_glob,
        "consumer": read_text,
    }
    found = read_fields(raw, at, readers)
    if "handling" not in found:
        raise Fault("has no handling", 'add handling = "warn"', shown=False)
    return HandlingRule(**found)


def _each(raw: object, at: At, read: Reader) -> tuple[Any, ...]:
    if not isinstance(raw, list | tuple):
        raise Fault("must be a list of tables", "write [{ ... }]", shown=False)
    if len(raw) > _MOST:
        raise Fault(f"holds {len(raw)}, the limit is {_MOST}", "drop some", shown=False)
    found = [at.child(str(n)).read(read, one) for n, one in enumerate(raw)]
    return tuple(one for one in found if one is not None)


def _read_rules(raw: object, at: At) -> tuple[HandlingRule, ...]:
    return _each(raw, at, _read_rule)


def _read_kinds(raw: object, at: At) -> tuple[str, ...]:
    kinds = read_texts(raw, at)
    for kind in kinds:
        if kind not in _STRICT:
            raise Fault(f"holds {kind!r}, which is no kind", suggest(kind, _STRICT))
    return kinds


def _read_enum_values(raw: object, at: At) -> tuple[str, ...]:
    if isinstance(raw, bool) or at.source == "environment":
        return ("* *",) if read_bool(raw, at) else ()
    return read_scope(raw, at)


tolerance_fields: dict[str, Reader] = {
    "handling": read_handling,
    "handlings": _read_rules,
    "allow": _read_allow,
    "prefer": one_of("off", "strict", "both"),
    "strict_kinds": _read_kinds,
    "transparent": read_texts,
    "enum_values": _read_enum_values,
}
