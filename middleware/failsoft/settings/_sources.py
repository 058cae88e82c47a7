"""Where settings come from, which source wins, and what contradicts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from failsoft.errors import DefinitionError
from failsoft.settings._deadline import DeadlineSettings, StaleSettings
from failsoft.settings._endpoints import EndpointSettings
from failsoft.settings._health import HealthSettings
from failsoft.settings._keys import ENVIRONMENT, SECTIONS
from failsoft.settings._modes import mode_findings
from failsoft.settings._rate_limit import unknown_limits
from failsoft.settings._readers import ABSENT, At, Reader, Size, Span, read_fields
from failsoft.settings._routes import policy_of
from failsoft.settings._shed import CriticalitySettings, ShedSettings
from failsoft.settings._slo import AlertSettings, too_many_slos, unknown_slos
from failsoft.settings._status import StatusSettings
from failsoft.settings._tolerance import ToleranceSettings
from failsoft.settings._values import (
    ConsumerSettings,
    ContractSettings,
    FlagSettings,
    KillSettings,
    Settings,
    StoreSettings,
    TelemetrySettings,
    TracingSettings,
)
from failsoft.settings._versions import ROWS, VersionsSettings, rows_by_name

__all__ = ["load_settings"]

# Read by the CLI, the terminal UI, the demo and the test tooling.
_OTHERS = re.compile(
    r"FAILSOFT_(CONFIG|APP|CONTEXT|TUI_CONFIG|AUDIT_LOG|NO_APT|REQUIRE_REDIS"
    r"|TEST_.*|DEMO_.*)"
)
_SHORT = {"redis_url": "url", "env": "env"}

_Values = dict[tuple[str, str], Any]  # (section, key) -> value


def load_settings(
    overrides: Mapping[str, Any], environ: Mapping[str, str], cwd: Path
) -> Settings:
    """Return the settings of this process; `overrides` are keyword arguments.

    overrides: `redis_url`, `env`, `config` (path of the file), a section as a dict
    (`store={"beat": 0.5}`) or one key (`{"store.beat": 0.5}`); None = not given.
    environ: empty values count as not given.  The file is `config`, else
    FAILSOFT_CONFIG, else failsoft.toml in `cwd` when there is one.
    Raises DefinitionError with every finding.
    """
    findings: list[str] = []
    values: _Values = {}
    for source in (
        _from_file(_config_path(overrides, environ, cwd), findings),
        _from_environment(environ, At("environment", cwd, findings)),
        _from_arguments(overrides, At("arguments", cwd, findings)),
    ):
        _merge(values, source)
    settings = _build(values)
    findings += _contradictions(settings)
    if findings:
        raise DefinitionError(findings)
    return settings


def _config_path(
    overrides: Mapping[str, Any], environ: Mapping[str, str], cwd: Path
) -> Path | None:
    named = overrides.get("config") or environ.get("FAILSOFT_CONFIG")
    default = cwd / "failsoft.toml"
    if named:
        return cwd / named
    return default if default.is_file() else None


def _from_file(path: Path | None, findings: list[str]) -> _Values:
    if path is None:
        return {}
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        todo = "create it, or correct config or FAILSOFT_CONFIG"
        findings.append(f"{path}: cannot be read ({error.strerror}); {todo}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        findings.append(f"{path.name}: is no valid TOML: {error}; correct it")
    else:
        return _from_tree(tree, At(path.name, path.parent, findings))
    return {}


def _from_tree(tree: Mapping[str, Any], at: At) -> _Values:
    values: _Values = {}
    for section, body in tree.items():
        readers = SECTIONS.get(section)
        if readers is None:
            at.unknown(section, SECTIONS)
            continue
        reader = partial(_read_section, section, readers)
        found = at.child(section).read(reader, body, {})
        values |= {(section, key): value for key, value in found.items()}
    return values


def _read_section(
    section: str, readers: Mapping[str, Reader] | Reader, body: object, at: At
) -> dict[str, Any]:
    if section in ROWS:
        body = rows_by_name(body, at, ROWS[section])
    return read_fields(body, at, readers)


def _from_environment(environ: Mapping[str, str], at: At) -> _Values:
    values: _Values = {}
    for name in sorted(environ):
        if not name.startswith("FAILSOFT_") or _OTHERS.fullmatch(name):
            continue
        if name not in ENVIRONMENT:
            at.unknown(name, ENVIRONMENT)
        elif environ[name]:
            section, key, reader = ENVIRONMENT[name]
            values[section, key] = at.child(name).read(reader, environ[name], ABSENT)
    return values


def _from_arguments(overrides: Mapping[str, Any], at: At) -> _Values:
    values: _Values = {}
    for name, raw in overrides.items():
        section, dot, key = name.partition(".")
        if raw is None or name == "config":
            continue
        if name in _SHORT:
            tree = {"store": {_SHORT[name]: raw}}
        elif section not in SECTIONS:
            at.unknown(name, {*SECTIONS, *_SHORT, "config"})
            continue
        else:
            tree = {section: {key: raw} if dot else raw}
        _merge(values, _from_tree(tree, at))
    return values


def _merge(values: _Values, over: _Values) -> None:
    """Let `over` win; tables of named entries are joined by name."""
    for path, value in over.items():
        if isinstance(value, dict) and isinstance(values.get(path), dict):
            values[path] = {**values[path], **value}
        elif value is not ABSENT:
            values[path] = value


def _build(values: _Values) -> Settings:
    flags = _part(values, "flags")
    return Settings(
        store=StoreSettings(**_part(values, "store")),
        flags=FlagSettings(
            MappingProxyType(flags.pop("declare", {})),
            **flags,
        ),
        kill=KillSettings(**_part(values, "kill")),
        tracing=TracingSettings(**_part(values, "tracing")),
        consumer=ConsumerSettings(**_part(values, "consumer")),
        telemetry=TelemetrySettings(**_part(values, "telemetry")),
        contracts=ContractSettings(**_part(values, "contracts")),
        shed=ShedSettings(**_part(values, "shed")),
        criticality=CriticalitySettings(**_part(values, "criticality")),
        tolerance=ToleranceSettings(**_part(values, "tolerance")),
        deadline=DeadlineSettings(**_part(values, "deadline")),
        stale=StaleSettings(**_part(values, "stale")),
        endpoints=EndpointSettings(**_part(values, "endpoints")),
        health=HealthSettings(**_part(values, "health")),
        status=StatusSettings(**_part(values, "status")),
        components=MappingProxyType(_part(values, "component")),
        routes=MappingProxyType(_part(values, "routes")),
        defaults=policy_of(
            {
                key: value
                for (owner, key), value in values.items()
                if owner == "defaults"
            }
        ),
        modes=MappingProxyType(_part(values, "mode")),
        never=values.get(("modes", "never"), ()),
        versions=VersionsSettings(
            *(
                MappingProxyType(_part(values, section))
                for section in ("version", "brownout", "pins", "versions")
            )
        ),
        dependencies=MappingProxyType(_part(values, "dependency")),
        slos=MappingProxyType(_part(values, "slo")),
        alerts=AlertSettings(**_part(values, "alerts")),
        rate_limits=MappingProxyType(_part(values, "rate_limit")),
    )


def _part(values: _Values, section: str) -> dict[str, Any]:
    readers = SECTIONS[section]
    units = {Span: "_s", Size: "_bytes"}
    suffixes = {
        key: units.get(type(reader), "")
        for key, reader in (readers.items() if isinstance(readers, dict) else ())
    }
    return {
        f"{key}{suffixes.get(key, '')}": value
        for (owner, key), value in values.items()
        if owner == section
    }


def _contradictions(settings: Settings) -> list[str]:
    """Return what is wrong between settings that are fine one by one."""
    store = settings.store
    findings = []
    if settings.kill.default_ttl_s > settings.kill.max_ttl_s:
        findings.append(
            f"settings: kill.default_ttl = {settings.kill.default_ttl_s:g}s is longer "
            f"than kill.max_ttl = {settings.kill.max_ttl_s:g}s; lower the former"
        )
    if store.stale_after_s <= store.beat_s:
        findings.append(
            f"settings: store.stale_after = {store.stale_after_s:g}s is not longer "
            f"than store.beat = {store.beat_s:g}s; a node would always look stale"
        )
    known = dict.fromkeys(("breaker", "quota"), tuple(settings.dependencies))
    known["burn"] = tuple(settings.slos) or ("all",)
    findings += mode_findings(settings.modes, settings.never, known)
    findings += unknown_slos(settings.slos, settings.routes, settings.defaults)
    findings += too_many_slos(settings.slos)
    said = [(f'settings: routes."{g}"', p.rules) for g, p in settings.routes.items()]
    said.append(("settings: defaults", settings.defaults.rules))
    places = [(place, rules.rate_limit) for place, rules in said]
    return findings + unknown_limits(places, settings.rate_limits)
