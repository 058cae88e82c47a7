"""Fields of a kill, judged before it is written.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from failsoft.errors import Invalid
from failsoft.ops.command import Kill
from failsoft.ops.views import FleetView
from failsoft.telemetry import Definitions

__all__ = ["check_kill", "check_route", "variant_warnings"]

_PUBLIC_MOST = 200
_ROUTE = re.compile(r"([A-Z*?]+) (/|\*|\?).*", re.DOTALL)


def check_kill(command: Kill, kind: str, name: str) -> None:
    """Raise Invalid on a field that no node could use."""
    if kind == "route":
        check_route(command.target, name)
    if not 400 <= command.status <= 599:
        raise Invalid("status", f"{command.status} must be 400 to 599")
    if not 0 <= command.retry_after <= 86_400:
        raise Invalid("retry_after", f"{command.retry_after} must be 0 to 86400 s")
    if command.public is not None and len(command.public) > _PUBLIC_MOST:
        raise Invalid("public", f"has more than {_PUBLIC_MOST} characters")
    if command.variant is not None and kind != "flag":
        raise Invalid("variant", f"is for flag: targets, {command.target} has none")
    if command.public is not None and kind == "flag":
        raise Invalid("public", "is for route: and tag: targets: a flag answers nobody")


def variant_warnings(
    variant: str | None, keys: Iterable[str], view: FleetView, definitions: Definitions
) -> tuple[str, ...]:
    """Return which of the flags have no such variant, as far as documents say."""
    if variant is None:
        return ()
    docs = {flag.key: flag.doc.encode() for flag in definitions.flagdefs}
    docs |= {r.target[5:]: r.doc for r in view.controls if r.kind == "flag" and r.doc}
    lacking = [key for key in keys if _lacks(docs.get(key, b""), variant)]
    shown = ", ".join(lacking[:3]) + (" ..." if len(lacking) > 3 else "")
    return (f"no variant {variant} in {shown}: x.kill, else off",) if lacking else ()


def _lacks(doc: bytes, variant: str) -> bool:
    try:
        return bool(doc) and variant not in msgspec.json.decode(doc)["variants"]
    except (msgspec.DecodeError, ValueError, TypeError, LookupError):
        return False  # what cannot be read is told elsewhere


def check_route(target: str, name: str) -> None:
    """Raise Invalid unless a glob can match `METHOD /path`."""
    # A glob of one word may cover method and path at once: `route:*checkout*`.
    if _ROUTE.fullmatch(name) or (" " not in name and name[:1] in ("*", "?")):
        return
    method, _, path = name.partition(" ")
    if not path:
        method, path = "*", f"/{name.lstrip('/')}"
    near = f"route:{method.upper()} /{path.lstrip('/')}"
    raise Invalid("target", f"{target!r} must be route:METHOD /path", nearest=near)
