"""`[[version]]`, `[versions]`, `[[brownout]]`, `[pins]`: a contract as a file says it.

Read here for what any reader can tell; `failsoft.versions` makes the contract of it,
and holds it against the schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from failsoft.settings._readers import (
    At,
    Fault,
    Reader,
    is_whole,
    one_of,
    read_bool,
    read_date,
    read_fields,
    read_path,
    read_scope,
    read_text,
    read_texts,
)

__all__ = [
    "ROWS",
    "VERSIONS_FIELDS",
    "BrownoutDefinition",
    "VersionDefinition",
    "VersionsSettings",
    "read_brownout",
    "read_pin",
    "read_version",
    "rows_by_name",
]

# Sections that are lists of tables, and the key that names each.
ROWS = {"version": "id", "brownout": "name"}

OPS = (
    "rename",
    "move",
    "add",
    "drop",
    "split",
    "join",
    "retype",
    "enum_map",
    "wrap_list",
    "unwrap_list",
    "envelope",
    "status",
    "header",
    "query",
    "endpoint_added",
    "endpoint_moved",
    "gone",
    "deprecate",
    "union",
)


@dataclass(frozen=True, slots=True)
class VersionDefinition:
    """One version.  ops: (word, target, terms) in the order written.

    terms: what the file has for the target: text, list or table.
    """

    ops: tuple[tuple[str, str, Any], ...] = ()
    deprecated: str = ""
    sunset: str = ""
    link: str = ""
    after: Literal["gone", "serve"] = "gone"


@dataclass(frozen=True, slots=True)
class BrownoutDefinition:
    """Refusals for a while, by the words of the file."""

    windows: tuple[str, ...] = ()
    every: str = ""
    times: int = 1
    percent: float = 100.0
    by: Literal["request", "consumer"] = "request"
    only: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    routes: tuple[str, ...] = ("* *",)
    versions: tuple[str, ...] = ()
    status: int = 503


@dataclass(frozen=True, slots=True)
class VersionsSettings:
    """A contract as the file says it.  terms: of `[versions]`, where given.

    versions, brownouts: by id and name, in the order written.  pins: consumer -> id.
    """

    versions: Mapping[str, VersionDefinition] = field(default_factory=dict)
    brownouts: Mapping[str, BrownoutDefinition] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    terms: Mapping[str, Any] = field(default_factory=dict)


def rows_by_name(raw: object, at: At, key: str) -> object:
    """Return `[[section]]` as a table by the key that names each entry."""
    if not isinstance(raw, list | tuple):
        return raw
    found: dict[str, Any] = {}
    for row in raw:
        name = row.get(key) if isinstance(row, Mapping) else None
        # A bare TOML date is its own type; ids and dates are text everywhere else.
        name = str(name) if name is not None else ""
        if not name or isinstance(row.get(key), bool | float):
            raise Fault(
                f"has an entry without {key}", f'add {key} = "..."', shown=False
            )
        if name in found:
            raise Fault(f"has {name} twice", "drop one of them", shown=False)
        found[name] = {k: v for k, v in row.items() if k != key}
    return found


def read_version(raw: object, at: At) -> VersionDefinition:
    """Read one version; each op is a key with a table of targets."""
    readers: dict[str, Reader] = {
        "deprecated": read_date,
        "sunset": read_date,
        "link": read_text,
        "after": one_of("gone", "serve"),
        **dict.fromkeys(OPS, _read_targets),
    }
    found = read_fields(raw, at, readers)
    ops = tuple(
        (word, target, terms)
        for word in found
        if word in OPS
        for target, terms in found[word]
    )
    return VersionDefinition(ops, **{k: v for k, v in found.items() if k not in OPS})


def _read_targets(raw: object, at: At) -> tuple[tuple[str, Any], ...]:
    if isinstance(raw, Mapping):
        return tuple(raw.items())
    if at.key in ("endpoint_added", "gone", "wrap_list", "unwrap_list"):
        return tuple((target, "") for target in read_texts(raw, at))
    raise Fault("must be a table of targets", f'write {at.key} = {{ "Order.x" = ... }}')


def read_brownout(raw: object, at: At) -> BrownoutDefinition:
    """Read one brownout."""
    readers: dict[str, Reader] = {
        "windows": read_texts,
        "every": read_text,
        "times": _read_count,
        "percent": _read_percent,
        "by": one_of("request", "consumer"),
        "only": read_texts,
        "exempt": read_texts,
        "routes": read_scope,
        "versions": read_texts,
        "status": _read_refusal,
    }
    return BrownoutDefinition(**read_fields(raw, at, readers))


def _read_count(raw: object, at: At) -> int:
    if not is_whole(raw, 1, 10_000):
        raise Fault("is no count", "write a number from 1 to 10000")
    return raw


def _read_percent(raw: object, at: At) -> float:
    is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
    if not is_number or not 0 < raw <= 100:  # type: ignore[operator]
        raise Fault("is no percentage", "write a number above 0, at most 100")
    return float(raw)  # type: ignore[arg-type]


def _read_refusal(raw: object, at: At) -> int:
    if raw not in (503, 410, 429) or isinstance(raw, bool):
        raise Fault("is no status of a brownout", "choose 503, 410 or 429")
    return int(raw)


def read_pin(raw: object, at: At) -> str:
    """Read the version one consumer is held to."""
    return read_text(str(raw) if raw is not None else raw, at)


def _read_sources(raw: object, at: At) -> tuple[Mapping[str, Any], ...]:
    """Read `[{ header = "X-API-Version" }, { path = "v", strip = true }]`."""
    rows = [raw] if isinstance(raw, Mapping) else raw
    if not isinstance(rows, list | tuple) or not rows:
        todo = 'write [{ header = "X-API-Version" }]'
        raise Fault("must be a list of tables", todo)
    kinds = ("header", "media_type", "path", "query")
    found = []
    for row in rows:
        readers: dict[str, Reader] = {**dict.fromkeys(kinds, read_text)}
        readers["strip"] = read_bool
        told = read_fields(row, at, readers)
        if len([kind for kind in kinds if kind in told]) != 1:
            raise Fault("must name one source each", f"choose of {', '.join(kinds)}")
        found.append(told)
    return tuple(found)


VERSIONS_FIELDS: dict[str, Reader] = {
    "read": _read_sources,
    "default": read_text,
    "scheme": one_of("date", "number"),
    "match": one_of("nearest", "exact"),
    "applies_to": read_texts,
    "exclude": read_texts,
    "schemas": read_path,
    "announce_supported": read_bool,
    "cors_expose": read_bool,
    "on_down_error": one_of("problem", "head"),
    "accept_untranslated": read_texts,
}
