"""What nodes write and operators read: heartbeat, tick, flight.  All msgpack.

Route names travel inline: an interned table saves bytes but loses a reader that
joins late (see ARCHITECTURE, D-002).
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "BrownoutDef",
    "Definitions",
    "FlagDef",
    "Flight",
    "Frame",
    "GuardDef",
    "Heartbeat",
    "ModeDef",
    "ReadRoute",
    "ReadTick",
    "RouteTick",
    "SloDef",
    "Tick",
    "ToleranceDef",
    "VersionDef",
    "decode_definitions",
    "decode_flight",
    "decode_heartbeat",
    "decode_hist",
    "encode",
    "read_tick",
]

WIRE_VERSION = 1


class Heartbeat(msgspec.Struct, frozen=True, omit_defaults=True):
    """One node's sign of life, each 0.8 s and within 20 ms of an applied change.

    state: cold live stale rewound local.  age_ms: since the last proof that
    controls are current.  bad: targets this node cannot enforce, at most 20.
    """

    node: str
    host: str
    pid: int
    epoch: str
    rev: int
    state: str
    v: int = WIRE_VERSION
    age_ms: int = 0
    app: str = ""
    app_version: str = ""
    failsoft: str = ""
    started_ms: int = 0
    lag_ms: float = 0.0  # event-loop lag, worst of the last second
    rss_bytes: int = 0
    inflight: int = 0
    kills: int = 0
    bad: tuple[str, ...] = ()
    own_errors: int = 0
    own_error: str = ""  # newest internal error, one line
    bad_headers: dict[str, int] = {}  # malformed trace headers by name
    defs: str = ""  # digest of this node's `Definitions`
    lastgood: str = ""  # its file on disk: "" fine, temporary, none
    source: str = ""  # where its controls came from: redis file offer bootstrap
    digest: str = ""  # of its whole control set, hex: equal on one revision
    offer: str = ""  # while rewound: digest of the last good set it holds
    good_epoch: str = ""  # ... and the place of that set
    good_rev: int = 0
    abandoned_threads: int = 0  # that work for requests answered without them


class ModeDef(msgspec.Struct, frozen=True, array_like=True):
    """A defined or built-in mode.  scope: globs of `METHOD template` or `tag:name`.

    enter, leave, timing: of its trigger, in words.  recover: percent, step by step.
    """

    name: str
    title: str
    scope: tuple[str, ...]
    summary: str = ""  # what clients get, one line
    disables: tuple[str, ...] = ()  # flags it switches off
    severity: str = ""  # minor major critical
    actions: tuple[tuple[str, Any], ...] = ()  # see `modes.outlined`
    enter: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    timing: str = ""
    recover: tuple[int, ...] = (10, 25, 50, 100)
    public: bool = True
    drill_every_s: float = 30 * 86_400.0


class FlagDef(msgspec.Struct, frozen=True, array_like=True):
    """A flag as a release knows it.

    origin: `file`, `code` (failsoft.Flag), `settings` (flags.declare), or `asked`:
    undeclared, met in code.  default: JSON text, "" where only a file tells.
    expires: ISO date.  sha8: digest of the file's document, what an edit made over
    it remembers as metadata `x.over`.  doc: that document, "" beyond 512 KB in all.
    """

    key: str
    origin: str
    default: str = ""
    fail: str = ""
    owner: str = ""
    expires: str = ""
    sha8: str = ""
    doc: str = ""


class VersionDef(msgspec.Struct, frozen=True, array_like=True):
    """A declared version of the API, oldest first in `Definitions`.

    id: as clients name it.  deprecated, sunset: ISO dates, "" for none.  changes:
    what became different in it, as (op in words, routes that it reaches).
    after: past sunset `gone` refuses, `serve` only announces.
    """

    id: str
    deprecated: str = ""
    sunset: str = ""
    link: str = ""
    changes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    after: str = "gone"


class BrownoutDef(msgspec.Struct, frozen=True, array_like=True):
    """A declared brownout.  routes: globs.  versions: ids, empty for all.

    windows: (start ms, end ms), earliest first, at most 100.  percent: 0..100 of
    `by` request or consumer.  only, exempt: consumers.
    """

    name: str
    routes: tuple[str, ...] = ("* *",)
    versions: tuple[str, ...] = ()
    windows: tuple[tuple[int, int], ...] = ()
    percent: float = 100.0
    by: str = "request"
    status: int = 503
    only: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()


class SloDef(msgspec.Struct, frozen=True, array_like=True):
    """An objective in force.  objective: ratio of good answers.  latency_s: of them."""

    name: str
    objective: float
    latency_s: float | None = None
    routes: tuple[str, ...] = ()
    runbook: str = ""


class ToleranceDef(msgspec.Struct, frozen=True, array_like=True):
    """A declared tolerance.  route, consumer: globs, "" for all.

    path: as in `shapes.findings`.  kind: of repair.  value: what the kind needs.
    until: ISO date, from its UTC midnight it is over.
    """

    name: str
    route: str = "* *"
    consumer: str = ""
    path: str = ""
    kind: str = ""
    value: Any = None
    until: str = ""
    reason: str = ""
    owner: str = ""


class GuardDef(msgspec.Struct, frozen=True, array_like=True):
    """What is declared to protect one route; only those that declare any.

    fallback: name of what answers instead, "" for none.
    """

    route: str
    timeout_s: float | None = None
    fallback: str = ""
    stale_s: float | None = None


class Definitions(msgspec.Struct, frozen=True):
    """What a node's release declares; published once under its digest."""

    routes: tuple[tuple[str, str, tuple[str, ...]], ...] = ()  # key, criticality, tags
    flags: tuple[tuple[str, str], ...] = ()  # key, coded default as JSON text
    modes: tuple[ModeDef, ...] = ()
    flagdefs: tuple[FlagDef, ...] = ()
    kill_default_s: float = 3600.0  # how long a kill lasts unless said
    kill_most_s: float = 30 * 86_400.0
    evaluators: tuple[tuple[str, str], ...] = ()  # of flags files: name, JSON
    versions: tuple[VersionDef, ...] = ()  # oldest first, empty without a contract
    brownouts: tuple[BrownoutDef, ...] = ()
    pins: tuple[tuple[str, str], ...] = ()  # consumer, version id
    tolerances: tuple[ToleranceDef, ...] = ()
    handlings: tuple[tuple[str, str, str], ...] = ()  # handling, route, consumer
    version_default: str = ""  # oldest, newest, required or an id
    dependencies: tuple[str, ...] = ()  # names of those that are declared
    slos: tuple[SloDef, ...] = ()
    guards: tuple[GuardDef, ...] = ()
    spared: tuple[str, ...] = ()  # keys of routes that no mode touches


