"""Every key of the settings and the reader of its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from failsoft.settings._dependency import read_dependency
from failsoft.settings._endpoints import ENDPOINT_FIELDS
from failsoft.settings._rate_limit import read_rate_limit
from failsoft.settings._readers import (
    At,
    Fault,
    Rate,
    Reader,
    Size,
    Span,
    is_flag_key,
    one_of,
    read_body,
    read_bool,
    read_date,
    read_env,
    read_fields,
    read_file,
    read_header_names,
    read_path,
    read_paths,
    read_scope,
    read_share,
    read_status,
    read_text,
    read_texts,
    read_url,
)
from failsoft.settings._routes import ROUTE_FIELDS, read_route
from failsoft.settings._status import STATUS_FIELDS, read_component
from failsoft.settings._shed import CRITICALITY_FIELDS, SHED_FIELDS
from failsoft.settings._slo import ALERT_FIELDS, read_slo
from failsoft.settings._tolerance import tolerance_fields
from failsoft.settings._values import (
    FlagDeclaration,
    ModeDefinition,
    Shed,
    StaticAnswer,
)
from failsoft.settings._versions import (
    VERSIONS_FIELDS,
    read_brownout,
    read_pin,
    read_version,
)
from failsoft.settings._words import CRITICALITIES, FAIL_POLICIES

__all__ = ["ENVIRONMENT", "SECTIONS"]


def _read_declarations(raw: object, at: At) -> dict[str, FlagDeclaration]:
    return read_fields(raw, at, _read_declaration)


def _read_declaration(raw: object, at: At) -> FlagDeclaration:
    readers = {
        "default": _read_default,
        "fail": one_of(*FAIL_POLICIES),
        "owner": read_text,
        "expires": read_date,
    }
    if not is_flag_key(at.key):
        todo = "write its key without blanks, in at most 200 characters"
        raise Fault("is no key of a flag", todo, shown=False)
    found = read_fields(raw, at, readers)
    _require(raw, default="false")
    return FlagDeclaration(found.pop("default", None), **found)


def _require(raw: object, **examples: str) -> None:
    missing = [key for key in examples if key not in (raw or ())]  # type: ignore[operator]
    if missing:
        example = ", ".join(f"{key} = {examples[key]}" for key in missing)
        raise Fault(f"has no {' and no '.join(missing)}", f"add {example}", shown=False)


def _read_default(raw: object, at: At) -> object:
    if isinstance(raw, bool | int | float | str | Mapping):
        return raw
    raise Fault("is no value of a flag", "write true, false, a number, text or table")


def _read_mode(raw: object, at: At) -> ModeDefinition:
    readers = {
        "title": read_text,
        "severity": one_of("minor", "major", "critical"),
        "routes": read_scope,
        "actions": _read_actions,
        "public": read_bool,
    }
    found = read_fields(raw, at, readers)
    _require(raw, title='"Shown to users"', actions="[{ shed = { share = 0.5 } }]")
    return ModeDefinition(found.pop("title", ""), **found)


def _read_actions(raw: object, at: At) -> tuple[tuple[str, Any], ...]:
    if not isinstance(raw, list | tuple) or not raw:
        raise Fault("must be a list of actions", "write [{ read_only = true }]")
    found: list[tuple[str, Any]] = []
    for action in raw:
        found += read_fields(action, at, _ACTIONS).items()
    return tuple(found)


def _read_consumer_headers(raw: object, at: At) -> tuple[str, ...]:
    is_one = isinstance(raw, str) and at.source != "environment"
    return read_header_names([raw] if is_one else raw, at)


def _read_true(raw: object, at: At) -> bool:
    if not read_bool(raw, at):
        raise Fault("does nothing", "write true, or drop the action")
    return True


def _read_static(raw: object, at: At) -> StaticAnswer:
    readers = {
        "body": read_body,
        "file": read_file,
        "media_type": read_text,
        "status": read_status,
    }
    found = read_fields(raw, at, readers)
    given = [key for key in ("body", "file") if key in raw]  # type: ignore[operator]
    if len(given) != 1:
        raise Fault("must have either body or file", 'write { body = "text" }')
    return StaticAnswer(found.pop(given[0], b""), **found)


def _read_shed(raw: object, at: At) -> Shed:
    readers = {"share": read_share, "class": one_of(*CRITICALITIES)}
    found = read_fields(raw, at, readers)
    if not raw:
        raise Fault("says neither share nor class", "write { share = 0.25 }")
    return Shed(found.get("share", 1.0), found.get("class"))


_ACTIONS: dict[str, Reader] = {
    "read_only": _read_true,
    "maintenance": read_text,
    "static": _read_static,
    "shed": _read_shed,
    "disable": read_texts,
    "banner": read_text,
}

# A section maps its keys to readers; one reader alone reads entries of any name.
SECTIONS: dict[str, dict[str, Reader] | Reader] = {
    "store": {
        "url": read_url,
        "automation_url": read_url,
        "limits_url": read_url,
        "env": read_env,
        "state_dir": read_path,
        "bootstrap": read_path,
        "require": read_bool,
        "rewind": one_of("hold", "accept"),
        "block": Span("100ms", "60s"),
        "beat": Span("100ms", "2s"),  # operators call a node silent after 3 s
        "stale_after": Span("200ms", "1h"),
        "start_deadline": Span("0s", "30s"),
    },
    "flags": {
        "declare": _read_declarations,
        "files": read_paths,
        "default_fail": one_of(*FAIL_POLICIES),
        "max_stale": Span("1s", "30d"),
        "undeclared": one_of("count", "refuse"),
        "span_events": read_bool,
    },
    "kill": {"default_ttl": Span("10s", "30d"), "max_ttl": Span("10s", "30d")},
    "tracing": {"request_id": read_bool, "traceresponse": read_bool},
    "telemetry": {"app": read_text, "release": read_text},
    "consumer": {"header": _read_consumer_headers},
    "contracts": {
        "inline_max": Size("1KiB", "64MiB"),
        "body_max": Size("1KiB", "1GiB"),
        "buffer_total": Size("64KiB", "16GiB"),
        "gate_full_max": Size("0B", "64MiB"),
        "gate_sampled_max": Size("0B", "64MiB"),
        "gate_sample": Rate(0, 1),
        "walks_per_s": Rate(0, 10_000),
        "route_walks_per_s": Rate(0, 10_000),
        "signed_headers": read_header_names,
    },
    "tolerance": tolerance_fields,
    "endpoints": ENDPOINT_FIELDS,
    "status": STATUS_FIELDS,
    "component": read_component,
    "routes": read_route,
    "defaults": ROUTE_FIELDS,
    "dependency": read_dependency,
    "rate_limit": read_rate_limit,
    "mode": _read_mode,
    "version": read_version,
    "versions": VERSIONS_FIELDS,
    "brownout": read_brownout,
    "pins": read_pin,
    "modes": {"never": read_scope},
    "slo": read_slo,
    "alerts": ALERT_FIELDS,
    "shed": SHED_FIELDS,
    "criticality": CRITICALITY_FIELDS,
}

# The two that every deployment sets have short names; tables have none.
_SHORT = {("store", "url"): "FAILSOFT_REDIS_URL", ("store", "env"): "FAILSOFT_ENV"}
ENVIRONMENT: dict[str, tuple[str, str, Reader]] = {
    _SHORT.get((section, key), f"FAILSOFT_{section}_{key}".upper()): (
        section,
        key,
        read,
    )
    for section, keys in SECTIONS.items()
    if isinstance(keys, dict)
    for key, read in keys.items()
    if key not in ("declare", "allow", "handlings", "read", "webhook")
}
