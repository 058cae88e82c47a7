"""The words of a contract: `rename("Order.email", to="customer_email")`.

Each makes one record of `_model`; nothing is checked here, so that all faults of a
contract can be told at once.  Field names are those just before the version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from failsoft.versions._model import (
    ABSENT,
    Add,
    After,
    Brownout,
    Change,
    Deprecate,
    Drop,
    EndpointAdded,
    EndpointMoved,
    EnumMap,
    Envelope,
    Gone,
    HeaderEdit,
    Join,
    Lossy,
    Move,
    QueryEdit,
    Rename,
    Retype,
    Split,
    StatusEdit,
    Target,
    UnionBy,
    UnwrapList,
    WrapList,
)

__all__ = [
    "add",
    "brownout",
    "change",
    "deprecate",
    "drop",
    "endpoint_added",
    "endpoint_moved",
    "enum_map",
    "envelope",
    "gone",
    "header",
    "join",
    "move",
    "query",
    "rename",
    "retype",
    "split",
    "status",
    "union",
    "unwrap_list",
    "wrap_list",
]


def rename(target: Target, *, to: str) -> Rename:
    """Give a field another name, in the same object."""
    return Rename(target, to)


def move(target: Target, *, to: str) -> Move:
    """Put a field elsewhere in its object: `move("Order.email", to="contact.email")`.

    Objects on the way are made, and go when the last field leaves them.
    """
    return Move(target, to)


def add(target: Target, *, default: Any = ABSENT, required: bool = True) -> Add:
    """Add a field that older versions lack; their answers go without it.

    default: value, or function of the node, for their POST and PUT (never PATCH).
    """
    return Add(target, default, required)


def drop(
    target: Target,
    *,
    fill: Any = ABSENT,
    hidden: bool = False,
    schema: Mapping[str, Any] | None = None,
) -> Drop:
    """Take a field away; older answers get `fill`, a value or function of the node.

    hidden: the model keeps the field, newer versions never see it.
    schema: JSON Schema of what it was, for documents and checks of old bodies.
    """
    return Drop(target, fill, hidden, schema or {})


def split(target: Target, *, into: Iterable[str], sep: str = " ") -> Split:
    """Cut one text into several fields at `sep`; the last one takes the rest."""
    return Split(target, tuple(into), sep)


def join(targets: Iterable[Target], *, into: str, sep: str = " ") -> Join:
    """Join several texts into one field; older answers get it cut at `sep`."""
    return Join(tuple(targets), into, sep)


def retype(target: Target, *, was: str, now: str, lossy: Lossy = None) -> Retype:
    """Change a scalar's type; one of str, int, number, bool, epoch, date-time."""
    return Retype(target, was, now, lossy)


def enum_map(
    target: Target,
    values: Mapping[Any, Any],
    *,
    fallback: Any = ABSENT,
    lossy: Lossy = None,
) -> EnumMap:
    """Rename members of an enum, old -> new; others stay as they are.

    fallback: the old member that stands for new ones older clients do not know.
    """
    return EnumMap(target, tuple(values.items()), fallback, lossy)


def wrap_list(target: Target, *, to: str = "") -> WrapList:
    """Make a list of one value; older answers get its first item."""
    return WrapList(target, to)


def unwrap_list(target: Target, *, to: str = "", lossy: Lossy = None) -> UnwrapList:
    """Make one value of a list, its first; older answers get a list of it."""
    return UnwrapList(target, to, lossy)


def union(target: Target, *, by: str) -> UnionBy:
    """Say which property tells the branches of a union apart."""
    return UnionBy(target, by)


def envelope(
    route: str,
    *,
    at: str,
    direction: Literal["request", "response"] = "response",
) -> Envelope:
    """Put the route's body below the key `at`."""
    return Envelope(route, at, direction)


def status(route: str, *, was: int, now: int) -> StatusEdit:
    """Answer `now` where the route answered `was`."""
    return StatusEdit(route, was, now)


def header(route: str, *, was: str, now: str) -> HeaderEdit:
    """Rename a header of the route's requests and answers."""
    return HeaderEdit(route, was, now)


def query(
    route: str,
    *,
    was: str,
    now: str = "",
    map: Mapping[str, str] | None = None,
) -> QueryEdit:
    """Rename a query parameter; map: its values, old -> new."""
    return QueryEdit(route, was, now or was, tuple((map or {}).items()))


def endpoint_added(route: str) -> EndpointAdded:
    """Hide the route from older versions (404)."""
    return EndpointAdded(route)


def gone(route: str, *, link: str = "") -> Gone:
    """Answer 410 from this version on."""
    return Gone(route, link)


def endpoint_moved(*, was: str, now: str) -> EndpointMoved:
    """Let older versions reach the route `now` under the path `was`."""
    return EndpointMoved(was, now)


def deprecate(
    route: str,
    *,
    since: str = "",
    sunset: str = "",
    link: str = "",
    after: After = "gone",
) -> Deprecate:
    """Announce the end of a route, in every version."""
    return Deprecate(route, since, sunset, link, after)


def brownout(name: str, *windows: str, **terms: Any) -> Brownout:
    """Refuse requests of a version for a while; terms: the fields of `Brownout`."""
    lists = {"only", "exempt", "routes", "versions"}
    told: dict[str, Any] = {k: tuple(v) if k in lists else v for k, v in terms.items()}
    return Brownout(name, windows, **told)


def change(*, on: Target, lossy: Lossy = None) -> Callable[[type], Change]:
    """Make a migration of a class with `up`, `down` and `old`; a class decorator.

    up, down: plain functions of one decoded node, which change it in place or return
    another.  old: what its old schema had: `properties`, `required`, `remove`.
    """

    def make(cls: type) -> Change:
        found = vars(cls)
        up, down = (_plain(found.get(name)) for name in ("up", "down"))
        return Change(on, cls.__name__, up, down, found.get("old", {}), lossy)

    return make


def _plain(function: Any) -> Any:
    is_static = isinstance(function, staticmethod)
    return function.__func__ if is_static else function
