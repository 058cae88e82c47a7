"""What enters a mode, what ends it and how long that takes, in words."""

from __future__ import annotations

from failsoft.settings import ModeDefinition, Trigger

__all__ = ["enter_lines", "leave_lines", "timing_text"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_JOINED = {"any": "any of: ", "all": "all of: "}


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _clock(second: int) -> str:
    return f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}"


def _window(leaf: Trigger) -> str:
    start, end = leaf.window
    if not leaf.is_weekly:
        return f"the schedule of {_span(end - start)}"
    return f"{_DAYS[start // 86_400 % 7]} {_clock(start)}-{_clock(start + end)} UTC"


def _enter(leaf: Trigger) -> str:
    lasts = f" for {_span(leaf.for_s)}" if leaf.for_s else ""
    return {
        "burn": f"burn {leaf.name} (auto rule)",
        "breaker": f"breaker {leaf.name} open{lasts}",
        "shedding": f"{leaf.level:.0%} of the nodes shed{lasts}",
        "quota": f"quota of {leaf.name} below {leaf.level:.0%}",
        "health": f"health check {leaf.name} is {leaf.word}",
        "schedule": _window(leaf),
    }.get(leaf.kind, leaf.kind)


def _leave(leaf: Trigger) -> str:
    return {
        "burn": f"burn {leaf.name} below half of that",
        "breaker": f"breaker {leaf.name} closed",
        "shedding": f"fewer than {leaf.level / 2:.0%} of the nodes shed",
        "quota": f"quota of {leaf.name} above {min(1.0, 2 * leaf.level):.0%}",
        "health": f"health check {leaf.name} is better",
        "schedule": "its end",
    }.get(leaf.kind, leaf.kind)


def enter_lines(mode: ModeDefinition) -> tuple[str, ...]:
    """Return the conditions that enter it, one a line; none where only people do."""
    if mode.enter is None:
        return ()
    if mode.enter.parts and not any(part.parts for part in mode.enter.parts):
        first, *rest = (_enter(part) for part in mode.enter.parts)
        lead = _JOINED.get(mode.enter.kind, "") if rest else ""
        return (f"{lead}{first}", *rest)
    return (_nested(mode.enter),)


def _nested(trigger: Trigger) -> str:
    if not trigger.parts:
        return _enter(trigger)
    word = " and " if trigger.kind == "all" else " or "
    return f"({word.join(map(_nested, trigger.parts))})"


def leave_lines(mode: ModeDefinition) -> tuple[str, ...]:
    """Return what must hold for it to end by itself, one a line."""
    leaves = list(mode.enter.leaves()) if mode.enter is not None else []
    return tuple(dict.fromkeys(_leave(leaf) for leaf in leaves))


def timing_text(mode: ModeDefinition) -> str:
    """Return how long each of these must hold, and the steps of the recovery."""
    if mode.enter is None:
        return ""
    timing = mode.timing
    steps = " ".join(str(step) for step in mode.recover)
    return (
        f"hold {_span(timing.hold_s)}, exit hold {_span(timing.exit_hold_s)}, "
        f"dwell {_span(timing.dwell_s)}, recover {steps}%, probe {mode.probe:.0%}"
    )
