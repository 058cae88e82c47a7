"""What a third party says of its quota, and which calls it leaves room for."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from email.utils import mktime_tz, parsedate_tz
from itertools import islice
from typing import NamedTuple

__all__ = [
    "ANNOUNCING",
    "NOTHING",
    "Announced",
    "Quota",
    "Quotas",
    "announcing",
    "read_announced",
]

_KEPT = 64
_WINDOW_S = 60  # also of a quota that does not say when it begins anew
_SAME_WINDOW_S = 1.0
_MOST_HOLD_S = 3600.0  # a mistaken reset must not end all calls for ever
_MOST_STRIKE_S = 60.0
_MAX_HEADER = 1_024
_MAX_LINES = 16
_COUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{0,9})?)\s*(?:[,;]|$)")  # no date
_ITEM = re.compile(r'(?:"([^"]{0,64})"|([A-Za-z*][\w.*-]{0,63}))((?:\s*;[^,;]*)*)')
_PAIR = re.compile(r"\b(limit|remaining|reset)=([0-9]{1,15})")
_PARAMETER = re.compile(r";\s*([a-z]+)=([0-9]{1,15})")

# Headers that tell of a quota; in lower case.
ANNOUNCING: dict[str, str] = {
    "retry-after": "retry",
    "ratelimit": "ratelimit",
    "ratelimit-policy": "policy",
} | {
    f"{prefix}-{word}": word
    for prefix in ("ratelimit", "x-ratelimit", "x-rate-limit")
    for word in ("limit", "remaining", "reset")
}


class Announced(NamedTuple):
    """What one answer says; limit 0, remaining -1, reset -1 s and 0 s say nothing."""

    limit: int = 0
    remaining: int = -1
    reset_s: float = -1.0
    retry_after_s: float = 0.0


NOTHING = Announced()


def read_announced(pairs: Iterable[tuple[str, str]], unix_s: float) -> Announced:
    """Return what headers say of a quota; what cannot be read is left out.

    pairs: those with a name of `ANNOUNCING`, in lower case.  Sources:
    draft-ietf-httpapi-ratelimit-headers-11, -07 and -06, X-RateLimit-* as GitHub
    (epoch) and others (seconds) send it, RFC 9110 section 10.2.3.
    """
    said, told = NOTHING, ""
    policies: dict[str, int] = {}
    for name, raw in islice(pairs, _MAX_LINES):
        text = raw[:_MAX_HEADER].strip()
        kind = ANNOUNCING[name]
        if kind == "retry":
            said = said._replace(retry_after_s=_wait_s(text, unix_s))
        elif kind == "ratelimit":
            said, told = _tightest(said, told, text, unix_s)
        elif kind == "policy":
            policies |= {n: int(v["q"]) for n, v in _items(text) if "q" in v}
        elif found := _COUNT.match(text):
            said = _with(said, kind, int(float(found[1])), unix_s)
    if policies and not said.limit:
        least = min(policies.values())
        said = said._replace(limit=policies.get(told, least))
    return said


def _with(said: Announced, kind: str, number: int, unix_s: float) -> Announced:
    if kind == "limit":
        return said._replace(limit=number)
    if kind == "remaining":
        return said._replace(remaining=number)
    return said._replace(reset_s=_reset_s(number, unix_s))


def _tightest(
    said: Announced, told: str, text: str, unix_s: float
) -> tuple[Announced, str]:
    """Of several policies the one with the fewest calls left counts; told: its name."""
    if "remaining=" in text:  # draft 07: limit=100, remaining=5, reset=30
        for kind, number in _PAIR.findall(text):
            said = _with(said, kind, int(number), unix_s)
    for name, values in _items(text):
        left = int(values.get("r", -1))
        if left >= 0 and (said.remaining < 0 or left < said.remaining):
            reset_s = float(values.get("t", -1))
            said, told = said._replace(remaining=left, reset_s=reset_s), name
    return said, told


def _items(text: str) -> list[tuple[str, dict[str, str]]]:
    """Return the name and the parameters of each item of a list."""
    return [
        (item[1] or item[2], dict(_PARAMETER.findall(item[3])))
        for item in _ITEM.finditer(text)
    ]


def _reset_s(number: int, unix_s: float) -> float:
    if number > 10**12:
        number //= 1000  # an epoch in milliseconds
    return float(max(number - unix_s, 0.0) if number > 10**9 else number)


def _wait_s(text: str, unix_s: float) -> float:
    if found := _COUNT.match(text):
        return float(found[1])
    try:
        parsed = parsedate_tz(text)
        return max(mktime_tz(parsed) - unix_s, 0.0) if parsed else 0.0
    except (ValueError, OverflowError, TypeError):
        return 0.0


class Quota:
    """The quota of one credential.  reset_at, hold_until: as `now`, 0 = none."""

    __slots__ = ("_spent", "hold_until", "limit", "remaining", "reset_at", "strikes")

    def __init__(self) -> None:
        self.limit = 0
        self.remaining = -1
        self.reset_at = 0.0
        self.hold_until = 0.0
        self.strikes = 0
        self._spent = [(0, 0)] * _WINDOW_S  # (second, calls)

    def spend(self, now: float) -> None:
        """Count a call that is sent."""
        second = int(now)
        at, calls = self._spent[second % _WINDOW_S]
        self._spent[second % _WINDOW_S] = second, calls + 1 if at == second else 1
        if self.remaining > 0:
            self.remaining -= 1

    def spent_per_s(self, now: float) -> float:
        """Return own calls per second, over a minute."""
        since = int(now) - _WINDOW_S
        return sum(n for at, n in list(self._spent) if at > since) / _WINDOW_S

    def learn(self, said: Announced, now: float) -> None:
        """Merge what was said: the newest window, in one window the lowest figure."""
        if said.remaining < 0:
            self.limit = said.limit or self.limit
            return
        reset_at = now + (said.reset_s if said.reset_s >= 0 else _WINDOW_S)
        if self.is_over(now) or reset_at > self.reset_at + _SAME_WINDOW_S:
            self.remaining, self.reset_at = said.remaining, reset_at
        elif reset_at >= self.reset_at - _SAME_WINDOW_S:
            self.remaining = min(self.remaining, said.remaining)
        else:
            return  # of a window that is over
        self.limit = said.limit or self.limit

    def is_over(self, now: float) -> bool:
        """Whether nothing is known of the present window."""
        return self.remaining < 0 or now >= self.reset_at

    def limited(self, said: Announced, now: float) -> None:
        """Take a refusal of theirs: nobody calls before it ends."""
        wait_s = said.retry_after_s
        if not wait_s and said.remaining == 0:
            wait_s = max(said.reset_s, 0.0)
        if not wait_s:
            if now < self.hold_until:
                return  # calls that were under way do not make it worse
            wait_s = min(_MOST_STRIKE_S, 2.0 ** min(self.strikes, 10))
            self.strikes += 1
        self.hold_until = max(self.hold_until, now + min(wait_s, _MOST_HOLD_S))


class Quotas:
    """The quotas of one dependency, by credential; 64 at most, the least used goes.

    reserve: share of the limit that calls below `critical` leave alone.
    """

    def __init__(self, reserve: float) -> None:
        self._reserve = reserve
        self._held: OrderedDict[int, Quota] = OrderedDict()
        self.fleet_per_s = 0.0

    def of(self, credential: int) -> Quota:
        """Return the quota of a credential, named by a hash of this process."""
        held = self._held
        quota = held.get(credential)
        if quota is None:
            quota = held.setdefault(credential, Quota())
            while len(held) > _KEPT:
                held.popitem(last=False)
        elif len(held) > 1:
            with suppress(KeyError):  # another thread let it go just now
                held.move_to_end(credential)
        return quota

    def refusal(
        self, credential: int, now: float, *, is_critical: bool
    ) -> tuple[str, float] | None:
        """Return why a call is not sent, and when to try again; None if it may go."""
        quota = self._held.get(credential)
        if quota is None:
            return None
        if now < quota.hold_until:
            return "it asked for no calls before", quota.hold_until - now
        if is_critical or quota.is_over(now):
            return None
        left_s = max(quota.reset_at - now, 0.0)
        if quota.remaining <= self._reserve * quota.limit:
            left = f"{quota.remaining} of {quota.limit} calls are left"
            return f"{left}, kept for critical requests", left_s
        per_s = max(self.fleet_per_s, quota.spent_per_s(now))
        if per_s * left_s > quota.remaining:
            why = f"{per_s:.1f} calls/s would spend {quota.remaining} before the reset"
            return why, left_s
        return None

    def tightest(self, now: float) -> Quota | None:
        """Return the quota that is closest to its end, None where none is known."""
        known = [q for q in list(self._held.values()) if not q.is_over(now)]
        held = [q for q in list(self._held.values()) if now < q.hold_until]
        return min(
            known, key=lambda q: q.remaining / max(q.limit, 1), default=None
        ) or max(held, key=lambda q: q.hold_until, default=None)

    def spent_per_s(self, now: float) -> float:
        """Return calls per second of all credentials, over a minute."""
        return sum(q.spent_per_s(now) for q in list(self._held.values()))

    def share(self, said: Announced, hold_s: float, per_s: float, now: float) -> None:
        """Take what the fleet knows; only where one credential is in use here."""
        self.fleet_per_s = per_s
        if len(self._held) == 1:
            (quota,) = list(self._held.values())
            quota.learn(said, now)
            quota.hold_until = max(quota.hold_until, now + min(hold_s, _MOST_HOLD_S))


def announcing(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers that tell of a quota, with names in lower case."""
    return [
        (name, str(value))
        for key, value in headers.items()
        if (name := str(key).lower()) in ANNOUNCING
    ]
