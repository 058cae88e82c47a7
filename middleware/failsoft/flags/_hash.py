"""Frozen rollout hashes: murmur3 x86-32 over bytes, versions 2 and 3 of flagd.

Always bytes, never `str`: mmh3 5.0.1 to 5.3.1 crash the process on a `str` with a
lone surrogate, which any JSON body can carry.
"""

from __future__ import annotations

import mmh3

__all__ = ["HASH_VERSIONS", "bucket_hash"]

HASH_VERSIONS = (2, 3)


def bucket_hash(version: int, flag_key: str, targeting_key: str) -> int | None:
    """Return the unsigned 32-bit hash of a user for a flag.

    version 2 hashes flagKey + targetingKey; 3 hashes the canonical CBOR
    (RFC 8949, 4.2.1) of the array of both.  None for text UTF-8 cannot hold.
    Source: open-feature/flagd, fractional operation.
    """
    try:
        flag, user = flag_key.encode(), targeting_key.encode()
    except UnicodeEncodeError:
        return None
    if version == 2:
        return mmh3.hash(flag + user, signed=False)
    return mmh3.hash(b"\x82" + _text(flag) + _text(user), signed=False)


def _text(utf8: bytes) -> bytes:
    """Encode a CBOR text string: major type 3 and the shortest length."""
    size = len(utf8)
    if size < 24:
        return bytes((0x60 | size,)) + utf8
    for head, width in ((0x78, 1), (0x79, 2), (0x7A, 4)):
        if size < 1 << (8 * width):
            return bytes((head,)) + size.to_bytes(width, "big") + utf8
    return b"\x7b" + size.to_bytes(8, "big") + utf8
