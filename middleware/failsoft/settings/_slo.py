"""`[slo.<name>]` and `[alerts]`: objectives of routes, and who is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from failsoft.settings._readers import (
    At,
    Fault,
    Reader,
    Span,
    one_of,
    read_fields,
    read_scope,
    read_text,
    suggest,
)
from failsoft.settings._routes import RoutePolicy

__all__ = [
    "ALERT_FIELDS",
    "FASTEST_BURN",
    "AlertSettings",
    "SloDefinition",
    "WebhookSettings",
    "declared_slos",
    "read_slo",
    "too_many_slos",
    "unknown_slos",
    "unset_variables",
]

# Of the rule `fast` (Google SRE Workbook, ch. 5): 2 % of 30 days' budget in an hour.
FASTEST_BURN = 14.4
_LEAST_OBJECTIVE = 1 - 1 / FASTEST_BURN
_MOST_SLOS = 50
_MOST_WEBHOOKS = 10
_SEVERITIES = ("page", "ticket", "info")
KINDS = (
    *("slo", "mode", "breaker", "quota", "health", "node", "redis", "revision"),
    *("record", "proposal", "webhook", "test"),
)


@dataclass(frozen=True, slots=True)
class SloDefinition:
    """What share of a scope's answers has to be good.

    routes: globs `METHOD /path*` or `tag:name`; routes may also name it themselves.
    objective: ratio in (0, 1).  latency_s: later answers are bad, None = any is in
    time; of the whole answer, of a WebSocket's handshake.  runbook: a URL.
    """

    routes: tuple[str, ...] = ()
    objective: float = 0.999
    latency_s: float | None = None
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Who is told of alerts by POST.

    url_env, secret_env: variables that hold the URL and the key of signatures, ""
    = unsigned.  severity, kinds: of alerts that go there, kinds empty = all.
    """

    name: str
    url_env: str
    secret_env: str = ""
    severity: tuple[str, ...] = ("page", "ticket")
    kinds: tuple[str, ...] = ()
    format: str = "json"


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """status_url: of the page for users, sent along with alerts; "" for none."""

    status_url: str = ""
    webhook: tuple[WebhookSettings, ...] = field(default_factory=tuple)


def unset_variables(alerts: AlertSettings, environ: Mapping[str, str]) -> list[str]:
    """Return a finding for each variable that a webhook needs and nobody set."""
    return [
        f"alerts.webhook {webhook.name!r} is told nothing: variable {name} is not set"
        for webhook in alerts.webhook
        for name in (webhook.url_env, webhook.secret_env)
        if name and not environ.get(name)
    ]


def declared_slos(slos: Mapping[str, SloDefinition]) -> dict[str, SloDefinition]:
    """Return the objectives that hold: without any, `all` with 99.9 % of all routes."""
    return dict(slos) or {"all": SloDefinition(("* *",))}


def unknown_slos(
    slos: Mapping[str, SloDefinition],
    routes: Mapping[str, RoutePolicy],
    defaults: RoutePolicy,
) -> list[str]:
    """Return findings on routes that name no declared SLO."""
    known = declared_slos(slos)
    named = {f"routes.{glob!r}": said.rules.slo for glob, said in routes.items()}
    named["defaults"] = defaults.rules.slo
    return [
        f"settings: {where}.slo = {name!r} is not declared; {suggest(name, known)}"
        for where, name in named.items()
        if name is not None and name not in known
    ]


def too_many_slos(slos: Mapping[str, SloDefinition]) -> list[str]:
    """Return a finding where there are more than each node could report a second."""
    if len(slos) <= _MOST_SLOS:
        return []
    return [f"settings: {len(slos)} SLOs are declared; keep to {_MOST_SLOS}"]


def read_slo(raw: object, at: At) -> SloDefinition:
    """Read the table of one SLO."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", at.key):
        todo = "write it in letters, digits and ._-, at most 64"
        raise Fault("is no name of an SLO", todo, shown=False)
    found = read_fields(raw, at, _SLO_FIELDS)
    if "latency" in found:
        found["latency_s"] = found.pop("latency")
    return SloDefinition(**found)


def _read_objective(raw: object, at: At) -> float:
    is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
    if not is_number or not 0 < raw < 1:  # type: ignore[operator]
        raise Fault("is no ratio between 0 and 1", "write 0.999 for 99.9 %")
    if raw < _LEAST_OBJECTIVE:  # type: ignore[operator]
        problem = (
            f"can never page: for the rule `fast` (burn {FASTEST_BURN}) more than all"
        )
        raise Fault(f"{problem} requests would have to fail", "write 0.9306 or more")
    return float(raw)  # type: ignore[arg-type]


def _read_variable(raw: object, at: At) -> str:
    name = read_text(raw, at)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name):
        # Whoever wrote the URL or the key itself must not find it in a log.
        todo = 'put the value into a variable and write its name, like "OPS_WEBHOOK"'
        raise Fault("is no name of an environment variable", todo, shown=False)
    return name


def _some_of(*choices: str) -> Reader:
    read_one = one_of(*choices)

    def read(raw: object, at: At) -> tuple[str, ...]:
        items = [raw] if isinstance(raw, str) else raw
        if not isinstance(items, list | tuple) or not items:
            raise Fault("must be a list", f'write ["{choices[0]}"]')
        return tuple(dict.fromkeys(read_one(item, at) for item in items))

    return read


def _read_webhooks(raw: object, at: At) -> tuple[WebhookSettings, ...]:
    if not isinstance(raw, list | tuple) or len(raw) > _MOST_WEBHOOKS:
        todo = f"write up to {_MOST_WEBHOOKS} tables [[alerts.webhook]]"
        raise Fault("must be a list of tables", todo, shown=False)
    found = []
    for number, item in enumerate(raw, 1):
        one = At(at.source, at.folder, at.findings, f"{at.label}[{number}]", at.key)
        webhook = one.read(_read_webhook, item)
        if webhook is not None:
            found.append(webhook)
    names = [webhook.name for webhook in found]
    if len(set(names)) < len(names):
        raise Fault("holds a name twice", "give each webhook its own", shown=False)
    return tuple(found)


def _read_webhook(raw: object, at: At) -> WebhookSettings | None:
    noted = len(at.findings)
    found = read_fields(raw, at, _WEBHOOK_FIELDS)
    missing = [key for key in ("name", "url_env") if key not in found]
    if missing and len(at.findings) == noted:
        todo = 'add name = "ops", url_env = "OPS_WEBHOOK_URL"'
        raise Fault(f"has no {' and no '.join(missing)}", todo, shown=False)
    return None if missing else WebhookSettings(**found)


_SLO_FIELDS: dict[str, Reader] = {
    "routes": read_scope,
    "objective": _read_objective,
    "latency": Span("1ms", "1h"),
    "runbook": read_text,
}
_WEBHOOK_FIELDS: dict[str, Reader] = {
    "name": read_text,
    "url_env": _read_variable,
    "secret_env": _read_variable,
    "severity": _some_of(*_SEVERITIES),
    "kinds": _some_of(*KINDS),
    "format": one_of("json", "slack", "alertmanager"),
}
ALERT_FIELDS: dict[str, Reader] = {
    "status_url": read_text,
    "webhook": _read_webhooks,
}
