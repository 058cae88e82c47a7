"""The gates of one process, and what looking at bodies may cost it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager

from failsoft.routes.models import RouteShapes
from failsoft.settings import ContractSettings
from failsoft.shapes.gate import Gate, GateBook
from failsoft.shapes.graph import Node, reached

__all__ = ["Gates", "HeldGate", "Limits", "Rate"]


class HeldGate:
    """A gate that may not be compiled yet.

    forbids: unknown keys are an error to the application, else it drops them.
    """

    __slots__ = ("forbids", "gate", "is_patch", "node")

    def __init__(self, node: Node, is_patch: bool) -> None:
        self.node = node
        self.is_patch = is_patch
        self.gate: Gate | None = None
        self.forbids = False


class Gates:
    """Each gate once; asked for by plans, compiled off the loop.

    lock: held while compiling, as two threads may be sent to it.  left_out: routes
    whose schemas are too large to be gated.
    """

    def __init__(
        self,
        shapes: Mapping[str, RouteShapes],
        left_out: Collection[str],
        lock: AbstractContextManager[object],
    ) -> None:
        self._book = GateBook()
        self._lock = lock
        self._known: dict[tuple[int, bool], HeldGate] = {}
        self.wanted: list[HeldGate] = []
        self._is_busy = False
        roots = {key: _roots(each) for key, each in shapes.items()}
        gated = {
            id(node)
            for key, nodes in roots.items()
            if key not in left_out
            for node in nodes
        }
        every = {id(node) for nodes in roots.values() for node in nodes}
        self._ungated = every - gated
        # All at once, so that they are compiled before any plan asks for them.
        for key, each in shapes.items():
            self.of(each.request, is_patch=key.startswith("PATCH "))

    def of(self, node: Node | None, *, is_patch: bool = False) -> HeldGate | None:
        """Return the gate of a schema, None where there is none to be had."""
        if node is None or id(node) in self._ungated:
            return None
        found = self._known.get((id(node), is_patch))
        if found is None:
            found = self._known[id(node), is_patch] = HeldGate(node, is_patch)
            self.wanted.append(found)
        return found

    def compile(self) -> None:
        """Compile what is wanted; seconds for hundreds of large schemas."""
        if self._is_busy:
            return  # whoever is at it takes all; one more thread would only wait
        with self._lock:
            self._is_busy = True
            try:
                while self.wanted:
                    self._compile(self.wanted[0])
            finally:
                self._is_busy = False

    def _compile(self, held: HeldGate) -> None:
        try:
            held.forbids = any(
                node.schema.get("additionalProperties") is False
                for node in reached([held.node]).values()
            )
            held.gate = self._book.compile(held.node, is_patch=held.is_patch)
        finally:
            del self.wanted[0]  # also of one that fails: others wait behind it


def _roots(shapes: RouteShapes) -> tuple[Node, ...]:
    request = (shapes.request,) if shapes.request is not None else ()
    return (*request, *shapes.responses.values())


class Rate:
    """At most so many in each second."""

    __slots__ = ("_left", "_most", "_second")

    def __init__(self, most_per_s: float) -> None:
        self._most = most_per_s
        self._second = -1
        self._left = 0.0

    def allows(self, now: float) -> bool:
        """Whether one more may be; now: of a clock that never goes back."""
        if int(now) != self._second:
            self._second, self._left = int(now), self._most
        self._left -= 1
        return self._left >= 0


class Limits:
    """What observing may cost: large bodies by sample, slow walks by rate.

    rand: in [0, 1).  now: seconds of a monotonic clock.  tally: counts what was not
    looked at.
    """

    def __init__(
        self,
        settings: ContractSettings,
        rand: Callable[[], float],
        now: Callable[[], float],
        tally: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._rand = rand
        self._now = now
        self._tally = tally
        self._walks = Rate(settings.walks_per_s)
        self.full_max_bytes = settings.gate_full_max_bytes

    def route_rate(self) -> Rate:
        """Return the rate of slow walks of one route."""
        return Rate(self._settings.route_walks_per_s)

    def sampled(self) -> bool:
        """Whether this one is of the sample."""
        return self._rand() < self._settings.gate_sample

    def takes(self, size_bytes: int) -> bool:
        """Whether a body beyond `full_max_bytes` is looked at all the same."""
        if size_bytes <= self._settings.gate_sampled_max_bytes and self.sampled():
            return True
        self._tally("skipped:size")
        return False

    def may_walk(self, route: Rate) -> bool:
        """Whether the differences of one more body may be listed now."""
        now = self._now()
        if route.allows(now) and self._walks.allows(now):
            return True
        self._tally("unlisted")
        return False
