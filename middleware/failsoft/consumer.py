"""Who calls: an app id, a family of clients, or the hash of a key.

Worked out only where somebody asks for it.  What a client says of itself proves
nothing: it names counters, pins and tolerances, never rights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hmac import digest
from typing import TYPE_CHECKING, Any

from mmh3 import hash as hash32

if TYPE_CHECKING:
    from failsoft.pipeline import Exchange

__all__ = [
    "ANONYMOUS",
    "CALLER_HEADERS",
    "NAMING_HEADERS",
    "Consumers",
    "consumer_of",
    "hour_of",
    "rank_in",
    "rank_of",
]

ANONYMOUS = "(anonymous)"
# Until the environment's salt is known a hash would name the caller differently on
# each node.
_UNSALTED = "(unsalted)"

_NOTHING: dict[bytes, bytes] = {}
_LENGTH = 64
_MEMO = 1024
# Of a user agent; one of 64 KiB would be kept as long as it is.
_READ_BYTES = 512
_UNSAFE = re.compile(rb"[^A-Za-z0-9_.@-]+")
_PRODUCT = re.compile(rb"([A-Za-z][A-Za-z0-9_. -]{0,47})(?:/v?([0-9]{1,5}))?")
_AGENT = b"user-agent"
_SECRETS = _BEARER, _KEY = b"authorization", b"x-api-key"
# What tells callers apart, besides the app ids of an environment; and what they are
# called by.
CALLER_HEADERS = frozenset(_SECRETS)
NAMING_HEADERS = CALLER_HEADERS | {_AGENT}
_HOUR_MS = 3_600_000

# Browsers all call themselves Mozilla; the first of these names that one holds is
# its own.
_BROWSERS = (
    (b"Edg/", "edge"),
    (b"OPR/", "opera"),
    (b"Firefox/", "firefox"),
    (b"Chrome/", "chrome"),
    (b"Safari/", "safari"),
)
# They tell what an application is written with, not which one it is: its key does.
_LIBRARIES = frozenset(
    b"aiohttp axios curl go-http-client got httpie httpx java node node-fetch okhttp "
    b"openapi-generator postmanruntime python python-httpx python-requests ruby undici "
    b"wget".split()
)


class Consumers:
    """Names the callers of one environment.

    headers: of an app id, in lower case; the first one a request carries wins.
    salt: of the environment's hashes, b"" until the store told it.
    """

    def __init__(self, headers: tuple[str, ...] = ()) -> None:
        self.salt = b""
        self.headers = tuple(name.lower().encode() for name in headers)
        self._wanted = frozenset((*self.headers, _AGENT, *_SECRETS))
        # Of app ids and user agents alone: keys are secrets, and are not kept.
        self._ids: dict[bytes, str] = {}
        self._agents: dict[bytes, tuple[str, bool]] = {}
        self.plain: dict[bytes, str] = {}  # that alone say who it is

    @property
    def vary(self) -> tuple[str, ...]:
        """Names of request headers on which a consumer's answers depend."""
        names = [header.decode("latin-1") for header in self.headers]
        return tuple(name.title() for name in names) or ("User-Agent", "Authorization")

    def name(self, scope: Any) -> str:
        """Return the caller of a scope; 1 to 64 of letters, digits and . _ @ - ( ).

        An app id, else an application's user agent, else the hash of its key (16
        hex of HMAC-SHA256), else the library in its user agent.
        """
        wanted = self._wanted
        return self.named(
            {name: value for name, value in scope["headers"] if name in wanted}
        )

    def named(self, said: Mapping[bytes, bytes]) -> str:
        """Return the caller by its headers, of `CALLER_HEADERS` and app ids."""
        for header in self.headers:
            if said.get(header):
                app: str = _kept(self._ids, said[header][:_LENGTH], _token)
                return app
        family, is_library = "", False
        if _AGENT in said:
            agent, known = said[_AGENT][:_READ_BYTES], self._agents
            is_known = agent in known
            found = known[agent] if is_known else _kept(known, agent, _family)
            family, is_library = found
            if family and not is_library and not self.headers:
                self._note(said[_AGENT], family)
        if not family or is_library:
            for header in _SECRETS:
                if said.get(header):
                    return self._hash(said[header])
        return family or ANONYMOUS

    def _note(self, agent: bytes, family: str) -> None:
        if len(self.plain) >= _MEMO:
            self.plain.clear()
        if len(agent) <= _READ_BYTES:
            self.plain[agent] = family

    def _hash(self, secret: bytes) -> str:
        if not self.salt:
            return _UNSALTED
        return digest(self.salt, secret, "sha256").hex()[:16]


