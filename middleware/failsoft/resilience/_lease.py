"""What a node knows of one key of a limit, so that most requests ask nobody.

Three gates with one way to pass them, `take`: tokens of its own (`Bucket`), tokens
leased from the store (`Lease`), and the store's newest refusal (`Window`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

__all__ = [
    "ASK",
    "DENIED",
    "LOW",
    "TAKEN",
    "Bucket",
    "Gate",
    "Lease",
    "Quota",
    "Window",
    "standing",
]

# What a gate says, from the best to the worst.  LOW: taken, but ask for more.  ASK:
# only the store can tell.
TAKEN, LOW, ASK, DENIED = range(4)

_IDLE_S = 1.0  # then tokens that nobody used go back
_LAPSE_S = 2.0  # then they are void: the store may have made them again
_SLOTS_PER_S = 10
_WEIGHT = 0.3
_AHEAD_S = 0.25
_HELD = 0.2  # of the burst, by all nodes together; lease.lua counts on it
_DENY_S = 0.1
_MEMORY_S = 1.0


@dataclass(frozen=True, slots=True)
class Quota:
    """One rate of a limit.  name: of the policy; label: the same as headers say it.

    amount: requests in window_s.  burst: at once.  how: leased, exact or local.
    """

    name: str
    amount: int
    window_s: int
    burst: int
    how: str
    rate_per_s: float
    label: bytes = b""

    def scaled(self, factor: float) -> Quota:
        """Return it times a factor; something always passes."""
        if factor == 1.0:
            return self
        return replace(
            self,
            amount=max(1, round(self.amount * factor)),
            burst=max(1, round(self.burst * factor)),
            rate_per_s=self.rate_per_s * factor,
        )


def standing(quota: Quota, remaining: int, reset_s: float) -> bytes:
    """Return one item of `RateLimit`; reset_s: until there is more."""
    return b"%s;r=%d;t=%d" % (quota.label, remaining, math.ceil(reset_s))


class _Telling:
    """What tells clients of a gate.

    header: the newest one, kept as most are alike; up to date after a `take` that
    returned TAKEN.
    """

    __slots__ = ("_told", "header")

    def __init__(self) -> None:
        self._told: float = -1
        self.header: tuple[bytes, bytes] | None = None

    def _tell(self, left: float, quota: Quota) -> tuple[bytes, bytes] | None:
        self._told = left
        full_s = max(0, quota.burst - left) / quota.rate_per_s
        self.header = b"ratelimit", standing(quota, int(left), full_s)
        return self.header


class Bucket(_Telling):
    """Tokens that this node makes itself; full at first."""

    __slots__ = ("_at", "tokens")

    def __init__(self, now: float, tokens: float = math.inf) -> None:
        super().__init__()
        self._at = now
        self.tokens = tokens

    def fill(self, now: float, quota: Quota) -> None:
        """Add what has come since it was last looked at."""
        grown = self.tokens + max(0.0, now - self._at) * quota.rate_per_s
        self.tokens, self._at = min(quota.burst, grown), now

    def take(self, now: float, cost: int, quota: Quota) -> int:
        """Take the cost of a request; one above the burst takes the whole of it."""
        # `fill`, without its calls.
        tokens = self.tokens + (now - self._at) * quota.rate_per_s
        burst, self._at = quota.burst, now
        if tokens > burst:
            tokens = burst
        if cost > burst:
            cost = burst
        if tokens < cost:
            self.tokens = tokens
            return DENIED
        tokens = self.tokens = tokens - cost
        if not self._told <= tokens < self._told + 1:  # `tell`, without its call
            self._tell(tokens // 1, quota)
        return TAKEN

    def drain(self, now: float, cost: int, quota: Quota) -> None:
        """Note what somebody else has let pass."""
        self.fill(now, quota)
        self.tokens = max(0.0, self.tokens - cost)

    def put_back(self, cost: int) -> None:
        """Undo a `take`."""
        self.tokens += cost

    def wait_s(self, now: float, cost: int, quota: Quota) -> float:
        """Return the seconds until the cost can be afforded."""
        self.fill(now, quota)
        return max(0.0, min(cost, quota.burst) - self.tokens) / quota.rate_per_s

    def tell(self, now: float, quota: Quota) -> tuple[bytes, bytes] | None:
        """Return the `RateLimit` of what remains after a `take`."""
        if self._told <= self.tokens < self._told + 1:
            return self.header
        return self._tell(self.tokens // 1, quota)


class Lease(_Telling):
    """Tokens of one bucket in the store that this node holds ahead of use.

    left: in the bucket when last told, -1 = never.  short: cost of those who wait.
    task: the refill in flight.  debt: let pass without the store, to be told to it.
    spare: what holds while the store does not answer.
    """

    __slots__ = (
        "_at",
        "_count",
        "_demand",
        "_deny_until",
        "_is_alone",
        "_low",
        "_slot",
        "debt",
        "key",
        "left",
        "quota",
        "short",
        "spare",
        "task",
        "tokens",
    )

    def __init__(self, now: float, key: str, quota: Quota) -> None:
        super().__init__()
        self.key = key
        self.quota = quota
        self.tokens = 0
        self.left = -1
        self.short = 0
        self.task: Any = None
        # Also counts while the store answers, so that losing it again and again
        # gives little away.
        self.spare = Bucket(now)
        self._is_alone = False
        self.debt = 0
        self._at = now
        self._demand = 0.0
        self._slot = int(now * _SLOTS_PER_S)
        self._count = self._low = 0
        self._deny_until = 0.0

    def take(self, now: float, cost: int, quota: Quota) -> int:
        """Take the cost of a request from the tokens at hand."""
        if self.tokens and now - self._at > _LAPSE_S:
            self.tokens = 0
        if not self._slot <= now * _SLOTS_PER_S < self._slot + 1:
            self._roll(int(now * _SLOTS_PER_S))
        self._count += cost
        if self.tokens - cost >= self._low and cost <= quota.burst:
            self.tokens -= cost  # `draw`, without its call
            self.tell(now, quota)
            return TAKEN
        return self.draw(now, cost, quota)

    def draw(self, now: float, cost: int, quota: Quota) -> int:
        """Take it for a request that is counted already."""
        need = cost if cost < quota.burst else quota.burst
        if self.tokens >= need:
            self.tokens -= need
            if self.tokens < self._low and now >= self._deny_until:
                return LOW
            self.tell(now, quota)
            return TAKEN
        # The refusal that is remembered saves more trips than the lease itself.
        return DENIED if now < self._deny_until else ASK

    def _roll(self, slot: int) -> None:
        passed = slot - self._slot
        rate_per_s = self._count * _SLOTS_PER_S
        self._demand += _WEIGHT * (rate_per_s - self._demand)
        if passed > 1:
            self._demand *= (1 - _WEIGHT) ** min(passed - 1, 99)
        self._slot, self._count = slot, 0

    def put_back(self, cost: int) -> None:
        """Undo a `take`."""
        self.tokens += cost

    def wants(self, quota: Quota, nodes: int, cost: int) -> int:
        """Return how many tokens to ask for: a quarter of a second's.

        nodes: that share the limit.  cost: of the request that asks.
        """
        most = max(1, int(_HELD * quota.burst / nodes) - self.tokens)
        seen_per_s = max(self._demand, _WEIGHT * _SLOTS_PER_S * self._count)
        ahead = max(math.ceil(seen_per_s * _AHEAD_S), self.short)
        return max(1, min(cost, quota.burst), min(ahead, most))

    def granted(
        self, now: float, want: int, answer: tuple[int, int, int], nodes: int = 1
    ) -> None:
        """Take the store's answer: granted, ms until there is a token, left."""
        got, wait_ms, left = answer
        self.left = max(0, left)
        self.tokens += got
        self._low = want // 4
        self._at = now
        self.spare.drain(now, got, self.quota.scaled(1 / nodes))
        self._is_alone = False
        if got < want:
            self._deny_until = now + max(_DENY_S, wait_ms / 1000)

    def owed(self, now: float, share: Quota) -> int:
        """Return what the store must be told of what was let pass without it.

        Nothing where this node's part would be full again by now.
        """
        if not self.debt:
            return 0
        self.spare.fill(now, share)
        return min(self.debt, max(0, int(share.burst - self.spare.tokens)))

    def is_idle(self, now: float) -> bool:
        """Whether tokens have been at hand for a second."""
        return now - self._at > _IDLE_S

    def unused(self, now: float) -> int:
        """Give up and return the tokens at hand; none that are void."""
        tokens, self.tokens = self.tokens, 0
        return tokens if now - self._at <= _LAPSE_S else 0

    def stand_in(self, now: float, share: Quota, nodes: int) -> Bucket:
        """Return what holds while the store is lost: this node's part of what is left.

        share: the quota of one node.
        """
        if not self._is_alone and self.left >= 0:
            self.spare.fill(now, share)
            self.spare.tokens = min(self.spare.tokens, self.left / nodes)
        self._is_alone = True
        return self.spare

    def wait_s(self, now: float, cost: int, quota: Quota) -> float:
        """Return the seconds until asking again makes sense."""
        return max(0.0, self._deny_until - now)

    def tell(self, now: float, quota: Quota) -> tuple[bytes, bytes] | None:
        """Return the `RateLimit` of what remains, as far as this node knows."""
        left = self.tokens
        if self.left > 0 and now >= self._deny_until:
            left += self.left
            if left > quota.burst:
                left = quota.burst
        return self.header if left == self._told else self._tell(left, quota)


