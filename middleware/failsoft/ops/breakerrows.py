"""What nodes say of dependencies, joined with the records in force.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from failsoft.controls.records import BreakerDoc
from failsoft.ops.fleetrows import DependencyRow, DependencySeen, DependencyView
from failsoft.ops.views import ControlRow
from failsoft.outbound._fleet import probe_instant_ms, probe_number
from failsoft.store.fleet import DependencyRow as Said
from failsoft.store.fleet import FleetRead, NodeRow, decode_row

__all__ = ["breaker_doc", "breaker_text", "dependency_view"]

_RING_S = 30.0
_FEW_CALLS = 30
_SHOWN_MS = 15_000  # older rows are of nodes that are gone
_NOTHING = BreakerDoc("", "", "")
# (state of a record, whether automation wrote it) -> word, letter
_WORDS = {
    ("open", False): ("FORCED OPEN", "F"),
    ("open", True): ("FLEET OPEN", "O"),
    ("closed", False): ("FORCED CLOSED", "F"),
    ("metrics_only", False): ("METRICS ONLY", "M"),
    ("probe", False): ("PROBING", "H"),
}


def breaker_doc(json: bytes) -> BreakerDoc:
    """Return a stored document; one without a state where it cannot be read."""
    try:
        return msgspec.json.decode(json, type=BreakerDoc)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _NOTHING


def breaker_text(json: bytes) -> str:
    """Return what a record does now, in a word; `?` for one of another release."""
    doc = breaker_doc(json)
    return _WORDS.get((doc.state, doc.via == "auto"), ("?", "?"))[0]


def dependency_view(
    read: FleetRead,
    controls: Iterable[ControlRow],
    declared: Iterable[str],
    short: Callable[[str], str],
) -> DependencyView:
    """Return every dependency that is declared, called or overridden; worst first.

    short: name of a node for cells.
    """
    rows = {node: decode_row(raw) for node, raw in read.rows.items()}
    seen: dict[str, list[tuple[DependencySeen, Said]]] = {}
    for node, row in sorted(rows.items()):
        if row is None or read.now_ms - row.at_ms > _SHOWN_MS:
            continue
        for said in row.dependencies:
            one = _seen(node, short(node), row, said, read.now_ms)
            seen.setdefault(said.name, []).append((one, said))
    records = {
        row.target.partition(":")[2]: row
        for row in controls
        if row.kind == "breaker" and row.active
    }
    names = seen.keys() | records.keys() | set(declared)
    found = [
        _row(name, seen.get(name, []), records.get(name), read.now_ms) for name in names
    ]
    found.sort(key=lambda row: ("FOMHT.?".index(row.letter), row.name))
    return DependencyView(read.now_ms, tuple(found), read.leader)


def _seen(
    node: str, short: str, row: NodeRow, said: Said, now_ms: int
) -> DependencySeen:
    return DependencySeen(
        node=node,
        short=short,
        state=said.in_force,
        own=said.state,
        why=said.why,
        since_ms=said.since_ms,
        calls=said.calls,
        fail=said.fail,
        slow=said.slow,
        refused=said.refused,
        retry_ms=said.retry_ms,
        throttle=said.throttle,
        p99_ms=said.p99_ms or None,
        last_ok_ms=said.last_ok_ms,
        age_s=max(0.0, (now_ms - row.at_ms) / 1000),
    )


def _row(
    name: str,
    nodes: list[tuple[DependencySeen, Said]],
    record: ControlRow | None,
    now_ms: int,
) -> DependencyRow:
    seen = [one for one, _ in nodes]
    calls = sum(one.calls for one in seen)
    known = calls >= _FEW_CALLS
    doc = breaker_doc(record.doc) if record is not None else _NOTHING
    open_nodes = sum(one.own == "open" for one in seen)
    state, letter = _state(doc, seen, open_nodes)
    return DependencyRow(
        name=name,
        state=state,
        letter=letter,
        nodes=tuple(seen),
        open_nodes=open_nodes,
        calls_per_s=calls / _RING_S,
        refused_per_s=sum(one.refused for one in seen) / _RING_S,
        err=sum(one.fail for one in seen) / calls if known else None,
        slow=sum(one.slow for one in seen) / calls if known else None,
        p99_ms=max((one.p99_ms for one in seen if one.p99_ms), default=None),
        throttle=max((one.throttle for one in seen), default=0.0),
        probe_ms=_probe_ms(name, doc, seen, now_ms),
        **_override(doc, record),
        **_retries(said for _, said in nodes),
        **_quota(said for _, said in nodes),
    )


def _state(
    doc: BreakerDoc, seen: list[DependencySeen], open_nodes: int
) -> tuple[str, str]:
    if doc.state and (doc.state != "probe" or not seen):
        return _WORDS.get((doc.state, doc.via == "auto"), ("?", "?"))
    if open_nodes:
        return f"OPEN {open_nodes}/{len(seen)}", "O"
    half = sum(one.own == "half_open" for one in seen)
    if half:
        return f"HALF OPEN {half}/{len(seen)}", "H"
    throttled = sum(one.throttle > 0 for one in seen)
    if throttled:
        return f"THROTTLED {throttled}/{len(seen)}", "T"
    return ("closed", ".") if seen else ("not called", "?")


def _probe_ms(
    name: str, doc: BreakerDoc, seen: list[DependencySeen], now_ms: int
) -> int | None:
    if (doc.state, doc.via, doc.since_ms > 0) == ("open", "auto", True):
        number = probe_number(name, doc.since_ms, now_ms)
        return probe_instant_ms(name, doc.since_ms, 0 if number is None else number + 1)
    if doc.state in ("", "probe"):
        return min((one.retry_ms for one in seen if one.retry_ms), default=None)
    return None


def _override(doc: BreakerDoc, record: ControlRow | None) -> dict[str, Any]:
    if record is None:
        return {}
    return {
        "override": doc.state,
        "via": doc.via,
        "by": record.by,
        "why": record.why,
        "since_ms": doc.since_ms or record.at_ms,
        "until_ms": record.until_ms,
        "rev": record.rev,
    }


def _retries(said: Iterable[Said]) -> dict[str, Any]:
    left = [one.retries_left for one in said if one.retries_left >= 0]
    return {"retries_left": min(left)} if left else {}


def _quota(said: Iterable[Said]) -> dict[str, Any]:
    known = [one for one in said if one.quota_limit > 0]
    if not known:
        return {}
    newest_ms = max(one.quota_reset_ms for one in known)
    current = [one for one in known if newest_ms - one.quota_reset_ms <= 1_000]
    left = [one.quota_remaining for one in current if one.quota_remaining >= 0]
    return {
        "quota_limit": max(one.quota_limit for one in current),
        "quota_remaining": min(left, default=None),
        "quota_reset_ms": newest_ms,
    }
