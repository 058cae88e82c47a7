"""The lock file: what was published, so that CI sees what nobody has declared.

It holds the OpenAPI document of the newest version, without prose, and the changes of
each version in words.  Pure: documents come in, findings go out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import msgspec

from failsoft.errors import Invalid
from failsoft.shapes.diff import Difference, breaking
from failsoft.shapes.documents import compare_documents
from failsoft.shapes.suggest import Suggestion, suggest, toml_lines
from failsoft.versions._model import ABSENT, Contract, Op
from failsoft.versions._openapi import document_at

__all__ = ["Cover", "Lock", "cover", "make_lock", "op_words", "read_lock", "skeleton"]

SCHEMA = 1
# What changes nothing for a client.
_PROSE = frozenset(
    (
        "title",
        "summary",
        "description",
        "example",
        "examples",
        "externalDocs",
        "tags",
        "operationId",
        "servers",
        "security",
        "securitySchemes",
        "contact",
        "license",
    )
)
# Below these the keys are names that the application chose.
_NAMES = frozenset(
    ("properties", "schemas", "paths", "responses", "headers", "parameters", "mapping")
)


class Lock(msgspec.Struct, frozen=True):
    """What was published.

    head: id of the newest version, "" without a contract.  versions: each id and its
    changes in words, oldest first.  document: of the newest version.
    """

    head: str
    versions: tuple[tuple[str, tuple[str, ...]], ...]
    document: dict[str, Any]
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class Cover:
    """What stands between a lock and the code.

    differences: all of them, also harmless ones.  faults: changes of versions that
    were published already.  suggestions: ops that would cover what breaks.
    """

    differences: tuple[Difference, ...] = ()
    faults: tuple[str, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()

    @property
    def breaks(self) -> tuple[Difference, ...]:
        """What can break a client and no version declares."""
        return breaking(self.differences)

    @property
    def is_covered(self) -> bool:
        """Whether every breaking change is declared."""
        return not self.breaks and not self.faults

    def lines(self) -> list[str]:
        """Return what to read: each fault, each breaking change, what would do."""
        out = [f"undeclared breaking change: {one}" for one in self.breaks]
        out += list(self.faults)
        if self.suggestions:
            out += ["declare it in a new version:", "", "[[version]]", 'id = "..."']
            out += toml_lines(self.suggestions)
        return out


def skeleton(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without prose and examples, as the lock keeps it."""
    kept = {k: document[k] for k in ("paths", "components") if k in document}
    return dict(_bare(kept, is_named=False))


def _bare(value: Any, *, is_named: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            str(key): _bare(item, is_named=not is_named and key in _NAMES)
            for key, item in value.items()
            if is_named or key not in _PROSE
        }
    if isinstance(value, list | tuple):
        return [_bare(item, is_named=False) for item in value]
    return value


def op_words(op: Op) -> str:
    """Return an op as it would be written; functions by name, for comparison."""
    told = []
    for one in fields(op):
        value = getattr(op, one.name)
        if value not in (None, "", (), ABSENT) or value in (0, False):
            told.append(f"{one.name}={_value(value)}")
    return f"{type(op).__name__}({', '.join(told)})"


def _value(value: Any) -> str:
    if callable(value):
        return getattr(value, "__qualname__", type(value).__name__)
    return str(value) if isinstance(value, Op) else repr(value)


def make_lock(head: Mapping[str, Any], contract: Contract | None) -> bytes:
    """Return the lock file of an application; head: its own OpenAPI document.

    Sorted and indented, so that reviews see what a release changes.
    """
    newest = contract.head if contract else ""
    document = document_at(head, contract, newest) if contract and newest else head
    lock = {
        "schema": SCHEMA,
        "head": newest,
        "versions": [
            [v.id, [op_words(op) for op in v.ops]]
            for v in (contract.versions if contract else ())
        ],
        "document": skeleton(document),
    }
    return (json.dumps(lock, indent=1, sort_keys=True) + "\n").encode()


def read_lock(raw: bytes, where: str) -> Lock:
    """Return the lock of a file; Invalid, naming the file, for anything else."""
    try:
        lock = msgspec.json.decode(raw, type=Lock)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        text = f"is no lock file ({error}); write it with `failsoft contract lock`"
        raise Invalid(where, text) from None
    if lock.schema > SCHEMA:
        raise Invalid(where, f"is of a newer release (schema {lock.schema}); update")
    return lock


def cover(lock: Lock, head: Mapping[str, Any], contract: Contract | None) -> Cover:
    """Compare what was published with the head, taken back to the same version."""
    now, fault = _document_then(lock, head, contract)
    if now is None:
        return Cover(faults=(fault,))
    found = compare_documents(lock.document, skeleton(now))
    breaks = breaking(found)
    return Cover(found, _edited(lock, contract), suggest(found) if breaks else ())


def _document_then(
    lock: Lock, head: Mapping[str, Any], contract: Contract | None
) -> tuple[Mapping[str, Any] | None, str]:
    ids = [v.id for v in contract.versions] if contract else []
    if contract is None or not ids:
        if lock.head:
            return (
                None,
                f"version {lock.head} was published and no contract declares it",
            )
        return head, ""
    version = lock.head or ids[0]  # the first contract: before it, all were its oldest
    if version not in ids:
        known = ", ".join(ids)
        return None, f"version {version} was published and is not declared ({known})"
    return document_at(head, contract, version), ""


def _edited(lock: Lock, contract: Contract | None) -> tuple[str, ...]:
    """Tell what became different in versions that clients use already."""
    if contract is None:
        return ()
    now = {v.id: tuple(op_words(op) for op in v.ops) for v in contract.versions}
    oldest = contract.versions[0].id if contract.versions else ""
    faults = []
    for at, (version, ops) in enumerate(lock.versions):
        known = now.get(version)
        if known is None:
            if oldest in [one for one, _ in lock.versions[at:]]:
                continue  # retired from the old end
            faults.append(f"version {version} was published and is not declared")
        elif at and _acts(known) != _acts(ops):
            gone = [op for op in ops if op not in known]
            came = [op for op in known if op not in ops]
            faults.append(
                f"version {version} was published with other changes"
                f" (no longer: {'; '.join(gone) or '-'}; new: {'; '.join(came) or '-'})"
            )
    return tuple(faults)


def _acts(ops: tuple[str, ...]) -> list[str]:
    """Leave out what announces only, and may change at any time."""
    passing = ("Deprecate(", "Brownout(", "UnionBy(")
    return sorted(op for op in ops if not op.startswith(passing))
