"""The guard of a flag: when a variant fails so much that everybody gets another one.

Decides on sums alone.  Who counts, and who writes the kill, is `_flush`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any, Literal

import msgspec

from failsoft.controls.targets import nearest
from failsoft.errors import FlagError

__all__ = [
    "WHO",
    "Arm",
    "GuardAbout",
    "GuardProposal",
    "GuardRule",
    "Sums",
    "Verdict",
    "add_arms",
    "bucket_starts",
    "judge",
    "judge_window",
    "read_guard",
]

Sums = Mapping[str, tuple[int, int]]  # variant -> (requests, bad ones)

WHO = "guard"  # who sets the kill
_LEAST_Z = 3.0
_PREFIX = "x.guard."
# name: (field, least, most)
_NUMBERS: dict[str, tuple[str, float, float]] = {
    "min": ("least", 1, 1_000_000),
    "ratio": ("ratio", 1, 1_000),
    "diff": ("diff", 0, 1),
    "slow_ms": ("slow_ms", 1, 3_600_000),
    "max": ("most", 0, 1),
    "window": ("window_s", 5, 540),  # sums are kept for 600 s
    "ttl": ("ttl_s", 10, 30 * 86_400),
}


class GuardRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `x.guard.*` of a flag asks for.

    control: variant served after a trip.  least: requests an arm needs.  ratio,
    diff: how much worse than the control.  most: bad share (0..1) without control
    traffic.  ttl_s: end of the kill, None = a person lifts it.
    """

    control: str
    least: int = 100
    ratio: float = 2.0
    diff: float = 0.02
    slow_ms: float | None = None
    most: float = 0.25
    window_s: float = 60.0
    ttl_s: float | None = None


class Arm(msgspec.Struct, frozen=True):
    """Requests that saw a variant, and how many of them were bad."""

    n: int = 0
    bad: int = 0

    @property
    def share(self) -> float:
        """Ratio of bad requests, 0.0 without any."""
        return self.bad / self.n if self.n else 0.0

    def __str__(self) -> str:
        return f"{self.bad} of {self.n} bad ({self.share:.1%})"


class GuardAbout(msgspec.Struct, frozen=True):
    """What a reader needs to judge as the nodes do."""

    rule: GuardRule
    tick_ms: int


class GuardProposal(msgspec.Struct, frozen=True):
    """A kill that a node would set if it might: its variant, figures and end."""

    variant: str
    why: str
    ttl_s: float | None = None
    node: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """What the figures say of one variant.

    state: trip, ok, or none where there are too few requests.  z: None where it
    was not asked for.  text: the figures, as a reason for the log.
    """

    variant: str
    state: Literal["trip", "ok", "none"]
    arm: Arm
    control: Arm
    z: float | None
    text: str


def read_guard(
    metadata: Mapping[str, Any], variants: Iterable[str], where: str
) -> GuardRule | None:
    """Return the guard that a flag's metadata asks for, None without any.

    where: place of the metadata, for errors.  Raises FlagError.
    """
    given = {n[len(_PREFIX) :]: v for n, v in metadata.items() if n.startswith(_PREFIX)}
    if not given:
        return None
    names = tuple(variants)
    control = given.pop("control", None)
    if control not in names:
        found = "is missing" if control is None else f"{control!r:.50} is no variant"
        todo = f"name one of {', '.join(names)}"
        raise FlagError(found, where=f"{where}.{_PREFIX}control", todo=todo)
    fields: dict[str, Any] = {}
    for name, value in given.items():
        path = f"{where}.{_PREFIX}{name}"
        if name not in _NUMBERS:
            close = nearest(name, ("control", *_NUMBERS), 1)
            todo = f"did you mean {_PREFIX}{close[0]}?" if close else ""
            raise FlagError("is not known", where=path, todo=todo)
        field, least, most = _NUMBERS[name]
        if isinstance(value, bool | str) or not least <= value <= most:
            found = f"{value!r:.50} must be a number from {least:g} to {most:g}"
            raise FlagError(found, where=path)
        fields[field] = int(value) if field == "least" else float(value)
    return GuardRule(control, **fields)


def add_arms(buckets: Iterable[Sums]) -> dict[str, Arm]:
    """Return the sums over buckets, by variant."""
    sums: dict[str, Arm] = {}
    for bucket in buckets:
        for variant, (n, bad) in bucket.items():
            held = sums.get(variant, Arm())
            sums[variant] = Arm(held.n + n, held.bad + bad)
    return sums


def judge(rule: GuardRule, arms: Mapping[str, Arm]) -> tuple[Verdict, ...]:
    """Return a verdict on each variant but the control, in the order of names.

    arms: sums of the whole fleet over the rule's window.
    """
    control = arms.get(rule.control, Arm())
    return tuple(
        _verdict(rule, variant, arms[variant], control)
        for variant in sorted(arms)
        if variant != rule.control
    )


def _verdict(rule: GuardRule, variant: str, arm: Arm, control: Arm) -> Verdict:
    if arm.n < rule.least or 0 < control.n < rule.least:
        least = min(arm.n, control.n) if control.n else arm.n
        text = f"no verdict: {least} of {rule.least}"
        return Verdict(variant, "none", arm, control, None, text)
    head = f"{variant}: {arm}"
    if not control.n:
        trips = arm.share >= rule.most
        text = f"{head}, no request with {rule.control}, limit {rule.most:.1%}"
        return Verdict(variant, "trip" if trips else "ok", arm, control, None, text)
    z = _z(arm, control)
    trips = (
        arm.share - control.share >= rule.diff
        and arm.share >= rule.ratio * control.share
        and z >= _LEAST_Z
    )
    text = f"{head}, {rule.control}: {control}, z {z:.1f}"
    return Verdict(variant, "trip" if trips else "ok", arm, control, z, text)


def _z(arm: Arm, control: Arm) -> float:
    """Return the pooled two-proportion z statistic; 0.0 where all are alike."""
    pooled = (arm.bad + control.bad) / (arm.n + control.n)
    error = sqrt(pooled * (1 - pooled) * (1 / arm.n + 1 / control.n))
    return (arm.share - control.share) / error if error else 0.0


def bucket_starts(now_ms: int, window_s: float, tick_ms: int) -> range:
    """Return the starts in ms of the buckets that reach into the window."""
    newest = now_ms - now_ms % tick_ms
    count = -(-int(window_s * 1000) // tick_ms)  # rounded up
    return range(newest - (count - 1) * tick_ms, newest + 1, tick_ms)


def judge_window(
    rule: GuardRule, buckets: Mapping[int, Sums], fresh_ms: int, now_ms: int
) -> tuple[Verdict, ...]:
    """Return the verdicts on a window's buckets: start in ms -> sums.

    fresh_ms: end of the last kill, 0 = none; what lies before does not count, and
    nothing is judged until a whole window has passed since.
    """
    arms = add_arms(sums for at_ms, sums in buckets.items() if at_ms >= fresh_ms)
    verdicts = judge(rule, arms)
    left_s = rule.window_s - (now_ms - fresh_ms) / 1000
    if not fresh_ms or left_s <= 0:
        return verdicts
    text = f"no verdict: {left_s:.0f} s of a fresh window to go"
    return tuple(
        msgspec.structs.replace(v, state="none", z=None, text=text) for v in verdicts
    )
