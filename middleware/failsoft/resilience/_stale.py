"""Good answers kept for bad times: which ones, for whom, and how they are sent again.

Kept in this process alone, within a number of bytes, least used first out.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from failsoft.pipeline import Exchange, Headers, Scope

__all__ = ["Kept", "Shelf", "caller_of", "is_keepable", "key_of", "replay"]

_MOST_VARIANTS = 16
_MOST_NAMES = 16
_OVERHEAD_BYTES = 512
_NS = 1_000_000_000
_CREDENTIALS = frozenset((b"authorization", b"cookie", b"x-api-key"))
# Of the one answer, not of what it says.
_NOT_KEPT = frozenset(
    (
        b"age",
        b"connection",
        b"content-length",
        b"keep-alive",
        b"server-timing",
        b"set-cookie",
        b"traceresponse",
        b"transfer-encoding",
        b"x-request-id",
    )
)
_NOT_MODIFIED = frozenset((b"content-type", b"content-encoding", b"content-language"))

Key = tuple[str, str, bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it was sent.  fresh_s: how long its origin called it fresh."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    at_ns: int
    age_s: int = 0
    fresh_s: int = 0
    etag: bytes = b""


@dataclass(slots=True)
class _Variants:
    """The answers of one key.  names: of request headers on which they depend."""

    names: tuple[bytes, ...]
    found: OrderedDict[tuple[bytes, ...], Kept]
    size_bytes: int = 0


def caller_of(scope: Scope, app_ids: Iterable[bytes]) -> bytes:
    """Return 16 bytes that stand for who asks, b"" for nobody in particular.

    Every credential counts: two users of one application are two callers.  app_ids:
    names of headers that tell callers apart besides.
    """
    wanted = _CREDENTIALS.union(app_ids)
    said = [pair for pair in scope["headers"] if pair[0] in wanted]
    if not said:
        return b""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in said:
        digest.update(b"%d:%b%d:%b" % (len(name), name, len(value), value))
    return digest.digest()


def key_of(
    exchange: Exchange, app_ids: Iterable[bytes], *, by_consumer: bool
) -> Key | None:
    """Return under what an answer is kept, None where it must not be.

    by_consumer: it is kept per caller, and not for callers who say nothing of
    themselves; else only for these.
    """
    scope = exchange.scope
    if scope["method"] not in ("GET", "HEAD"):
        return None
    caller = caller_of(scope, app_ids if by_consumer else ())
    if bool(caller) is not by_consumer:
        return None
    query = scope.get("query_string", b"")
    # Of the host too (RFC 9111, 2: the target URI): it may tell tenants apart.
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return exchange.plan.key, scope["path"], query, host.lower(), caller


def is_keepable(headers: Headers, *, by_consumer: bool) -> bool:
    """Whether an answer of status 200 with these headers may be sent again."""
    for name, value in headers:
        lower = name.lower()
        if lower in (b"set-cookie", b"content-range"):
            return False
        if lower == b"vary" and b"*" in value:
            return False
        if lower == b"content-type" and value.lower().startswith(b"text/event-stream"):
            return False
        if lower == b"cache-control":
            words = value.lower()
            if b"no-store" in words or (b"private" in words and not by_consumer):
                return False
    return True


class Shelf:
    """What one process keeps.  most_bytes: of one body.  total_bytes: of all."""

    __slots__ = ("_entries", "held_bytes", "most_bytes", "total_bytes")

    def __init__(self, most_bytes: int, total_bytes: int) -> None:
        self.most_bytes, self.total_bytes = most_bytes, total_bytes
        self._entries: OrderedDict[Key, _Variants] = OrderedDict()
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def keep(
        self, key: Key, scope: Scope, headers: Headers, body: bytes, now_ns: int
    ) -> None:
        """Keep an answer that `is_keepable`, in place of the one before.

        body: of at most `most_bytes`.
        """
        kept = _kept(headers, body, now_ns)
        names = _varies(headers)
        entry = self._entries.get(key)
        if entry is not None and len(every := {*names, *entry.names}) <= _MOST_NAMES:
            # CORS says `Vary: Origin` to those alone who name one.
            names = tuple(sorted(every))
        if entry is None or entry.names != names:
            self._drop(key)
            entry = self._entries[key] = _Variants(names, OrderedDict())
        variant = _variant(names, scope)
        if (before := entry.found.pop(variant, None)) is not None:
            self._count(entry, -_size(before))
        entry.found[variant] = kept
        self._count(entry, _size(kept))
        if len(entry.found) > _MOST_VARIANTS:
            self._count(entry, -_size(entry.found.popitem(last=False)[1]))
        self._entries.move_to_end(key)
        while self.held_bytes > self.total_bytes:
            self._drop(next(iter(self._entries)))

    def find(self, key: Key, scope: Scope, age_s: float, now_ns: int) -> Kept | None:
        """Return what is kept for a request, if it is not older."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        kept = entry.found.get(_variant(entry.names, scope))
        if kept is None or now_ns - kept.at_ns > age_s * _NS:
            return None
        self._entries.move_to_end(key)
        return kept

    def clear(self) -> None:
        """Forget all of it."""
        self._entries.clear()
        self.held_bytes = 0

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.held_bytes -= entry.size_bytes

    def _count(self, entry: _Variants, change: int) -> None:
        entry.size_bytes += change
        self.held_bytes += change


