"""`failsoft slo list|show` and `failsoft alerts list|test`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from failsoft import clock
from failsoft.cli._answers import ERROR, OK, answer, plain, table
from failsoft.cli._ledgers import Picture, ago, read_ledgers
from failsoft.cli._session import add_store
from failsoft.errors import Invalid
from failsoft.ops.fleetrows import AlertRow, BurnRow, SloRow
from failsoft.ops.stale import span
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView
from failsoft.settings import Settings, WebhookSettings, load_settings
from failsoft.slo._alert import AlertState, Tell
from failsoft.slo._format import document_of, encoded
from failsoft.slo._notify import Unsent, post

__all__ = ["add_arguments", "main"]

_SLO_HEADS = ("SLO", "GOAL", "BUDGET", "ENDS IN", "BURN 1H", "AUTO", "BAD", "WORST")
_ALERT_HEADS = ("ALERT", "SEVERITY", "STATE", "SINCE", "TOLD", "WHAT")
_RANK = ("firing", "frozen", "pending")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb that the parser is for takes."""
    verb = parser.prog.removeprefix("failsoft ")
    parser.set_defaults(verb=verb)
    if verb == "alerts test":
        parser.add_argument("--settings", metavar="FILE", help="a failsoft.toml")
        parser.add_argument("--webhook", metavar="NAME", help="only this one")
        parser.add_argument("--json", action="store_true", help="one JSON object")
        return
    if verb == "slo show":
        parser.add_argument("name", metavar="SLO")
    add_store(parser)
    if verb.endswith(" list"):
        parser.add_argument("--watch", action="store_true", help="again each 5 s")


def main(values: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    if values.verb == "alerts test":
        return _test(values)
    if values.verb == "alerts list":
        return read_ledgers(values, (), _alerts)
    if values.verb == "slo list":
        return read_ledgers(values, ("slo",), _slos)
    return read_ledgers(values, ("slo",), lambda view: _slo(view, values.name))


# --- objectives ---------------------------------------------------------------


def _rows(view: FleetView) -> tuple[SloRow, ...]:
    return view.slo.rows if view.slo is not None else ()


def _slos(view: FleetView) -> Picture:
    rows = _rows(view)
    text = "no live node counts an SLO"
    if rows:
        text = table(_SLO_HEADS, [_slo_cells(row, view) for row in rows])
    return {"slos": plain(rows)}, text


def _slo_cells(row: SloRow, view: FleetView) -> tuple[str, ...]:
    left = "-" if row.budget_left is None else f"{row.budget_left:.1%}"
    ends = "-" if row.ends_s is None else span(row.ends_s)
    auto = "-" if row.auto is None else f"{row.auto:.1%} of {row.auto_limit:.0%}"
    bad = f"{row.bad + row.refused:,} of {row.total:,}"
    return (
        *(row.name, f"{100 * row.objective:g}%", left, ends, _times(row.burn)),
        *(auto, bad, _worst(row, view)),
    )


def _times(burn: float | None) -> str:
    return "-" if burn is None else f"{burn:.1f}x"


def _worst(row: SloRow, view: FleetView) -> str:
    if row.silent_ms:
        return f"no data since {ago(row.silent_ms, view)}"
    for state in _RANK:
        for one in row.rules:
            if one.state == state:
                return f"{one.rule} {state} for {ago(one.since_ms, view)}"
    return "ok" if row.total else "no request yet"


def _slo(view: FleetView, name: str) -> Picture:
    row = next((row for row in _rows(view) if row.name == name), None)
    if row is None:
        known = ", ".join(safe(row.name) for row in _rows(view)) or "none"
        raise Invalid("SLO", f"{safe(name)!r} is not known; known: {known}")
    within = f" within {1000 * row.latency_s:g} ms" if row.latency_s else ""
    facts = {
        "goal": f"{100 * row.objective:g}% good{within}",
        "routes": ", ".join(row.routes) or "all",
        "30 days": f"{row.total:,} requests, {row.bad:,} bad, {row.refused:,} refused",
        "budget": _budget(row),
        "modes": _auto(row),
    }
    lines = [f"slo {safe(row.name)}: {safe(_worst(row, view))}"]
    lines += [f"  {key:<8} {safe(text, 400)}" for key, text in facts.items()]
    heads = ("RULE", "LIMIT", "LONG", "SHORT", "SEVERITY", "STATE")
    rules = table(heads, [_rule_cells(one, view) for one in row.rules])
    return {"slo": plain(row)}, "\n".join([*lines, rules])


def _budget(row: SloRow) -> str:
    if row.budget_left is None:
        return "no request in 30 days"
    ends = f", spent in {span(row.ends_s)}" if row.ends_s is not None else ""
    return f"{row.budget_left:.1%} left, burning {_times(row.burn)}{ends}"


def _auto(row: SloRow) -> str:
    seen = "nobody reports" if row.auto is None else f"{row.auto:.1%} bad in 60 s"
    return f"{seen}; burn triggers from {row.auto_limit:.1%}, refusals left out"


def _rule_cells(one: BurnRow, view: FleetView) -> tuple[str, ...]:
    burns = [f"{_times(burn)} of {window}" for window, burn in one.burns]
    since = f" for {ago(one.since_ms, view)}" if one.since_ms else ""
    return (one.rule, f"{one.limit:g}x", *burns, one.severity, f"{one.state}{since}")


# --- alerts -------------------------------------------------------------------


def _alerts(view: FleetView) -> Picture:
    rows = [_alert_cells(row, view) for row in view.alerts]
    text = table(_ALERT_HEADS, rows) if rows else "no alert"
    return {"alerts": plain(view.alerts)}, text


def _alert_cells(row: AlertRow, view: FleetView) -> tuple[str, ...]:
    state = row.state
    if row.frozen_ms:
        state = f"no data for {ago(row.frozen_ms, view)}"
    told = f"{ago(row.told_ms, view)} ago" if row.told_ms else "-"
    return row.id, row.severity, state, ago(row.since_ms, view), told, row.title


def _test(values: argparse.Namespace) -> int:
    """Post a test alert from this machine, with its own environment variables."""
    settings = load_settings({"config": values.settings}, os.environ, Path.cwd())
    webhooks = settings.alerts.webhook
    if values.webhook:
        webhooks = tuple(w for w in webhooks if w.name == values.webhook)
    if not webhooks:
        what = f"{safe(values.webhook)!r} is" if values.webhook else "no webhook is"
        raise Invalid("alerts.webhook", f"{what} not declared in failsoft.toml")
    found = {webhook.name: _tried(webhook, settings) for webhook in webhooks}
    if values.json:
        rows = [{"webhook": n, "sent": not w, "why": w} for n, w in found.items()]
        answer({"ok": not any(found.values()), "webhooks": rows})
    else:
        for name, why in found.items():
            print(f"{safe(name)}: {safe(why) if why else 'took the test alert'}")
    return ERROR if any(found.values()) else OK


def _tried(webhook: WebhookSettings, settings: Settings) -> str:
    now_ms = int(clock.unix() * 1000)
    alert = AlertState("test", "test", "info", "a test of this webhook", now_ms)
    tell = Tell(alert, "firing")
    env, url = settings.store.env, settings.alerts.status_url
    document: dict[str, Any] = document_of(tell, env, now_ms, url)
    ends_at = clock.utc_text(now_ms / 1000 + 300)
    try:
        post(webhook, os.environ, encoded(document, webhook.format, ends_at))
    except Unsent as unsent:
        return str(unsent)
    return ""
