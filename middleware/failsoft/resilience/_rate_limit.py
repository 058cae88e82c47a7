"""What a client rate limit means: its quotas, its keys, and how answers tell of it.

Headers as draft-ietf-httpapi-ratelimit-headers-11, which is not an RFC.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from failsoft.consumer import consumer_of
from failsoft.pipeline import Exchange, Rejection
from failsoft.problem import problem, violating
from failsoft.resilience._lease import (
    Bucket,
    Gate,
    Lease,
    Quota,
    Window,
    standing,
)
from failsoft.settings import RateLimitSettings, RatePart
from failsoft.store.fleet import LimitRow

__all__ = [
    "CLOSED",
    "KeyOf",
    "Limiter",
    "Link",
    "exceeded",
    "key_reader",
    "policy_header",
    "quotas_of",
    "standing",
]

KeyOf = Callable[[Exchange], str]

# Below either a lease would be asked for on every second request.
_LEASED_AMOUNT = 500
_LEASED_PER_S = 20.0
_KEY_LENGTH = 512
_WINDOW_S = 30.0
_ERRORS = 3
_PAUSE_MAX_S = 30.0

CLOSED = problem(
    "rate_limit",
    503,
    title="Limits cannot be checked",
    type_uri="urn:failsoft:problem:limit-unavailable",
    headers=((b"retry-after", b"5"),),
)


def quotas_of(name: str, said: RateLimitSettings, *, shared: bool) -> tuple[Quota, ...]:
    """Return the quotas of a limit; alike on every node that has its definition.

    shared: whether there is a store between the nodes.  Exact ones come last, as
    what the store has counted cannot be taken back.
    """
    found = []
    for part in said.rate:
        policy = f"{name}-{part.unit}" if len(said.rate) > 1 else name
        quota = Quota(
            policy,
            part.amount,
            part.window_s,
            said.burst or part.amount,
            (said.how or _how(part)) if shared else "local",
            part.amount / part.window_s,
            _label(policy),
        )
        found.append(quota)
    return tuple(sorted(found, key=lambda quota: quota.how == "exact"))


def _how(part: RatePart) -> str:
    per_s = part.amount / part.window_s
    is_often = part.amount >= _LEASED_AMOUNT and per_s >= _LEASED_PER_S
    return "leased" if is_often else "exact"


# --- keys -------------------------------------------------------------------


def key_reader(key: str | Callable[[Any], Any]) -> KeyOf:
    """Return what gives the key of a request, "" for one that is not limited.

    key: consumer, ip, route, header:<name>, or a function of the request's scope.
    """
    if not isinstance(key, str):
        return lambda exchange: _text(key(exchange.scope))[:_KEY_LENGTH]
    if key.startswith("header:"):
        return _header_reader(key[7:].strip().encode())
    known: dict[str, KeyOf] = {
        "consumer": consumer_of,
        "ip": _address,
        "route": lambda _exchange: "*",
    }
    return known[key]


def _text(key: Any) -> str:
    if isinstance(key, bytes):
        return key.decode("latin-1")
    return "" if key is None else str(key)


def _header_reader(wanted: bytes) -> KeyOf:
    def read(exchange: Exchange) -> str:
        for name, value in exchange.scope["headers"]:
            if name == wanted:
                text: str = value[:_KEY_LENGTH].decode("latin-1")
                return f"={text}"
        return "-"  # those who send none share one bucket

    return read


def _address(exchange: Exchange) -> str:
    client = exchange.scope.get("client")
    address = str(client[0]) if client else ""
    if ":" not in address:
        return address or "-"
    parts = address.partition("%")[0]
    try:
        network = IPv6Network((parts, 64), strict=False)
        # Sockets and proxies of both kinds write ::ffff:192.0.2.7 for IPv4.
        mapped = IPv6Address(parts).ipv4_mapped
    except ValueError:
        return address
    return str(mapped or network)  # one subscriber has a /64 of IPv6


def is_exempt(key: str, exempt: Iterable[str]) -> bool:
    """Whether a key is one of those; addresses may be networks."""
    return any(key in (one, f"={one}") or _lies_in(key, one) for one in exempt)


def _lies_in(key: str, network: str) -> bool:
    try:
        return ip_address(key.partition("/")[0]) in ip_network(network, strict=False)
    except ValueError:
        return False


# --- limiters ---------------------------------------------------------------


class Limiter:
    """One limit on this node: the gates of its keys, and what it counted.

    most: keys it remembers; the one not seen for longest goes.  allowed, refused,
    trips: since the start.
    """

    def __init__(
        self, name: str, said: RateLimitSettings, quotas: tuple[Quota, ...], most: int
    ) -> None:
        self.name = name
        self.said = said
        self.quotas = quotas
        self.most = most
        self.allowed = self.refused = self.trips = 0
        self.is_crowded = False
        self.keys: OrderedDict[str, tuple[Gate, ...]] = OrderedDict()
        self._past: deque[tuple[float, int, int, int]] = deque([(0.0, 0, 0, 0)])

    def gates(self, key: str, now: float) -> tuple[Gate, ...]:
        """Return the gates of a key; none for one that is exempt, or ""."""
        if not key:
            return ()
        found = self.keys.get(key)
        if found is None:
            if len(self.keys) >= self.most:
                self.keys.popitem(last=False)
            self.is_crowded = 2 * len(self.keys) >= self.most
            found = self.keys[key] = self._open(key, now)
        elif self.is_crowded:  # else nobody goes for long
            self.keys.move_to_end(key)
        return found

    def _open(self, key: str, now: float) -> tuple[Gate, ...]:
        if is_exempt(key, self.said.exempt):
            return ()
        raw = f"{self.name}\0{key}".encode(errors="surrogatepass")
        hashed = blake2b(raw, digest_size=8).hexdigest()
        return tuple(_gate(quota, hashed, now) for quota in self.quotas)

    def row(self, now: float, fault: str) -> LimitRow:
        """Return what this node says of the limit, of 30 s."""
        past = self._past
        past.append((now, self.allowed, self.refused, self.trips))
        while len(past) > 1 and now - past[1][0] >= _WINDOW_S:
            past.popleft()
        _, allowed, refused, trips = past[0]
        gates = next(iter(self.keys.values()), ()) if len(self.keys) == 1 else ()
        left = gates[0].left if gates and isinstance(gates[0], Lease) else -1
        return LimitRow(
            self.name,
            "+".join(dict.fromkeys(quota.how for quota in self.quotas)),
            self.allowed - allowed,
            self.refused - refused,
            self.trips - trips,
            left,
            fault if any(quota.how != "local" for quota in self.quotas) else "",
            "; ".join(f"{part.amount}/{part.unit}" for part in self.said.rate),
            len(self.keys),
        )


def _gate(quota: Quota, key: str, now: float) -> Gate:
    if quota.how == "leased":
        return Lease(now, f"{quota.name}:{key}", quota)
    if quota.how == "exact":
        return Window(now, key)
    return Bucket(now)


class Link:
    """Whether the store of limits answers.

    After three errors in a row nobody asks it for 1 s x 2^n, at most 30 s; then one
    ping does.  errors: in a row.  fault: of the newest, "" while it answers.
    """

    __slots__ = ("_pauses", "_retry_at", "errors", "fault")

    def __init__(self) -> None:
        self.errors = self._pauses = 0
        self.fault = ""
        self._retry_at = 0.0

    @property
    def is_lost(self) -> bool:
        """Whether nobody may ask."""
        return self.errors >= _ERRORS

    def failed(self, now: float, fault: str) -> None:
        """Note an error."""
        self.errors += 1
        self.fault = fault
        if self.errors == _ERRORS or (self.is_lost and now >= self._retry_at):
            self._retry_at = now + min(_PAUSE_MAX_S, 2.0**self._pauses)
            self._pauses = min(self._pauses + 1, 10)

    def worked(self) -> None:
        """Note an answer."""
        self.errors = self._pauses = 0
        self.fault = ""

    def is_due(self, now: float) -> bool:
        """Whether it is time for a ping."""
        return self.is_lost and now >= self._retry_at


# --- what answers say -------------------------------------------------------


def policy_header(quotas: tuple[Quota, ...]) -> tuple[bytes, bytes]:
    """Return `RateLimit-Policy`."""
    parts = [b"%s;q=%d;w=%d" % (q.label, q.amount, q.window_s) for q in quotas]
    return b"ratelimit-policy", b", ".join(parts)


def _label(name: str) -> bytes:
    """Return a name as a string of RFC 9651: visible ASCII in quotes."""
    text = name.encode("ascii", errors="replace")
    return b'"%s"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


@lru_cache(1024)
def exceeded(quota: Quota) -> Rejection:
    """Prepare the 429 of a quota; `Retry-After` and `RateLimit` are added to it."""
    refusal = problem(
        "rate_limit",
        429,
        title="Request cannot be satisfied as assigned quota has been exceeded",
        type_uri="https://iana.org/assignments/http-problem-types#quota-exceeded",
    )
    return violating(refusal, quota.name)