def replay(kept: Kept, scope: Scope, now_ns: int) -> tuple[int, Headers, bytes]:
    """Return status, headers without a length, and body, for whoever asks now."""
    age_s = kept.age_s + (now_ns - kept.at_ns) // _NS
    # Age: RFC 9111, 5.1.  Cache-Status: RFC 9211; ttl is negative once stale.
    status = b"failsoft; hit; ttl=%d" % (kept.fresh_s - age_s)
    headers = [*kept.headers, (b"age", b"%d" % age_s), (b"cache-status", status)]
    if kept.etag and _matches(kept.etag, scope):
        return 304, [h for h in headers if h[0] not in _NOT_MODIFIED], b""
    return 200, headers, kept.body


def _matches(etag: bytes, scope: Scope) -> bool:
    said = b",".join(v for name, v in scope["headers"] if name == b"if-none-match")
    tags = [tag.strip().removeprefix(b"W/") for tag in said.split(b",")]
    return etag.removeprefix(b"W/") in tags or b"*" in tags


def _kept(headers: Headers, body: bytes, now_ns: int) -> Kept:
    pairs = [(name.lower(), value) for name, value in headers]
    said = dict(pairs)
    age = said.get(b"age", b"")
    return Kept(
        tuple(pair for pair in pairs if pair[0] not in _NOT_KEPT),
        body,
        now_ns,
        int(age) if age.isdigit() and len(age) < 10 else 0,
        _fresh_s(said.get(b"cache-control", b"")),
        said.get(b"etag", b"").strip(),
    )


def _fresh_s(control: bytes) -> int:
    found = re.search(
        rb'(?:^|[\s,])(?:s-maxage|max-age)="?([0-9]{1,9})', control.lower()
    )
    return int(found[1]) if found else 0


def _varies(headers: Headers) -> tuple[bytes, ...]:
    said = b",".join(value for name, value in headers if name.lower() == b"vary")
    return tuple(
        sorted({n for part in said.split(b",") if (n := part.strip().lower())})
    )


def _variant(names: tuple[bytes, ...], scope: Scope) -> tuple[bytes, ...]:
    if not names:
        return ()
    said: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in names:
            said[name] = said[name] + b"," + value if name in said else value
    return tuple(said.get(name, b"") for name in names)


def _size(kept: Kept) -> int:
    pairs = sum(len(name) + len(value) for name, value in kept.headers)
    return len(kept.body) + pairs + _OVERHEAD_BYTES
