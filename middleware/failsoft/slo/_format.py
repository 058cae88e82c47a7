"""How an alert is written: one document, three ways to send it, one signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from failsoft.clock import utc_text
from failsoft.slo._alert import Tell

__all__ = ["SIGNATURE", "document_of", "encoded", "signature"]

SCHEMA = 1
SIGNATURE = "Failsoft-Signature"
_WORDS = {"page": "PAGE", "ticket": "TICKET", "info": "INFO"}


def document_of(tell: Tell, env: str, at_ms: int, status_url: str) -> dict[str, Any]:
    """Return what is said of an alert; instants are ISO text in UTC.

    Nothing of requests is in it: no bodies, tokens or consumers.
    """
    alert = tell.alert
    return {
        "schema": SCHEMA,
        "id": alert.id,
        "kind": alert.kind,
        "state": tell.state,
        "severity": alert.severity,
        "env": env,
        "since": utc_text(alert.since_ms / 1000),
        "at": utc_text(at_ms / 1000),
        "title": alert.title,
        "facts": dict(alert.facts),
        "routes": list(alert.routes),
        "runbook": alert.runbook,
        "status_url": status_url,
    }


def encoded(document: Mapping[str, Any], form: str, ends_at: str) -> bytes:
    """Return the body to send.  form: json, slack or alertmanager.

    ends_at: when Alertmanager lets it end unless it is told again.
    """
    if form == "slack":
        return json.dumps({"text": _as_text(document)}).encode()
    if form == "alertmanager":
        return json.dumps([_for_alertmanager(document, ends_at)]).encode()
    return json.dumps(document).encode()


def _as_text(document: Mapping[str, Any]) -> str:
    word = _WORDS.get(document["severity"], "")
    state = "RESOLVED" if document["state"] == "resolved" else word
    lines = [f"{state} {document['env']}: {document['title']}"]
    facts = ", ".join(f"{name} {value}" for name, value in document["facts"].items())
    links = (document["runbook"], document["status_url"])
    text = "\n".join([*lines, *filter(None, (facts, *links))])
    # Slack gives these three a meaning; a name of ours must not become a link.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _for_alertmanager(document: Mapping[str, Any], ends_at: str) -> dict[str, Any]:
    names = {"alertname": document["id"], "source": "failsoft"}
    labels = {name: document[name] for name in ("kind", "severity", "env")}
    said = {"summary": document["title"], "runbook_url": document["runbook"]}
    said |= {name: str(value) for name, value in document["facts"].items()}
    ended = document["state"] == "resolved"
    return {
        "labels": {name: text for name, text in {**names, **labels}.items() if text},
        "annotations": {name: text for name, text in said.items() if text},
        "startsAt": document["since"],
        "endsAt": document["at"] if ended else ends_at,
        "generatorURL": document["status_url"],
    }


def signature(secret: str, at_s: int, body: bytes) -> str:
    """Return the value of `Failsoft-Signature`: HMAC-SHA256 over `t.body`.

    at_s: Unix seconds of this try; a receiver refuses old ones against replays.
    """
    signed = b"%d.%b" % (at_s, body)
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"