def consumer_of(exchange: Exchange) -> str:
    """Return who made a request, worked out once for each."""
    said, consumers = exchange.said, exchange.runtime.consumers
    if said is not None:
        name: str | None = consumers.plain.get(said.get(_AGENT, b""))
        if name is not None:
            exchange.consumer = name
            return name
    if not exchange.consumer:
        is_read = _AGENT in exchange.plan.reads
        exchange.consumer = (
            consumers.named(said or _NOTHING)
            if is_read
            else consumers.name(exchange.scope)
        )
    return exchange.consumer


def hour_of(now_ms: float) -> bytes:
    """Return what is added to a caller's name so that its rank changes hourly."""
    return b"|%d" % (now_ms // _HOUR_MS)


def rank_of(exchange: Exchange, now_ms: float, dice: Callable[[], float]) -> float:
    """Return 0..1 for the caller, as `rank_in` does for the hour of an instant."""
    return rank_in(exchange, hour_of(now_ms), dice)


def rank_in(exchange: Exchange, hour: bytes, dice: Callable[[], float]) -> float:
    """Return 0..1 for the caller: whom it hits is the same for an hour, then others.

    The caller is its app id, else its key, else its /24 or /64 network; never the
    family of its agent, which would make one of all browsers.  The dice decide where
    none is known, as behind a Unix socket.
    """
    caller, said = b"", exchange.said
    app_ids = exchange.runtime.consumers.headers
    if app_ids or said is None or _KEY not in exchange.plan.reads:
        caller = _caller(exchange, app_ids)
    elif _BEARER in said:  # the same, without its calls
        caller = said[_BEARER]
    elif _KEY in said:
        caller = said[_KEY]
    caller = caller or _network(exchange)
    if not caller:  # or all of them would share one rank: all refused, or none
        return dice()
    return hash32(caller + hour, 0, False) / 4294967296.0


def _caller(exchange: Exchange, app_ids: tuple[bytes, ...]) -> bytes:
    scope = exchange.scope
    wanted = (*app_ids, *_SECRETS) if app_ids else _SECRETS
    if _KEY in exchange.plan.reads:
        said = exchange.said
    else:
        said = {name: value for name, value in scope["headers"] if name in wanted}
    if said:
        for name in wanted:
            if said.get(name):
                return bytes(said[name])
    return b""


def _network(exchange: Exchange) -> bytes:
    host: str = (exchange.scope.get("client") or ("",))[0] or ""
    if ":" in host:
        return ":".join(host.split(":")[:4]).encode()
    return host.rpartition(".")[0].encode()


def _kept(memo: dict[bytes, Any], raw: bytes, read: Callable[[bytes], Any]) -> Any:
    found = memo.get(raw)
    if found is None:
        if len(memo) >= _MEMO:
            memo.clear()  # whoever sends a new name each time gains nothing by it
        found = memo[raw] = read(raw)
    return found


def _token(raw: bytes) -> str:
    return _UNSAFE.sub(b"_", raw[:_LENGTH]).decode("ascii")


def _family(raw: bytes) -> tuple[str, bool]:
    """Return the family of a user agent, and whether it is a mere library.

    `ShopApp/3.2 (iPhone)` is `ShopApp-3`.
    """
    if raw.startswith(b"Mozilla/"):
        return next((name for mark, name in _BROWSERS if mark in raw), "browser"), False
    product = _PRODUCT.match(raw)
    if product is None:
        return "", False
    name, major = product.groups()
    name = name.strip()
    parts = [name, major] if major else [name]
    return _token(b"-".join(parts)), name.lower() in _LIBRARIES
