"""What developers declare: versions, what changed in each, and where it is said.

Frozen records only.  `_words` gives the words that make them (`rename(...)`); `_chain`
checks them against the schemas and compiles the migrations; `_lifecycle` and
`_negotiate` read the rest.  Dates are text (`2026-11-01`), meant as UTC 00:00.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

__all__ = [
    "ABSENT",
    "Add",
    "Body",
    "Brownout",
    "Change",
    "Contract",
    "Deprecate",
    "Drop",
    "EndpointAdded",
    "EndpointMoved",
    "EnumMap",
    "Envelope",
    "Gone",
    "Header",
    "HeaderEdit",
    "Join",
    "Lossy",
    "MediaTypeParam",
    "Move",
    "Op",
    "PathPrefix",
    "Query",
    "QueryEdit",
    "Rename",
    "Retype",
    "Source",
    "Split",
    "StatusEdit",
    "Target",
    "UnionBy",
    "UnwrapList",
    "Version",
    "WrapList",
]

Lossy = Literal["up", "down", "both"] | None
After = Literal["gone", "serve"]


class _Absent:
    """Nothing was given, where None is a value."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()


@dataclass(frozen=True, slots=True)
class Body:
    """A place in the body of one route, for shapes that have no name.

    route: `METHOD /template`.  direction: request or response.  pointer: of the
    field, `*` for each item of a list or each value of a map; "" for the body.
    """

    route: str
    direction: Literal["request", "response"] = "request"
    pointer: str = ""

    def __str__(self) -> str:
        return f'Body("{self.route}", "{self.direction}", "{self.pointer}")'


# `Schema.field.sub`, or a place in one route's body.
Target = str | Body


@dataclass(frozen=True, slots=True)
class Op:
    """One difference between a version and the one before it."""


# --- fields -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rename(Op):
    """The field is called `to` now."""

    target: Target
    to: str


@dataclass(frozen=True, slots=True)
class Move(Op):
    """The field stands at `to` now, a dotted path from the same object."""

    target: Target
    to: str


@dataclass(frozen=True, slots=True)
class Add(Op):
    """A field that older versions lack.  default: value, or function of the node.

    required: requests without it are given the default; else they stay without.
    """

    target: Target
    default: Any
    required: bool = True


@dataclass(frozen=True, slots=True)
class Drop(Op):
    """A field that newer versions lack.

    fill: value, or function of the node, that old answers get.  hidden: the head's
    model still has it, and newer clients do not get it.
    schema: what it was, as JSON Schema; {} for anything.
    """

    target: Target
    fill: Any = ABSENT
    hidden: bool = False
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Split(Op):
    """One text became the fields of `into`, cut at `sep`; the last takes the rest."""

    target: Target
    into: tuple[str, ...]
    sep: str = " "


@dataclass(frozen=True, slots=True)
class Join(Op):
    """Several texts became the one field `into`, joined by `sep`."""

    targets: tuple[Target, ...]
    into: str
    sep: str = " "


@dataclass(frozen=True, slots=True)
class Retype(Op):
    """A scalar changed its type: str int number bool epoch date-time."""

    target: Target
    was: str
    now: str
    lossy: Lossy = None


@dataclass(frozen=True, slots=True)
class EnumMap(Op):
    """Members were renamed.  values: (old, new).

    fallback: old member for a head value that none of them names.
    """

    target: Target
    values: tuple[tuple[Any, Any], ...]
    fallback: Any = ABSENT
    lossy: Lossy = None


@dataclass(frozen=True, slots=True)
class WrapList(Op):
    """One value became a list, under the name `to` if that is given."""

    target: Target
    to: str = ""


@dataclass(frozen=True, slots=True)
class UnwrapList(Op):
    """A list became one value, its first, under the name `to` if that is given."""

    target: Target
    to: str = ""
    lossy: Lossy = None


@dataclass(frozen=True, slots=True)
class UnionBy(Op):
    """Branches of a union are told apart by this property.  No migration."""

    target: Target
    by: str


@dataclass(frozen=True, slots=True)
class Change(Op):
    """Code of the application on one decoded node.

    on: `Schema`, `Schema.field` or a Body.  up, down: take the node, change it in
    place or return another; None = nothing.  old: `properties`, `required`, `remove`
    that make the old schema of the new one.
    """

    on: Target
    name: str
    up: Callable[[Any], Any] | None = None
    down: Callable[[Any], Any] | None = None
    old: Mapping[str, Any] = field(default_factory=dict)
    lossy: Lossy = None


# --- routes -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Envelope(Op):
    """The route's 2xx bodies stand below the key `at` now."""

    route: str
    at: str
    direction: Literal["request", "response"] = "response"


@dataclass(frozen=True, slots=True)
class StatusEdit(Op):
    """The route answers `now` where it answered `was`."""

    route: str
    was: int
    now: int


@dataclass(frozen=True, slots=True)
class HeaderEdit(Op):
    """A header is called `now`, in requests and answers."""

    route: str
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class QueryEdit(Op):
    """A query parameter is called `now`; values: (old, new) of its texts."""

    route: str
    was: str
    now: str = ""
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointAdded(Op):
    """Older versions answer 404 here."""

    route: str


