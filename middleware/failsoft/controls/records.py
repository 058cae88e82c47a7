"""The documents operators write, by kind, and how a stored value becomes one.

Kinds live in one registry; a kind that is not in it is ignored and counted, so an
older node survives a newer writer.
"""

from __future__ import annotations

from typing import Any

import msgspec

from failsoft.store.protocols import KINDS, parse_value

__all__ = [
    "KINDS",
    "BreakerDoc",
    "BrownoutDoc",
    "DriftAckDoc",
    "KillDoc",
    "ModeDoc",
    "PinDoc",
    "Record",
    "SunsetDoc",
    "ToleranceDoc",
    "encode_doc",
    "parse_record",
]


class KillDoc(msgspec.Struct, frozen=True, omit_defaults=True):
    """A kill: name of the record = target (`route:POST /x*`, `tag:t`, `flag:k`).

    status 400..599.  retry_after in seconds, never beyond the remaining time.
    public: text for clients; `why` never leaves the operators.
    """

    who: str
    why: str
    v: int = 1
    variant: str | None = None
    status: int = 503
    retry_after: int | float = 30
    public: str | None = None
    group: str | None = None
    since_ms: int = 0


class ModeDoc(msgspec.Struct, frozen=True, omit_defaults=True):
    """A mode's activation; name of the record = name of the mode.

    want: on, off (forced, until the record ends) or auto.  via: operator, auto,
    schedule or drill.  share: of requests, 0..1, by caller.  step: of the recovery, 0
    = on.  latched: no automation ends it.  dry_run: only counted.  trigger: what
    entered it, in words.  exercised_ms: end of the last drill that went well, kept
    with `want` auto when nothing holds.  flips: entries and ends of 15 min.
    """

    who: str
    why: str
    v: int = 1
    params: dict[str, Any] = {}
    group: str | None = None
    since_ms: int = 0
    want: str = "on"
    via: str = "operator"
    share: float = 1.0
    step: int = 0
    latched: bool = False
    dry_run: bool = False
    trigger: str = ""
    exercised_ms: int = 0
    flips: tuple[int, ...] = ()


class BreakerDoc(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all nodes do with calls to a dependency; name of the record = its name.

    state: open, closed, metrics_only or probe.  via: operator or auto (the fleet's
    own decision).  since_ms: when calls were first refused.
    """

    who: str
    why: str
    state: str
    v: int = 1
    via: str = "operator"
    since_ms: int = 0
    group: str | None = None


class PinDoc(msgspec.Struct, frozen=True, omit_defaults=True):
    """A consumer's version; name of the record = the consumer as it names itself."""

    who: str
    why: str
    version: str
    v: int = 1
    since_ms: int = 0


class BrownoutDoc(msgspec.Struct, frozen=True, omit_defaults=True):
    """A brownout started by hand; name of the record = name of the brownout.

    routes: globs.  versions: ids, empty for all.  percent: 0..100 of `by` request
    or consumer.  only, exempt: consumers.  status 503, 410 or 429.  stop: ends the
    defined brownout of this name instead of starting one.
    """

    who: str
    why: str
    v: int = 1
    routes: tuple[str, ...] = ("* *",)
    versions: tuple[str, ...] = ()
    percent: float = 100.0
    by: str = "request"
    only: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    status: int = 503
    stop: bool = False
    since_ms: int = 0


class ToleranceDoc(msgspec.Struct, frozen=True, omit_defaults=True):
    """A named tolerance or a handling; name of the record = its name.

    route, consumer: globs and names, "" for all.  With `handling` it sets the level
    there; else it allows repairs of `kind` at `path`, with `value` what the kind
    needs (`from`, `value`, `to`).  stop: ends the declared one of this name.
    """

    who: str
    why: str
    v: int = 1
    route: str = "* *"
    consumer: str = ""
    path: str = ""
    kind: str = ""
    value: Any = None
    handling: str = ""
    owner: str = ""
    stop: bool = False
    since_ms: int = 0


class SunsetDoc(msgspec.Struct, frozen=True, omit_defaults=True):
    """A later sunset; name of the record = version id.  sunset: `2026-12-31`."""

    who: str
    why: str
    sunset: str
    v: int = 1
    since_ms: int = 0


class DriftAckDoc(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody knows of a drift entry; name of the record = its id."""

    who: str
    why: str
    v: int = 1
    since_ms: int = 0


DOCS: dict[str, type[msgspec.Struct]] = {
    "kill": KillDoc,
    "mode": ModeDoc,
    "breaker": BreakerDoc,
    "pin": PinDoc,
    "brownout": BrownoutDoc,
    "tolerance": ToleranceDoc,
    "version": SunsetDoc,
    "drift": DriftAckDoc,
}


# Left out of garbage collection: 10,000 of them, read at once, would start it, and
# that alone held up the loop for 17 ms.
class Record(msgspec.Struct, frozen=True, gc=False):
    """One control as stored: header numbers and the undecoded document."""

    kind: str
    name: str
    rev: int
    at_ms: int
    until_ms: int  # 0 = no end
    json: bytes

    def is_due(self, now_ms: float) -> bool:
        """Whether the record's end lies in the past of store time."""
        return 0 < self.until_ms <= now_ms

    def doc(self) -> Any:
        """Decode the document; raises msgspec.DecodeError on a bad one."""
        try:
            return msgspec.json.decode(self.json, type=DOCS.get(self.kind, dict))
        except (UnicodeError, RecursionError) as error:
            # What msgspec raises on bytes that are no text, and on very deep nesting.
            raise msgspec.DecodeError(f"{type(error).__name__}: {error}") from None


def parse_record(kind: str, name: str, raw: bytes) -> Record:
    """Build a `Record` from a stored value; ValueError on a broken header."""
    return Record(kind, name, *parse_value(raw))


def encode_doc(doc: msgspec.Struct) -> bytes:
    """Encode a document as the store keeps it."""
    return msgspec.json.encode(doc)
