"""The settings as value objects: what they mean, with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from failsoft.settings._deadline import DeadlineSettings, StaleSettings
from failsoft.settings._dependency import DependencySettings
from failsoft.settings._endpoints import EndpointSettings
from failsoft.settings._health import HealthSettings
from failsoft.settings._modes import ModeDefinition
from failsoft.settings._rate_limit import RateLimitSettings
from failsoft.settings._routes import RoutePolicy
from failsoft.settings._shed import CriticalitySettings, ShedSettings
from failsoft.settings._slo import AlertSettings, SloDefinition
from failsoft.settings._status import ComponentSettings, StatusSettings
from failsoft.settings._tolerance import ToleranceSettings
from failsoft.settings._versions import VersionsSettings


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The control store.  url: "" = memory of this process.  Spans in seconds.

    automation_url: login that may write controls, for guards; "" = url.
    limits_url: where limits of clients are counted, "" = url.
    state_dir: folder of the last-known-good files, "" = the user's.  bootstrap: file
    of `failsoft store export`, for a first start without the store.  require: do
    not start with no controls at all.
    """

    url: str = ""
    automation_url: str = ""
    limits_url: str = ""
    env: str = "default"
    state_dir: str = ""
    bootstrap: str = ""
    require: bool = False
    rewind: Literal["hold", "accept"] = "hold"
    block_s: float = 2.0
    beat_s: float = 0.8
    stale_after_s: float = 4.5
    start_deadline_s: float = 0.3


@dataclass(frozen=True, slots=True)
class FlagDeclaration:
    """A flag as developers declare it.

    fail: last_known, default, off, refuse, or "" = as elsewhere.  expires: ISO date
    or "".
    """

    default: Any
    fail: str = ""
    owner: str = ""
    expires: str = ""


@dataclass(frozen=True, slots=True)
class FlagSettings:
    """What flags do where controls and files say nothing.

    declare: by key.  files: paths of flagd documents, later ones win.  default_fail
    and max_stale_s: of flags that say nothing else.
    """

    declare: Mapping[str, FlagDeclaration] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    default_fail: str = "last_known"
    max_stale_s: float = 3600.0
    undeclared: Literal["count", "refuse"] = "count"
    span_events: bool = False


@dataclass(frozen=True, slots=True)
class KillSettings:
    """How long kills last: unless the operator says so, and at most."""

    default_ttl_s: float = 3600.0
    max_ttl_s: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Headers of the answer: X-Request-ID, traceresponse."""

    request_id: bool = False
    traceresponse: bool = True


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Who reports.  release: the application's version, as `service.version`."""

    app: str = ""
    release: str = ""


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """How callers are told apart.  header: of an app id, lower case, first wins."""

    header: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContractSettings:
    """What work on bodies may cost; beyond it bodies pass unread, or are refused.

    inline_max: longer ones are worked on in a thread.  body_max: of one body, what
    is transformed or watched at all.  buffer_total: held by one process at a time.
    gate_full_max: longer bodies are checked for drift only by sample, a share of
    gate_sample, up to gate_sampled_max.  walks_per_s, route_walks_per_s: bodies
    listed in full, of the process and of one route.  signed_headers: lower case,
    mark a body that is signed besides the known names.
    """

    inline_max_bytes: int = 256 * 1024
    body_max_bytes: int = 8 * 1024 * 1024
    buffer_total_bytes: int = 64 * 1024 * 1024
    gate_full_max_bytes: int = 16 * 1024
    gate_sampled_max_bytes: int = 1024 * 1024
    gate_sample: float = 0.1
    walks_per_s: float = 200.0
    route_walks_per_s: float = 20.0
    signed_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything one process is configured by; `never`: globs no mode touches.

    defaults: of every route that says nothing else.  dependencies: third parties by
    name.
    """

    store: StoreSettings = StoreSettings()
    flags: FlagSettings = FlagSettings()
    kill: KillSettings = KillSettings()
    tracing: TracingSettings = TracingSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    contracts: ContractSettings = ContractSettings()
    consumer: ConsumerSettings = ConsumerSettings()
    shed: ShedSettings = field(default_factory=ShedSettings)
    criticality: CriticalitySettings = field(default_factory=CriticalitySettings)
    tolerance: ToleranceSettings = field(default_factory=ToleranceSettings)
    endpoints: EndpointSettings = field(default_factory=EndpointSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    status: StatusSettings = field(default_factory=StatusSettings)
    components: Mapping[str, ComponentSettings] = field(default_factory=dict)
    routes: Mapping[str, RoutePolicy] = field(default_factory=dict)
    defaults: RoutePolicy = field(default_factory=RoutePolicy)
    modes: Mapping[str, ModeDefinition] = field(default_factory=dict)
    never: tuple[str, ...] = ()
    dependencies: Mapping[str, DependencySettings] = field(default_factory=dict)
    versions: VersionsSettings = field(default_factory=VersionsSettings)
    slos: Mapping[str, SloDefinition] = field(default_factory=dict)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    rate_limits: Mapping[str, RateLimitSettings] = field(default_factory=dict)
    deadline: DeadlineSettings = field(default_factory=DeadlineSettings)
    stale: StaleSettings = field(default_factory=StaleSettings)
