"""A short name for what a version's bodies look like, the same in every process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from typing import Any

from failsoft.versions._model import Version

__all__ = ["digest_of"]


def digest_of(version: str, later: Iterable[Version]) -> str:
    """Return 8 hex digits of a version's id and all that changed after it."""
    text = repr((version, [_told(one.ops) for one in later]))
    return blake2b(text.encode(), digest_size=4).hexdigest()


def _told(value: Any) -> Any:
    if is_dataclass(value):
        told = [_told(getattr(value, f.name)) for f in fields(value)]
        return type(value).__name__, told
    if isinstance(value, tuple | list):
        return [_told(item) for item in value]
    if isinstance(value, Mapping):
        return [(key, _told(item)) for key, item in value.items()]
    if callable(value):
        # Not repr(): it holds an address.  New code is another migration.
        code = getattr(value, "__code__", None)
        constants = repr(code.co_consts) if code is not None else ""
        is_stable = " at 0x" not in constants
        body = code.co_code.hex() if code is not None else ""
        name = getattr(value, "__qualname__", "")
        return name, body, constants if is_stable else ""
    return repr(value)
