"""Frozen rollout hashes: murmur3 x86-32 over bytes, versions 2 and 3 of flagd.

Always bytes, never `str`: mmh3 5.0.1 to 5.3.1 crash the process on a `str` with a
lone surrogate, which any JSON body can carry.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import mmh3

__all__ = ["HASH_VERSIONS", "bucket_hash", "user_hash", "user_heads", "value_hash"]

HASH_VERSIONS = (2, 3)

_MAX_DEPTH = 64
_MAX_KEPT = 256  # lengths of users whose head is kept, per flag


def bucket_hash(version: int, flag_key: str, targeting_key: str) -> int | None:
    """Return the unsigned 32-bit hash of a user for a flag.

    version 2 hashes flagKey + targetingKey; 3 hashes the canonical CBOR
    (RFC 8949, 4.2.1) of the array of both.  None for text UTF-8 cannot hold.
    Source: open-feature/flagd, fractional operation.
    """
    return user_hash(version, flag_key)({"targetingKey": targeting_key})


def user_hash(version: int, flag_key: str) -> Callable[[Any], int | None]:
    """Return context -> hash of its targeting key; the flag's is encoded once.

    None without a targeting key, which is non-empty text.
    """
    heads = user_heads(version, flag_key)
    # Bound here: looked up at each call they cost a tenth of it.
    murmur = mmh3.mmh3_32_uintdigest
    if heads is None:
        return lambda data: None

    def hashed(data: Any) -> int | None:
        user = data.get("targetingKey") if type(data) is dict else None
        if type(user) is not str or not user:
            return None
        try:
            packed = user.encode()
        except UnicodeEncodeError:
            return None
        return murmur(heads[len(packed)] + packed)

    return hashed


class Heads(dict[int, bytes]):
    """What precedes a user in the hashed bytes, by the length of the user."""

    def __init__(self, prefix: bytes, *, has_length: bool) -> None:
        super().__init__()
        self._prefix = prefix
        self._has_length = has_length

    def __missing__(self, size: int) -> bytes:
        head = self._prefix + _head(0x60, size) if self._has_length else self._prefix
        if size < _MAX_KEPT:
            self[size] = head
        return head


def user_heads(version: int, flag_key: str) -> Heads | None:
    """Return what precedes users of a flag; None for a key UTF-8 cannot hold."""
    try:
        flag = flag_key.encode()
    except UnicodeEncodeError:
        return None
    if version == 2:
        return Heads(flag, has_length=False)
    return Heads(b"\x82" + _text(flag), has_length=True)


def value_hash(version: int, value: Any) -> int | None:
    """Return the hash of an explicit bucket value, None where it has none.

    version 2 takes non-empty text only; 3 whatever JSON can hold but null.
    """
    try:
        if version == 2:
            packed = value.encode() if isinstance(value, str) and value else None
        else:
            packed = None if value is None else _cbor(value, 0)
    except (TypeError, UnicodeEncodeError):
        return None
    return None if packed is None else mmh3.mmh3_32_uintdigest(packed)


def _cbor(value: Any, depth: int) -> bytes:
    """Pack as canonical CBOR; TypeError for what JSON cannot hold."""
    if isinstance(value, str):
        return _text(value.encode())
    if value is None or isinstance(value, bool):
        return b"\xf6" if value is None else b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _float(value)
    if depth == _MAX_DEPTH:
        raise TypeError("nested too deep")
    if isinstance(value, list | tuple):
        return _head(0x80, len(value)) + b"".join(_cbor(v, depth + 1) for v in value)
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        pairs = sorted(
            (_text(k.encode()), _cbor(v, depth + 1)) for k, v in value.items()
        )
        return _head(0xA0, len(pairs)) + b"".join(k + v for k, v in pairs)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _text(utf8: bytes) -> bytes:
    return _head(0x60, len(utf8)) + utf8


def _head(major: int, number: int) -> bytes:
    """Encode a major type and its argument in the shortest form."""
    if number < 24:
        return bytes((major | number,))
    for at, width in ((24, 1), (25, 2), (26, 4)):
        if number < 1 << (8 * width):
            return bytes((major | at,)) + number.to_bytes(width, "big")
    return bytes((major | 27,)) + number.to_bytes(8, "big")


def _integer(value: int) -> bytes:
    major, number = (0x00, value) if value >= 0 else (0x20, -1 - value)
    if number < 1 << 64:
        return _head(major, number)
    # RFC 8949, 3.4.3: what 64 bits cannot hold is a tagged byte string.
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return (b"\xc3" if major else b"\xc2") + _head(0x40, len(raw)) + raw


def _float(value: float) -> bytes:
    if math.isnan(value):
        return b"\xf9\x7e\x00"
    if value.is_integer() and -(1 << 63) <= value < 1 << 64:
        # flagd: 1.0 and 1 are one user.
        return _integer(int(value))
    for head, form in ((b"\xf9", ">e"), (b"\xfa", ">f")):
        try:
            packed = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == value:
            return head + packed
    return b"\xfb" + struct.pack(">d", value)
