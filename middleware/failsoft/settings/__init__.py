"""Settings: keyword arguments > environment > failsoft.toml, checked all at once.

Decides what a valid setting is and names every fault in one `DefinitionError`.
Leaves to others what a setting does.  Keys carry no unit: spans are text with a
unit in the file and the environment (`"250ms" "30s" "5m" "7d"`), seconds or such
text in Python.
"""

from failsoft.settings._dependency import DependencySettings, is_dependency
from failsoft.settings._endpoints import EndpointSettings
from failsoft.settings._readers import is_date, is_flag_key, mask_url, parse_span_s
from failsoft.settings._routes import RoutePolicy, RouteRules, read_declared
from failsoft.settings._shed import CriticalitySettings, Network, ShedSettings
from failsoft.settings._slo import (
    FASTEST_BURN,
    AlertSettings,
    SloDefinition,
    WebhookSettings,
    declared_slos,
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
    ModeDefinition,
    Settings,
    Shed,
    StaticAnswer,
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
    "CRITICALITIES",
    "FAIL_POLICIES",
    "FASTEST_BURN",
    "FIELD_OF",
    "HANDLINGS",
    "AlertSettings",
    "BrownoutDefinition",
    "ComponentSettings",
    "ConsumerSettings",
    "ContractSettings",
    "CriticalitySettings",
    "DependencySettings",
    "EndpointSettings",
    "FlagDeclaration",
    "FlagSettings",
    "HandlingRule",
    "KillSettings",
    "ModeDefinition",
    "Network",
    "RoutePolicy",
    "RouteRules",
    "Settings",
    "Shed",
    "ShedSettings",
    "SloDefinition",
    "StaticAnswer",
    "StatusSettings",
    "StoreSettings",
    "TelemetrySettings",
    "ToleranceDefinition",
    "ToleranceSettings",
    "TracingSettings",
    "VersionDefinition",
    "VersionsSettings",
    "WebhookSettings",
    "declared_slos",
    "is_date",
    "is_dependency",
    "is_flag_key",
    "load_settings",
    "mask_url",
    "parse_span_s",
    "read_declared",
]
