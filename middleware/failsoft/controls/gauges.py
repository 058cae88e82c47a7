"""Tells the application's OpenTelemetry meter how current the controls are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

__all__ = ["Facts", "show_gauges"]

# seconds since the newest proof, revision, state
Facts = tuple[float, int, str]


@cache  # the SDK warns of an instrument that is made again
def show_gauges(read: Callable[[], Facts | None]) -> None:
    """Offer `failsoft.control.{age,revision,state}`; without a meter nobody asks.

    read: what holds in this process, None before a start.  The state is an attribute
    of a constant 1.  A meter provider that is set later is found then.
    """
    try:
        from opentelemetry.metrics import CallbackOptions, Observation, get_meter
    except ImportError:
        return

    def age(options: CallbackOptions) -> Iterator[Any]:
        if facts := read():
            yield Observation(facts[0])

    def revision(options: CallbackOptions) -> Iterator[Any]:
        if facts := read():
            yield Observation(facts[1])

    def state(options: CallbackOptions) -> Iterator[Any]:
        if facts := read():
            yield Observation(1, {"failsoft.control.state": facts[2]})

    gauge = get_meter("failsoft").create_observable_gauge
    gauge("failsoft.control.age", [age], "s", "Age of the controls in force")
    gauge("failsoft.control.revision", [revision], "1", "Revision in force")
    gauge("failsoft.control.state", [state], "1", "State of the controls")
