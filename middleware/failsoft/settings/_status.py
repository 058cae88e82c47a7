"""`[status]` and `[component.<id>]`: what users are told of the API's parts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from failsoft.settings._readers import (
    At,
    Fault,
    Reader,
    read_bool,
    read_fields,
    read_scope,
    read_text,
)

__all__ = ["STATUS_FIELDS", "ComponentSettings", "StatusSettings", "read_component"]


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """name: of the page; "" = the application's, else the environment's."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class ComponentSettings:
    """A part of the API, as its users call it.

    routes: globs `METHOD /path*` or `tag:name`.  public: whether users are told of it.
    """

    name: str
    routes: tuple[str, ...] = ("* *",)
    public: bool = True


def read_component(raw: object, at: At) -> ComponentSettings:
    """Read the table of one component; without a name it is called as its id."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", at.key):
        todo = "write it in letters, digits and ._-, at most 64"
        raise Fault("is no id of a component", todo, shown=False)
    found = read_fields(raw, at, _FIELDS)
    return ComponentSettings(found.pop("name", at.key.capitalize()), **found)


_FIELDS: dict[str, Reader] = {
    "name": read_text,
    "routes": read_scope,
    "public": read_bool,
}

STATUS_FIELDS: dict[str, Reader] = {"name": read_text}
