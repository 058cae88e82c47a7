"""The OpenAPI document of each version, from the head's: what changed, undone.

Works on JSON Schema as documents hold it, so that names, descriptions and what
failsoft does not understand stay as they are.  Which version is meant, and how the
document is served, is decided elsewhere.  Pure.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from failsoft.versions._document import Document, Schema
from failsoft.versions._model import Contract, Drop, Gone, Rename, Version
from failsoft.versions._undo import undo_version

__all__ = ["document_at", "version_ids"]


def version_ids(contract: Contract | None) -> tuple[str, ...]:
    """Return the declared ids, oldest first; none without a contract."""
    return tuple(v.id for v in contract.versions) if contract else ()


def document_at(head: Mapping[str, Any], contract: Contract, version: str) -> Schema:
    """Return the OpenAPI document a client of `version` should read.

    head: the application's own document (3.0 or 3.1), not changed.  Operations that
    are gone in the version, or not yet there, are left out; fields that are hidden
    from it too.  `info.version` is the version's id.
    Raises KeyError for an id that is not declared.  Cost: one copy of the document.
    """
    ids = version_ids(contract)
    if version not in ids:
        raise KeyError(version)
    at = ids.index(version)
    document = Document(copy.deepcopy(dict(head)))
    own, later = contract.versions[: at + 1], contract.versions[at + 1 :]
    _hide(document, own, contract.versions)
    for one in reversed(later):
        undo_version(document, one)
    _withdraw(document, own)
    document.announce(op for v in contract.versions for op in v.ops)
    return _labelled(document.whole, contract.versions[at])


def _labelled(document: Schema, version: Version) -> Schema:
    info = document.setdefault("info", {})
    info["version"] = version.id
    if version.deprecated:
        info["x-deprecated"] = version.deprecated
    if version.sunset:
        info["x-sunset"] = version.sunset
    return document


def _hide(
    document: Document, own: tuple[Version, ...], all_: tuple[Version, ...]
) -> None:
    """Take out what the head's models still hold and this version does not get."""
    for at, version in enumerate(own):
        for op in version.ops:
            if isinstance(op, Drop) and op.hidden:
                renames = _renames(all_[at:])
                for place in document.fields(op.target, renames):
                    place.take()


def _renames(versions: tuple[Version, ...]) -> dict[str, str]:
    """Map a field's path to what it is called at the head."""
    found: dict[str, str] = {}
    for version in versions:
        for op in version.ops:
            if isinstance(op, Rename):
                found.setdefault(str(op.target), op.to)
    return found


def _withdraw(document: Document, own: tuple[Version, ...]) -> None:
    for version in own:
        for op in version.ops:
            if isinstance(op, Gone):
                document.drop_route(op.route)