@dataclass(frozen=True, slots=True)
class Gone(Op):
    """This version and newer ones answer 410 here."""

    route: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class EndpointMoved(Op):
    """Older versions reach the route `now` under `was`, both `METHOD /template`."""

    was: str
    now: str


@dataclass(frozen=True, slots=True)
class Deprecate(Op):
    """The route is announced as deprecated, in every version."""

    route: str
    since: str = ""
    sunset: str = ""
    link: str = ""
    after: After = "gone"


@dataclass(frozen=True, slots=True)
class Brownout(Op):
    """Answers are refused for a while, so that callers notice before the end.

    windows: `2026-10-01T14:00Z/PT2H`.  every: `P7D`, "" for once; times: how often.
    percent: 0..100 of `by` request or consumer.  only, exempt: consumers.  routes:
    globs.  versions: ids; empty: the version it is listed in, in a contract's own
    list every version.  status: 503, 410 or 429.
    """

    name: str
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


# --- where a request says its version -------------------------------------------


@dataclass(frozen=True, slots=True)
class Header:
    """A header, such as `X-API-Version`."""

    name: str


@dataclass(frozen=True, slots=True)
class MediaTypeParam:
    """A parameter of `Accept`: `application/json; v=2025-06-01`."""

    name: str = "v"


@dataclass(frozen=True, slots=True)
class PathPrefix:
    """The first segment of the path, after `prefix`: `/v2/orders`.

    strip: the application knows no such segment.
    """

    prefix: str = "v"
    strip: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter."""

    name: str


Source = Header | MediaTypeParam | PathPrefix | Query


# --- the whole -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, init=False)
class Version:
    """One version, and what became different in it.

    deprecated, sunset: dates, "" for none.  link: what a client should read.
    after: what happens at the sunset; gone answers 410, serve goes on.
    """

    id: str
    ops: tuple[Op, ...]
    deprecated: str
    sunset: str
    link: str
    after: After

    def __init__(
        self,
        id: str,
        # A class under `@change` is an Op; type checkers take it for the class still.
        *ops: Op | type,
        deprecated: str = "",
        sunset: str = "",
        link: str = "",
        after: After = "gone",
    ) -> None:
        for name, value in (
            ("id", id),
            ("ops", ops),
            ("deprecated", deprecated or ""),
            ("sunset", sunset or ""),
            ("link", link or ""),
            ("after", after),
        ):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, init=False)
class Contract:
    """All versions of one API; the last is the head, the code as it is.

    versions: ascending.  read: every place a request may say its version.  scheme:
    date (`2025-06-01[.name]`) or number (`[v]2[.1]`).  match: nearest or exact.
    default: oldest, newest, required, or an id.  pins: consumer -> id.
    applies_to, exclude: globs of paths.  schemas: path of an OpenAPI file, for
    applications that have none.  on_down_error: problem (500) or head (untouched).
    accept_untranslated: streams whose items are not migrated, `METHOD /template`.
    """

    versions: tuple[Version, ...]
    read: tuple[Source, ...]
    scheme: Literal["date", "number"]
    match: Literal["nearest", "exact"]
    default: str
    pins: Mapping[str, str]
    applies_to: tuple[str, ...]
    exclude: tuple[str, ...]
    schemas: str | None
    announce_supported: bool
    cors_expose: bool
    on_down_error: Literal["problem", "head"]
    brownouts: tuple[Brownout, ...]
    accept_untranslated: tuple[str, ...]

    def __init__(  # noqa: PLR0913 - the words of one declaration
        self,
        versions: Iterable[Version],
        *,
        read: Iterable[Source] = (Header("X-API-Version"),),
        scheme: Literal["date", "number"] = "date",
        match: Literal["nearest", "exact"] = "nearest",
        default: str = "oldest",
        pins: Mapping[str, str] = MappingProxyType({}),
        applies_to: Iterable[str] = ("/*",),
        exclude: Iterable[str] = (),
        schemas: str | None = None,
        announce_supported: bool = False,
        cors_expose: bool = True,
        on_down_error: Literal["problem", "head"] = "problem",
        brownouts: Iterable[Brownout] = (),
        accept_untranslated: Iterable[str] = (),
    ) -> None:
        for name, value in (
            ("versions", tuple(versions)),
            ("read", tuple(read)),
            ("scheme", scheme),
            ("match", match),
            ("default", default),
            ("pins", MappingProxyType(dict(pins))),
            ("applies_to", tuple(applies_to)),
            ("exclude", tuple(exclude)),
            ("schemas", schemas),
            ("announce_supported", announce_supported),
            ("cors_expose", cors_expose),
            ("on_down_error", on_down_error),
            ("brownouts", tuple(brownouts)),
            ("accept_untranslated", tuple(accept_untranslated)),
        ):
            object.__setattr__(self, name, value)

    @property
    def head(self) -> str:
        """The id of the newest version."""
        return self.versions[-1].id if self.versions else ""
