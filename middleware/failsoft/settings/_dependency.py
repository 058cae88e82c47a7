"""`[dependency.<name>]`: a third party, and where it is written what it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from failsoft.settings._readers import (
    At,
    Fault,
    Reader,
    read_bool,
    read_fields,
    read_header_names,
    read_path,
    read_texts,
)

__all__ = ["DependencySettings", "is_dependency", "read_dependency"]


@dataclass(frozen=True, slots=True)
class DependencySettings:
    """What is known of a third party.

    contract: path of its OpenAPI file, "" for none.  hosts: `name` or `name:port`
    that answer like the contract's servers, `*` = any; empty = the servers alone.
    enum_values: unknown members of enums are named in the ledger.  version_header:
    of its answers, in lower case, that says which version answered; "" for none.
    """

    contract: str = ""
    hosts: tuple[str, ...] = ()
    enum_values: bool = False
    version_header: str = ""


def is_dependency(name: str) -> bool:
    """Whether a third party may be called so: 1 to 64 letters, digits, `._-`."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) is not None


def read_dependency(raw: object, at: At) -> DependencySettings:
    """Read the table of one third party."""
    if not is_dependency(at.key):
        todo = "write it in letters, digits and ._-, at most 64"
        raise Fault("is no name of a dependency", todo, shown=False)
    return DependencySettings(**read_fields(raw, at, _FIELDS))


def _read_version_header(raw: object, at: At) -> str:
    return read_header_names([raw], at)[0]


_FIELDS: dict[str, Reader] = {
    "contract": read_path,
    "hosts": read_texts,
    "enum_values": read_bool,
    "version_header": _read_version_header,
}
