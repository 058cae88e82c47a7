"""Flags in tests: what a test sets holds in the whole process, until the test ends.

Process-wide, so that it reaches the threads in which test clients run applications;
tests of one process that run at the same time therefore see each other's.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, TypeVar

from failsoft.controls.records import KillDoc
from failsoft.controls.targets import literal_weight
from failsoft.flags._evaluate import FlagDetails, Override
from failsoft.flags._overlay import OVERLAYS
from failsoft.flags._state import FlagState

__all__ = ["FlagsInTests", "flag_matrix", "override", "watch_undeclared"]

_MAX_COMBINATIONS = 16
_Test = TypeVar("_Test", bound=Callable[..., Any])


@dataclass(eq=False)
class _Frame:
    """What one fixture or block sets.

    seen: evaluations in order, None = not kept: a server may run in a block.
    """

    values: dict[str, Override] = field(default_factory=dict)
    kills: dict[str, KillDoc] = field(default_factory=dict)
    age_s: float = 0.0
    seen: list[tuple[str, str]] | None = None
    undeclared: set[str] = field(default_factory=set)


class _Frames:
    """All frames in force, the last one wins; lies over flags while there are any."""

    def __init__(self) -> None:
        self._frames: list[_Frame] = []
        self._version = object()  # what was made for another one is void
        self._made: tuple[FlagState, object, FlagState] | None = None

    def enter(self, frame: _Frame) -> None:
        self._frames = [*self._frames, frame]
        self.changed()
        OVERLAYS[:] = [self]

    def leave(self, frame: _Frame) -> None:
        self._frames = [held for held in self._frames if held is not frame]
        self.changed()
        if not self._frames:
            OVERLAYS.clear()

    def changed(self) -> None:
        self._version = object()

    @property
    def age_s(self) -> float:
        # A thread of the application may still be asking when the test ends.
        return max((frame.age_s for frame in self._frames), default=0.0)

    def over(self, state: FlagState) -> FlagState:
        made, version = self._made, self._version
        if made is None or made[0] is not state or made[1] is not version:
            made = self._made = (state, version, self._lay_over(state))
        return made[2]

    def _lay_over(self, state: FlagState) -> FlagState:
        values: dict[str, Override] = {}
        kills = dict(state.kills)
        for frame in self._frames:
            values |= frame.values
            kills |= frame.kills
        return replace(
            state,
            overrides=values,
            kills=tuple(
                sorted(kills.items(), key=lambda k: literal_weight(k[0]), reverse=True)
            ),
            age_s=max(state.age_s, self.age_s),
            evaluators={},
        )

    def saw(self, key: str, details: FlagDetails, state: FlagState) -> None:
        is_declared = state.definitions.declares(key)
        for frame in self._frames:
            if frame.seen is not None:
                frame.seen.append((key, details.variant or "(default)"))
            if not is_declared:
                frame.undeclared.add(key)


_FRAMES = _Frames()


class FlagsInTests:
    """The flags of this process under a test's control; the fixture `failsoft_flags`.

    seen: (key, variant) of each evaluation in order, "(default)" for the coded one.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self._frame = _Frame(seen=self.seen)

    def __enter__(self) -> FlagsInTests:
        _FRAMES.enter(self._frame)
        return self

    def __exit__(self, *_: object) -> None:
        _FRAMES.leave(self._frame)

    def set(self, key: str, value: Any = None, *, variant: str | None = None) -> None:
        """Serve a value, the result of a callable(context), or a variant by name.

        A kill, also one set here, still wins.  Raises ValueError unless exactly one
        of value and variant is given.
        """
        if (value is None) == (variant is None):
            raise ValueError(f"{key}: give either a value or variant=")
        self._frame.values[key] = Override(value, variant)
        _FRAMES.changed()

    def kill(self, target: str, *, variant: str | None = None) -> None:
        """Kill flags, as an operator would: `flag:checkout.*`."""
        kind, _, glob = target.partition(":")
        if kind != "flag" or not glob:
            raise ValueError(f"{target!r} must be flag:KEY; * and ? are globs")
        self._frame.kills[glob] = KillDoc("test", "a test", variant=variant)
        _FRAMES.changed()

    def stale(
        self, *, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Pretend that the store has not answered for so long."""
        self._frame.age_s = hours * 3600 + minutes * 60 + seconds
        _FRAMES.changed()

    def reset(self) -> None:
        """Forget everything set and seen here."""
        self.seen.clear()
        self._frame.__init__(seen=self.seen)  # type: ignore[misc]
        _FRAMES.changed()


class _Overriding:
    """Context manager and decorator; may be entered again while it is entered."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {key: Override(value) for key, value in values.items()}
        self._entered: list[_Frame] = []

    def __enter__(self) -> None:
        frame = _Frame(dict(self._values))
        self._entered.append(frame)
        _FRAMES.enter(frame)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _FRAMES.leave(self._entered.pop())

    def __call__(self, test: _Test) -> _Test:
        if (
            inspect.isclass(test)
            or inspect.isgeneratorfunction(test)
            or inspect.isasyncgenfunction(test)
        ):
            todo = "use `with override(..)` in it, or the fixture failsoft_flags"
            raise TypeError(f"override decorates functions, not {test!r}; {todo}")
        if inspect.iscoroutinefunction(test):

            @functools.wraps(test)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await test(*args, **kwargs)

            return awaited  # type: ignore[return-value]

        @functools.wraps(test)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self:
                return test(*args, **kwargs)

        return called  # type: ignore[return-value]


def override(values: Mapping[str, Any]) -> _Overriding:
    """Serve these values for a block, or for a test (sync or async) it decorates.

    values: key -> value or callable(context).  Nests: the last one entered wins.
    """
    return _Overriding(values)


@contextmanager
def watch_undeclared() -> Iterator[set[str]]:
    """Collect keys that are asked for and declared nowhere."""
    frame = _Frame()
    _FRAMES.enter(frame)
    try:
        yield frame.undeclared
    finally:
        _FRAMES.leave(frame)


def flag_matrix(*flags: str | Mapping[str, Any]) -> Callable[[_Test], _Test]:
    """Run a test once for each combination of flags, 16 at most.

    flags: keys, each on and off; or key -> values.  Raises ValueError beyond 16.
    """
    import pytest

    choices: dict[str, list[Any]] = {}
    for one in flags:
        given = {one: (True, False)} if isinstance(one, str) else one
        choices |= {key: list(values) for key, values in given.items()}
    combinations = [
        dict(zip(choices, values, strict=True))
        for values in itertools.product(*choices.values())
    ]
    if len(combinations) > _MAX_COMBINATIONS:
        raise ValueError(
            f"{len(combinations)} combinations of {', '.join(choices)}; "
            f"the limit is {_MAX_COMBINATIONS}"
        )

    def decorate(test: _Test) -> _Test:
        run_each = pytest.mark.parametrize(
            "failsoft_matrix",
            combinations,
            ids=map(_id_of, combinations),
            indirect=True,
        )
        marked: _Test = pytest.mark.usefixtures("failsoft_matrix")(run_each(test))
        return marked

    return decorate


def _id_of(values: Mapping[str, Any]) -> str:
    words = {True: "on", False: "off"}
    return ",".join(
        f"{key}={words[v] if isinstance(v, bool) else v}" for key, v in values.items()
    )