class Window(_Telling):
    """What the store said of a key that it counts exactly.

    remaining, reset_s: as told last, where they were asked for.
    """

    __slots__ = ("_deny_until", "_reset_at", "key", "remaining", "spare")

    def __init__(self, now: float, key: str) -> None:
        super().__init__()
        self.key = key
        self.remaining = -1
        # Also counts while the store answers, so that losing it gives nothing away.
        self.spare = Bucket(now)
        self._deny_until = self._reset_at = 0.0

    def take(self, now: float, cost: int, quota: Quota) -> int:
        """Say no from memory, or ask the store."""
        return DENIED if now < self._deny_until else ASK

    def put_back(self, cost: int) -> None:
        """Nothing: what the store has counted stays counted."""

    def tell(self, now: float, quota: Quota) -> tuple[bytes, bytes] | None:
        """Return the `RateLimit` of what was told last; None, as asking is a trip."""
        if self.remaining < 0:
            return None
        return self._tell(self.remaining, quota)

    def told(self, now: float, remaining: int, reset_s: float) -> None:
        """Take what the store says of the window."""
        self.remaining, self._reset_at = remaining, now + reset_s

    def refused(self, now: float) -> None:
        """Take a refusal: for a while nobody has to ask again."""
        self.remaining = 0
        if self._reset_at <= now:
            self._reset_at = now + _DENY_S
        self._deny_until = min(self._reset_at, now + _MEMORY_S)

    def wait_s(self, now: float, cost: int, quota: Quota) -> float:
        """Return the seconds until the window has room."""
        return max(0.0, self._reset_at - now)


Gate = Bucket | Lease | Window
