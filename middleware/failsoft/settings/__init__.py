"""Settings: keyword arguments > environment > failsoft.toml, checked all at once.

Decides what a valid setting is and names every fault in one `DefinitionError`.
Leaves to others what a setting does.  Keys carry no unit: spans are text with a
unit in the file and the environment (`"250ms" "30s" "5m" "7d"`), seconds or such
text in Python.
"""

from failsoft.settings._deadline import DeadlineSettings, StaleSettings
from failsoft.settings._dependency import (
    BreakerSettings,
    DependencySettings,
    is_dependency,
)
from failsoft.settings._endpoints import EndpointSettings
from failsoft.settings._modes import (
    ANSWERING,
    RANGES,
    ModeDefinition,
    ModeTiming,
    Shed,
    StaticAnswer,
    Trigger,
)
from failsoft.settings._rate_limit import (
    RateLimitSettings,
    RatePart,
    is_rate,
    parse_rates,
)
from failsoft.settings._readers import (
    is_date,
    is_flag_key,
    mask_url,
    parse_span_s,
    suggest,
)
from failsoft.settings._routes import RoutePolicy, RouteRules, read_declared
from failsoft.settings._shed import CriticalitySettings, Network, ShedSettings
from failsoft.settings._slo import (
    FASTEST_BURN,
    AlertSettings,
    SloDefinition,
    WebhookSettings,
    declared_slos,
    unset_variables,
)
from failsoft.settings._sources import load_settings
from failsoft.settings._status import ComponentSettings, StatusSettings
from failsoft.settings._tolerance import (
    FIELD_OF,
    HANDLINGS,
    HandlingRule,
    ToleranceDefinition,
    ToleranceSettings,
)
from failsoft.settings._values import (
    ConsumerSettings,
    ContractSettings,
    FlagDeclaration,
    FlagSettings,
    KillSettings,
    Settings,
    StoreSettings,
    TelemetrySettings,
    TracingSettings,
)
from failsoft.settings._versions import (
    BrownoutDefinition,
    VersionDefinition,
    VersionsSettings,
)
from failsoft.settings._words import CRITICALITIES, FAIL_POLICIES

__all__ = [
    "ANSWERING",
    "CRITICALITIES",
    "FAIL_POLICIES",
    "FASTEST_BURN",
    "FIELD_OF",
    "HANDLINGS",
    "RANGES",
    "AlertSettings",
    "BreakerSettings",
    "BrownoutDefinition",
    "ComponentSettings",
    "ConsumerSettings",
    "ContractSettings",
    "CriticalitySettings",
    "DeadlineSettings",
    "DependencySettings",
    "EndpointSettings",
    "FlagDeclaration",
    "FlagSettings",
    "HandlingRule",
    "KillSettings",
    "ModeDefinition",
    "ModeTiming",
    "Network",
    "RateLimitSettings",
    "RatePart",
    "RoutePolicy",
    "RouteRules",
    "Settings",
    "Shed",
    "ShedSettings",
    "SloDefinition",
    "StaleSettings",
    "StaticAnswer",
    "StatusSettings",
    "StoreSettings",
    "TelemetrySettings",
    "ToleranceDefinition",
    "ToleranceSettings",
    "TracingSettings",
    "Trigger",
    "VersionDefinition",
    "VersionsSettings",
    "WebhookSettings",
    "declared_slos",
    "is_date",
    "is_dependency",
    "is_flag_key",
    "is_rate",
    "load_settings",
    "mask_url",
    "parse_rates",
    "parse_span_s",
    "read_declared",
    "suggest",
    "unset_variables",
]
