"""`/_failsoft/status.html`: the status as a page without script, for people."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from failsoft.endpoints.status import StatusBoard
from failsoft.pipeline import Exchange, Rejection

__all__ = ["StatusPage", "write_page"]

_WORDS = {
    "operational": "Operational",
    "degraded_performance": "Degraded",
    "partial_outage": "Partial outage",
    "major_outage": "Major outage",
    "unknown": "Not known",
}
_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"public, max-age=10, stale-if-error=60"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; "
     b"base-uri 'none'; form-action 'none'; frame-ancestors 'self'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)  # fmt: skip
_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.25rem;font-weight:600}
.all{padding:.9rem 1rem;border-radius:.5rem;font-weight:600;
color:#fff;background:#1b7f4b}
.minor{background:#8a6100}.major{background:#b04a00}.critical{background:#b3261e}
ul{list-style:none;padding:0}
li{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem;
padding:.7rem 0;border-bottom:1px solid #8885}
.state{font-weight:600}small{display:block;opacity:.75}footer{opacity:.75;font-size:.85rem}
"""


class StatusPage:
    """Answers with the page of a board."""

    def __init__(self, board: StatusBoard) -> None:
        self._board = board

    def asked(self, exchange: Exchange) -> Rejection:
        """Answer with the page."""
        body = self._board.body(write_page)
        return Rejection(
            "status", 200, _HEADERS, body, is_problem=False, is_refusal=False
        )


def write_page(document: Mapping[str, Any]) -> bytes:
    """Return the page of a status document; every text of it is escaped."""
    page, told = document["page"], document["status"]
    components = "".join(map(_component, document["components"]))
    modes = "".join(map(_mode, document["modes"]))
    notices = f"<h2>In force now</h2><ul>{modes}</ul>" if modes else ""
    indicator = told["indicator"]
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="refresh" content="30">'
        f"<title>{_text(page['name'])} status</title><style>{_STYLE}</style></head>"
        f"<body><h1>{_text(page['name'])} status</h1>"
        f'<p class="all {_text(indicator)}" role="status">'
        f"{_text(told['description'])}</p><ul>{components}</ul>{notices}"
        f"<footer>As of {_text(page['updated_at'])}; "
        f"this page asks again every 30 seconds.</footer></body></html>"
    )
    return html.encode("utf-8", "xmlcharrefreplace")


def _component(one: Mapping[str, Any]) -> str:
    word = _WORDS.get(one["status"], one["status"])
    since = f"<small>since {_text(one['since'])}</small>" if "since" in one else ""
    return (
        f"<li><span>{_text(one['name'])}{since}</span>"
        f'<span class="state">{_text(word)}</span></li>'
    )


def _mode(one: Mapping[str, Any]) -> str:
    until = f", until {_text(one['until'])}" if "until" in one else ""
    return (
        f"<li><span>{_text(one['title'])}"
        f"<small>since {_text(one['since'])}{until}</small></span></li>"
    )


def _text(value: object) -> str:
    return escape(str(value), quote=True)
