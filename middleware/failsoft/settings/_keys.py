"""Every key of the settings and the reader of its value."""

from __future__ import annotations

from collections.abc import Mapping

from failsoft.settings._deadline import DEADLINE_FIELDS, STALE_FIELDS
from failsoft.settings._dependency import read_dependency
from failsoft.settings._endpoints import ENDPOINT_FIELDS
from failsoft.settings._health import HEALTH_FIELDS
from failsoft.settings._modes import MODES_FIELDS, read_mode
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
    read_bool,
    read_date,
    read_env,
    read_fields,
    read_header_names,
    read_path,
    read_paths,
    read_text,
    read_url,
    require,
)
from failsoft.settings._routes import ROUTE_FIELDS, read_route
from failsoft.settings._shed import CRITICALITY_FIELDS, SHED_FIELDS
from failsoft.settings._slo import ALERT_FIELDS, read_slo
from failsoft.settings._status import STATUS_FIELDS, read_component
from failsoft.settings._tolerance import tolerance_fields
from failsoft.settings._values import FlagDeclaration
from failsoft.settings._versions import (
    VERSIONS_FIELDS,
    read_brownout,
    read_pin,
    read_version,
)
from failsoft.settings._words import FAIL_POLICIES

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
    require(raw, default="false")
    return FlagDeclaration(found.pop("default", None), **found)


def _read_default(raw: object, at: At) -> object:
    if isinstance(raw, bool | int | float | str | Mapping):
        return raw
    raise Fault("is no value of a flag", "write true, false, a number, text or table")


def _read_consumer_headers(raw: object, at: At) -> tuple[str, ...]:
    is_one = isinstance(raw, str) and at.source != "environment"
    return read_header_names([raw] if is_one else raw, at)


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
    "health": HEALTH_FIELDS,
    "status": STATUS_FIELDS,
    "component": read_component,
    "routes": read_route,
    "defaults": ROUTE_FIELDS,
    "deadline": DEADLINE_FIELDS,
    "stale": STALE_FIELDS,
    "dependency": read_dependency,
    "rate_limit": read_rate_limit,
    "mode": read_mode,
    "version": read_version,
    "versions": VERSIONS_FIELDS,
    "brownout": read_brownout,
    "pins": read_pin,
    "modes": MODES_FIELDS,
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
