"""When versions and routes end, and how that is announced.

Pure: instants are passed in, in Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import NamedTuple

from failsoft.clock import utc_date
from failsoft.versions._model import Contract, Deprecate, Version
from failsoft.versions._windows import FOREVER_S, date_s

__all__ = [
    "WARN_DAYS",
    "Lifecycle",
    "Notice",
    "announce",
    "earliest",
    "lifecycle_of",
    "lifecycles_of",
    "notices_of",
    "warning_due",
]

WARN_DAYS = (30, 7, 1)
_DAY_S = 86_400
Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """When something is deprecated and ends, in Unix seconds, None for never.

    is_gone: after the end it is refused, else only announced.  links: what a client
    should read, none twice.
    """

    deprecated_s: int | None = None
    sunset_s: int | None = None
    links: tuple[str, ...] = ()
    is_gone: bool = True

    @property
    def ends_s(self) -> float:
        """From when on it is refused; infinite for never."""
        is_ending = self.sunset_s is not None and self.is_gone
        return float(self.sunset_s or 0) if is_ending else FOREVER_S


def lifecycle_of(declared: Version | Deprecate, sunset: str = "") -> Lifecycle:
    """Return the lifecycle of a version or of one deprecated route.

    sunset: a later date that operators set, "" for none; ValueError when it is no
    date, or not later.
    """
    since = declared.deprecated if isinstance(declared, Version) else declared.since
    made = Lifecycle(
        date_s(since) if since else None,
        date_s(declared.sunset) if declared.sunset else None,
        (declared.link,) if declared.link else (),
        declared.after == "gone",
    )
    if not sunset:
        return made
    later_s = date_s(sunset)
    if made.sunset_s is not None and later_s < made.sunset_s:
        raise ValueError(f"{sunset} is before the declared sunset {declared.sunset}")
    return replace(made, sunset_s=later_s)


def earliest(one: Lifecycle, two: Lifecycle) -> Lifecycle:
    """Return what is announced of a version and a route: the earlier of each date."""
    return Lifecycle(
        _least(one.deprecated_s, two.deprecated_s),
        _least(one.sunset_s, two.sunset_s),
        tuple(dict.fromkeys((*one.links, *two.links))),
        one.is_gone,
    )


def _least(one: int | None, two: int | None) -> int | None:
    return two if one is None else one if two is None else min(one, two)


def announce(life: Lifecycle, successor: str = "") -> Pairs:
    """Return the header lines of a lifecycle.

    successor: link of the version to go to.  Sources: RFC 9745 (Deprecation is a
    structured date), RFC 8594 (Sunset is an HTTP-date), RFC 8288, RFC 5829.
    """
    lines: list[tuple[bytes, bytes]] = []
    rels = []
    if life.deprecated_s is not None:
        lines.append((b"deprecation", b"@%d" % life.deprecated_s))
        rels.append("deprecation")
    if life.sunset_s is not None:
        lines.append((b"sunset", formatdate(life.sunset_s, usegmt=True).encode()))
        rels.append("sunset")
    lines += [_link(link, rel) for link in life.links for rel in rels]
    if rels and successor:
        lines.append(_link(successor, "successor-version"))
    return tuple(lines)


def _link(target: str, rel: str) -> tuple[bytes, bytes]:
    # A bracket or a blank would end the target (RFC 3986, 2).
    clean = "".join(c for c in target if c not in '<>"\\' and 32 < ord(c) < 127)
    return b"link", f'<{clean}>; rel="{rel}"'.encode()


class Notice(NamedTuple):
    """An end that comes.  what: version id or `METHOD template`.  days: at most left.

    sunset: as an ISO date.  after: gone or serve.
    """

    what: str
    days: int
    sunset: str
    after: str


def notices_of(lives: Mapping[str, Lifecycle], now_s: float) -> tuple[Notice, ...]:
    """Return the ends that are 30, 7 or 1 days away, at most."""
    found = []
    for what, life in lives.items():
        if life.sunset_s is None:
            continue
        if (days := warning_due(life.sunset_s, now_s)) is not None:
            after = "gone" if life.is_gone else "serve"
            found.append(Notice(what, days, utc_date(life.sunset_s), after))
    return tuple(found)


def warning_due(sunset_s: float, now_s: float) -> int | None:
    """Return 30, 7 or 1 when at most that many days are left, None before and after."""
    left_s = sunset_s - now_s
    due = [days for days in WARN_DAYS if 0 < left_s <= days * _DAY_S]
    return due[-1] if due else None


def lifecycles_of(
    contract: Contract, sunsets: Mapping[str, str]
) -> tuple[dict[str, Lifecycle], list[str]]:
    """Return the lifecycle of each version, and the sunsets that are no use.

    sunsets: later dates by version, as operators set them.
    """
    bad = [f"version:{name}" for name in sunsets if name not in _ids(contract)]
    found = {}
    for version in contract.versions:
        try:
            found[version.id] = lifecycle_of(version, sunsets.get(version.id, ""))
        except ValueError:
            bad.append(f"version:{version.id}")
            found[version.id] = lifecycle_of(version)
    return found, bad


def _ids(contract: Contract) -> set[str]:
    return {version.id for version in contract.versions}