class RouteTick(msgspec.Struct, frozen=True, array_like=True):
    """Counters of one route in one second.

    n: requests the app answered or failed (refused ones are in `refused` only).
    errors: status >= 500 or an unhandled exception.  exceptions: the latter.
    gone: client disconnected before the answer was complete (499).
    hist: bucket -> count, see `_histogram`.
    """

    route: str
    n: int
    errors: int = 0
    exceptions: int = 0
    client_errors: int = 0  # 4xx
    gone: int = 0
    inflight_max: int = 0
    sent_bytes: int = 0
    hist: dict[int, int] = {}
    refused: dict[str, int] = {}  # reason -> count: kill maintenance read_only shed ...
    groups: dict[str, int] = {}  # error group id -> count
    degraded: int = 0  # of n: answered by what stood in for the application


class Tick(msgspec.Struct, frozen=True):
    """One node's counters for one interval of about a second.

    hist: of all routes together, so that readers need not add up a fleet's.
    """

    node: str
    seq: int
    interval_ms: int
    v: int = WIRE_VERSION
    routes: tuple[RouteTick, ...] = ()
    lost_ticks: int = 0
    lag_max_ms: float = 0.0
    flags: dict[str, dict[str, int]] = {}  # flag -> variant -> evaluations
    hist: dict[int, int] = {}


# Read by the thousand each second, and never part of a cycle: the collector, which
# would walk them, cost a reader more than decoding them (measured).
class ReadRoute(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `RouteTick` as operators read it: the histogram waits until it is asked for."""

    route: str
    n: int
    errors: int = 0
    exceptions: int = 0
    client_errors: int = 0
    gone: int = 0
    inflight_max: int = 0
    sent_bytes: int = 0
    hist: msgspec.Raw = msgspec.Raw(b"\x80")  # an empty map
    refused: dict[str, int] = {}
    groups: dict[str, int] = {}
    degraded: int = 0


class ReadTick(msgspec.Struct, frozen=True):
    """A `Tick` as operators read it."""

    node: str
    seq: int
    interval_ms: int
    routes: tuple[ReadRoute, ...] = ()
    lost_ticks: int = 0
    flags: dict[str, dict[str, int]] = {}
    hist: dict[int, int] = {}


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One frame of a stack, as data: no locals, ever."""

    file: str
    line: int
    function: str
    source: str = ""
    in_app: bool = True


class Flight(msgspec.Struct, frozen=True, omit_defaults=True):
    """One failed request, kept whole.  frames: newest first, at most 50.

    group: hash(route, exception type, top in-app frame, or status); see
    `_groups.group_id`.  message is cut at 512 characters and redacted.
    """

    id: str
    group: str
    route: str
    node: str
    at_ms: int
    status: int
    duration_us: int
    v: int = WIRE_VERSION
    exception: str = ""  # type name, "" when the app answered 5xx itself
    message: str = ""
    frames: tuple[Frame, ...] = ()
    causes: tuple[str, ...] = ()  # "Type: message" of __cause__/__context__
    trace_id: str = ""
    span_id: str = ""
    release: str = ""
    revision: int = 0
    consumer: str = ""
    modes: tuple[str, ...] = ()
    flags: tuple[tuple[str, str], ...] = ()
    after_start: bool = False  # raised after the response had started
    truncated: bool = False
    version: str = ""  # of the API, as negotiated
    drift: int = 0  # findings in its bodies
    after_deadline: bool = False  # answered for: it had run out of time


encode = msgspec.msgpack.Encoder().encode
decode_heartbeat = msgspec.msgpack.Decoder(Heartbeat).decode
read_tick = msgspec.msgpack.Decoder(ReadTick).decode
decode_hist = msgspec.msgpack.Decoder(dict[int, int]).decode
decode_flight = msgspec.msgpack.Decoder(Flight).decode
decode_definitions = msgspec.msgpack.Decoder(Definitions).decode
