"""Client rate limits of one process: the hooks that admit, refuse, or wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from failsoft import clock
from failsoft.pipeline import Exchange, Hook, Plan, Rejection
from failsoft.problem import retry_after
from failsoft.resilience._lease import (
    ASK,
    DENIED,
    LOW,
    TAKEN,
    Bucket,
    Gate,
    Lease,
    Quota,
    Window,
)
from failsoft.resilience._rate_limit import (
    CLOSED,
    KeyOf,
    Limiter,
    exceeded,
    key_reader,
    policy_header,
    quotas_of,
    standing,
)
from failsoft.resilience._refill import Refiller
from failsoft.routes.table import RouteDef
from failsoft.settings import RateLimitSettings, Settings, is_rate, parse_rates
from failsoft.settings._rate_limit import unknown_limits
from failsoft.store.fleet import LIMITS_KEPT, LimitRow

__all__ = ["RateLimits"]

_KEYS = 10_000
_KEYS_LEAST = 100
_COST_MAX = 1000


@dataclass(frozen=True, slots=True)
class _Rule:
    """A limit as one plan has it.  refusals: by quota."""

    limiter: Limiter
    quotas: tuple[Quota, ...]
    refusals: tuple[Rejection, ...]
    key_of: KeyOf
    cost: int | Callable[[Any], Any]


class RateLimits:
    """Every limit of one process.

    now: seconds of a clock that never goes back.  dice: 0..1.
    """

    def __init__(
        self,
        settings: Settings,
        dice: Callable[[], float],
        now: Callable[[], float] = clock.monotonic,
    ) -> None:
        store = settings.store
        self._declared = settings.rate_limits
        self._url, self._env = store.limits_url or store.url, store.env
        self._now = now
        self._dice = dice
        self._limiters: dict[str, Limiter] = {}
        self._named: dict[str, str] = {}
        self._begin: Callable[[], Refiller] | None = None
        self.refiller: Refiller | None = None

    # --- plans --------------------------------------------------------------

    def hook(self, route: RouteDef, plan: Plan) -> Hook | None:
        """Return the hook of a plan, and have its answers tell of the limit."""
        limiter = self._limiter(route)
        if limiter is None:
            return None
        rules, said = route.rules, limiter.said
        factor = plan.scalars.rate_limit_scale
        quotas = tuple(quota.scaled(factor) for quota in limiter.quotas)
        notice = policy_header(quotas)
        if notice not in plan.notices:  # a version's plan may have it already
            plan.notices += (notice,)
        rule = _Rule(
            limiter,
            quotas,
            tuple(exceeded(quota) for quota in quotas),
            key_reader(rules.rate_limit_key or said.key),
            rules.rate_limit_cost or said.cost,
        )
        return self._admitting(rule)

    def _limiter(self, route: RouteDef) -> Limiter | None:
        text = route.rules.rate_limit
        if text is None:
            return None
        self._named[f"route {route.key}"] = text
        # A rate that a glob declares holds for each of its routes by itself.
        name = route.key if is_rate(text) else text
        found = self._limiters.get(name)
        said = self._said(text)
        if said is None:
            return None  # `faults` tells of it
        if found is None or found.said != said:
            quotas = quotas_of(name, said, shared=bool(self._url))
            most = max(_KEYS_LEAST, _KEYS // (len(self._limiters) + 1))
            found = self._limiters[name] = Limiter(name, said, quotas, most)
            for limiter in self._limiters.values():
                limiter.most = most
            self._open()
        return found

    def faults(self) -> list[str]:
        """Return a finding for each route that names a limit nobody declares."""
        return unknown_limits(self._named.items(), self._declared)

    def _said(self, text: str) -> RateLimitSettings | None:
        if is_rate(text):
            return RateLimitSettings(rate=parse_rates(text))
        return self._declared.get(text)

    # --- requests -----------------------------------------------------------

    def _admitting(self, rule: _Rule) -> Hook:
        clock, key_of, limiter = self._now, rule.key_of, rule.limiter
        is_single, first = len(rule.quotas) == 1, rule.quotas[0]
        fixed = rule.cost if isinstance(rule.cost, int) else 0
        keys = limiter.keys

        def admit(exchange: Exchange) -> Rejection | None:
            now = clock()
            try:
                key = key_of(exchange)
                cost = fixed or _cost(rule.cost, exchange)
            except Exception as error:  # noqa: BLE001 - border: functions of others
                exchange.runtime.failed(f"rate limit of {exchange.plan.key}", error)
                return None
            # `gates`, without its call where nothing has to make room.
            gates = None if limiter.is_crowded else keys.get(key)
            if gates is None:
                gates = limiter.gates(key, now)
            if not gates:
                return None
            if is_single:  # nearly always, and then there is no more to it
                gate = gates[0]
                verdict = gate.take(now, cost, first)
                if verdict == TAKEN:
                    limiter.allowed += 1
                    exchange.limit = gate.header
                    return None
                verdicts = [verdict]
            else:
                each = zip(gates, rule.quotas, strict=True)
                verdicts = [gate.take(now, cost, quota) for gate, quota in each]
            return self._judge(exchange, _Try(rule, gates, verdicts, cost, now))

        return admit

    def _judge(self, exchange: Exchange, asked: _Try) -> Rejection | None:
        """Order more where little is left, and let in whom every gate lets in."""
        rule = asked.rule
        for index, verdict in enumerate(asked.verdicts):
            gate = asked.gates[index]
            if verdict == LOW and isinstance(gate, Lease) and self.refiller is not None:
                self.refiller.refill(rule.limiter, gate, rule.quotas[index])
        if max(asked.verdicts) > LOW:
            return self._unsure(exchange, asked)
        self._let_in(exchange, asked)
        return None

    def _unsure(self, exchange: Exchange, asked: _Try) -> Rejection | None:
        """Refuse what memory refuses; ask the store for the rest, or do without."""
        if DENIED in asked.verdicts:
            return self._refuse(asked, asked.verdicts.index(DENIED))
        refiller = self.refiller
        if refiller is None or refiller.link.is_lost:
            for index in asked.open:
                rejection = self._alone(asked, index)
                if rejection is not None:
                    return rejection
            self._let_in(exchange, asked)
            return None
        exchange.pending = self._settling(exchange, asked, refiller)
        return None

    def _settling(
        self, exchange: Exchange, asked: _Try, refiller: Refiller
    ) -> Callable[[], Awaitable[Rejection | None]]:
        async def settle() -> Rejection | None:
            rule = asked.rule
            for index in asked.open:
                gate, quota = asked.gates[index], rule.quotas[index]
                if isinstance(gate, Bucket):  # never asks
                    continue
                verdict = await refiller.ask(rule.limiter, gate, quota, asked.cost)
                asked.now = self._now()
                if verdict == DENIED:
                    return self._refuse(asked, index)
                if verdict == ASK and (refused := self._alone(asked, index)):
                    return refused
                asked.verdicts[index] = TAKEN
            self._let_in(exchange, asked)
            return None

        return settle

    def _let_in(self, exchange: Exchange, asked: _Try) -> None:
        asked.rule.limiter.allowed += 1
        each = zip(asked.gates, asked.rule.quotas, strict=True)
        told = [gate.tell(asked.now, quota) for gate, quota in each]
        items = [header[1] for header in told if header is not None]
        if items:
            exchange.limit = b"ratelimit", b", ".join(items)

    def _alone(self, asked: _Try, index: int) -> Rejection | None:
        """Decide without the store, as the limit says."""
        policy = asked.rule.limiter.said.on_store_error
        if policy == "open":
            return None
        if policy == "closed":
            asked.undo()
            asked.rule.limiter.refused += 1
            return CLOSED
        nodes = self.refiller.nodes if self.refiller is not None else 1
        gate, quota = asked.gates[index], asked.rule.quotas[index]
        share = quota.scaled(1 / nodes)
        if isinstance(gate, Lease):
            spare = gate.stand_in(asked.now, share, nodes)
        else:
            spare = gate.spare if isinstance(gate, Window) else gate
        if spare.take(asked.now, asked.cost, share) == TAKEN:
            asked.verdicts[index] = TAKEN
            if isinstance(gate, Lease):
                gate.debt = min(share.burst, gate.debt + asked.cost)
            return None
        wait_s = spare.wait_s(asked.now, asked.cost, share)
        return self._refuse(asked, index, wait_s)

    def _refuse(
        self, asked: _Try, index: int, wait_s: float | None = None
    ) -> Rejection:
        asked.undo()
        rule, now = asked.rule, asked.now
        rule.limiter.refused += 1
        quota, prepared = rule.quotas[index], rule.refusals[index]
        if wait_s is None:
            wait_s = asked.gates[index].wait_s(now, asked.cost, quota)
        more = (
            retry_after(wait_s, self._dice),
            (b"ratelimit", standing(quota, 0, max(1.0, wait_s))),
        )
        return Rejection(
            prepared.reason,
            prepared.status,
            (*prepared.headers, *more),
            prepared.body,
        )

    # --- the loop -----------------------------------------------------------

    def begin(
        self, store: Any, loop: Any, failed: Callable[[str, BaseException], None]
    ) -> None:
        """Belong to a loop that runs; where nothing is shared, nothing begins.

        store: knows how many nodes there are.  failed: takes faults of ours.
        """
        self.forget()
        self._begin = partial(
            Refiller, self._url, self._env, store, loop, now=self._now, failed=failed
        )
        self._open()

    def _open(self) -> None:
        if self._begin is None or self.refiller is not None or not self._url:
            return
        limiters = self._limiters.values()
        if any(quota.how != "local" for one in limiters for quota in one.quotas):
            self.refiller = self._begin()

    async def end(self) -> None:
        """Give back what was leased, and close the connections."""
        refiller, self.refiller, self._begin = self.refiller, None, None
        if refiller is not None:
            await refiller.end()

    def forget(self) -> None:
        """Let go of another loop, and of the tokens that keys had there."""
        if self.refiller is not None:
            self.refiller.abandon()
        self._drop()

    def cut_copies(self) -> None:
        """In a forked child: let go of the copies of the parent's sockets."""
        if self.refiller is not None:
            self.refiller.store.cut_copies()
        self._drop()

    def _drop(self) -> None:
        self.refiller = self._begin = None
        for limiter in self._limiters.values():
            limiter.keys.clear()  # else a parent's tokens would be spent twice

    def rows(self) -> tuple[LimitRow, ...]:
        """Return what this node says of its limits, those that refuse most first."""
        fault = self.refiller.link.fault if self.refiller is not None else ""
        rows = [one.row(self._now(), fault) for one in self._limiters.values()]
        rows.sort(key=lambda row: (-row.refused, row.name))
        return tuple(rows[:LIMITS_KEPT])


class _Try:
    """A request at the gates of its key.  verdicts: one a gate."""

    __slots__ = ("cost", "gates", "now", "rule", "verdicts")

    def __init__(
        self,
        rule: _Rule,
        gates: tuple[Gate, ...],
        verdicts: list[int],
        cost: int,
        now: float,
    ) -> None:
        self.rule = rule
        self.gates = gates
        self.verdicts = verdicts
        self.cost = cost
        self.now = now

    @property
    def open(self) -> list[int]:
        """Which gates are still to be asked for."""
        return [index for index, one in enumerate(self.verdicts) if one == ASK]

    def undo(self) -> None:
        """Put back what other gates gave."""
        for gate, verdict in zip(self.gates, self.verdicts, strict=True):
            if verdict <= LOW:
                gate.put_back(self.cost)
        self.verdicts = [DENIED] * len(self.verdicts)


def _cost(read: Any, exchange: Exchange) -> int:
    return min(_COST_MAX, max(1, int(read(exchange.scope))))
