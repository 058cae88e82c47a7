"""What the pages on drift say: an entry, its body's shape, third parties (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from failsoft.ops.contractrows import DriftRow, DriftView, PeerRow, ToleranceRow
from failsoft.ops.driftplans import suggested
from failsoft.ops.driftreport import ReportRow, report_rows
from failsoft.ops.text import safe
from failsoft_tui.driftrows import drift_state, where_of
from failsoft_tui.figures import ago
from failsoft_tui.paint import Line
from failsoft_tui.sheet import field, rule

__all__ = ["drift_lines", "drift_pane", "peer_lines", "shape_lines", "tolerance_lines"]

_STYLES = {"error": "bad", "warning": "warn", "info": "dim"}
_SIDES = {"request": "what clients send us", "response": "what is answered"}


def _side(row: DriftRow) -> str:
    if row.dependency:
        what = "answers" if row.direction == "response" else "is sent"
        return f"what {safe(row.dependency, 60)} {what}"
    return _SIDES.get(row.direction, safe(row.direction, 20))


def _times(row: DriftRow, now_ms: int) -> str:
    first, last = (ago((now_ms - at) / 1000) for at in (row.first_ms, row.last_ms))
    return (
        f"{row.n:,} in 30 days, {row.today:,} today; first {first} ago, last {last} ago"
    )


def drift_lines(view: DriftView, id_: str, now_ms: int) -> list[Line]:
    """Return an entry in full, what meets it, and its body's other differences."""
    row = next((one for one in view.rows if one.id == id_), None)
    if row is None:
        return [((f"   entry {safe(id_)} is not in the ledger any more", "dim"),)]
    word, style = drift_state(row, now_ms)
    acked = f" by {safe(row.acked_by, 30)}" if row.acked_by else ""
    lines = [
        rule(f"drift:{safe(row.id)}"),
        field("where", f"{where_of(row)}: {_side(row)}", "bold"),
        field("path", safe(row.path) or "(body)", "bold"),
        field("kind", f"{safe(row.kind, 20)} ({safe(row.severity, 20)})"),
        field("declared", safe(row.expected) or "nothing at this place", "good"),
        field("came", safe(row.got) or "-", "bad"),
        field("counted", _times(row, now_ms)),
        field("consumer", safe(row.consumer, 64) or "not known"),
        field("version", safe(row.version, 64) or "none"),
        field("state", f"{word}{acked}", style),
        field("tolerance", *_repair(row)),
    ]
    return [*lines, (), *shape_lines(view, row), (), *peer_lines(_peers(view, row))]


def _peers(view: DriftView, row: DriftRow) -> tuple[PeerRow, ...]:
    return tuple(p for p in view.peers if p.dependency == row.dependency)


def _repair(row: DriftRow) -> tuple[str, str]:
    if row.tolerance:
        return f"{safe(row.tolerance)} repairs it (T ends it)", "good"
    if row.dependency or row.direction != "request":
        return "none: only what clients send us is repaired; A says it is known", "dim"
    if suggested(row) is None:
        return "no repair meets it; T sets a handling", "dim"
    return f"{safe(row.suggests)} would meet it (T adds it)", "key"


def shape_lines(view: DriftView, row: DriftRow) -> list[Line]:
    """Return what is declared of an entry's body, and what came; types only."""
    rows = tuple(one for one in view.rows if _body_of(one) == _body_of(row))
    found = report_rows(DriftView(0, rows=rows))
    found = tuple(sorted(found, key=lambda r: (r.path, r.id)))
    lines = [rule(f"{where_of(row)}: {_side(row)}, - declared, + came")]
    for one in found:
        lines += _place_lines(one, on=one.path == row.path)
    text = "failsoft drift report says the same for the tools that read oasdiff's ids"
    return [*lines, ((f"   {text}", "dim"),)]


def _body_of(row: DriftRow) -> tuple[str, str, str]:
    return row.route, row.direction, row.dependency


def _place_lines(row: ReportRow, *, on: bool) -> list[Line]:
    parts = [safe(part, 64) for part in row.path.split("/")[1:]] or ["(body)"]
    name = f"{'  ' * (len(parts) - 1)}{parts[-1]}"
    place = " " + "/".join(["", *parts[:-1]]) if len(parts) > 1 else ""
    mark, style = (" > ", "bold") if on else ("   ", "")
    count = f"{row.count:,} by {row.consumers or 'unknown'} consumers"
    level = (f"  {safe(row.level, 10)} {safe(row.id, 80)}", _STYLES.get(row.level, ""))
    return [
        ((mark, "key"), (name, style), (place, "dim"), (f"   {count}", "dim"), level),
        ((f"     - {safe(row.expected) or 'nothing'}", "good"),),
        ((f"     + {safe(row.got) or '-'}", "bad"),),
    ]


def peer_lines(peers: Iterable[PeerRow]) -> list[Line]:
    """Return what third parties announced, those that end soonest first."""
    lines = [rule("what third parties announced")]
    for peer in peers:
        lines.append(_peer_line(peer))
        more = [f"then {safe(peer.successor)}"] * bool(peer.successor)
        more += [f"see {safe(peer.link)}"] * bool(peer.link)
        more += [f"warns: {safe(peer.warning, 120)}"] * bool(peer.warning)
        if more:
            lines.append(((f"      {', '.join(more)}", "dim"),))
    return lines if len(lines) > 1 else [*lines, (("   nothing", "dim"),)]


def _peer_line(peer: PeerRow) -> Line:
    end, style = "", "warn"
    if peer.sunset:
        left = "" if peer.days_left is None else f" (in {peer.days_left}d)"
        over = peer.days_left is not None and peer.days_left < 0
        end = f" ENDS {safe(peer.sunset, 10)}{' (OVER)' if over else left}"
        style = "bad" if over or (peer.days_left or 0) <= 7 else "warn"
    since = f" since {safe(peer.deprecated, 10)}" if peer.deprecated[:1] == "2" else ""
    old = f" deprecated{since}" if peer.deprecated else ""
    served = f" answers as {safe(peer.version, 40)}" if peer.version else ""
    was = f", was {safe(peer.was, 40)}" if peer.was else ""
    name = f"   {safe(peer.dependency, 60)} {safe(peer.operation)}"
    return ((name, "bold"), (end, style), (old, ""), (f"{served}{was}", "dim"))


def tolerance_lines(view: DriftView, now_ms: int) -> list[Line]:
    """Return tolerances and handlings, those in force first."""
    lines = [rule("tolerances and handlings")]
    repaired = {k[9:]: n for k, n in view.tallies if k.startswith("repaired:")}
    for row in view.tolerances:
        lines += _tolerance(row, repaired.get(row.name, 0), now_ms)
    return lines if len(lines) > 1 else [*lines, (("   none (T adds one)", "dim"),)]


def _tolerance(row: ToleranceRow, repaired: int, now_ms: int) -> list[Line]:
    ends = "no end"
    if row.until_ms:
        left_s = (row.until_ms - now_ms) / 1000
        ends = f"ends in {ago(left_s)}" if left_s > 0 else "over"
    state = "good" if row.state == "active" else "dim"
    what = safe(row.handling or row.kind, 40)
    where = f"{safe(row.route)} {safe(row.path)} by {safe(row.consumer, 64) or '*'}"
    who = safe(row.by or row.owner, 40) or "-"
    text = f"      {ends}, {len(row.covers)} entries, {repaired:,} repaired, {who}"
    return [
        (
            (f"   {safe(row.state, 8):<8}", state),
            (f"{safe(row.name, 100)} ", "bold"),
            (f"{what} ", "key"),
            (where, ""),
        ),
        ((f"{text}: {safe(row.why) or '-'}", "dim"),),
    ]


def drift_pane(
    view: DriftView, row: DriftRow | None, height: int, now_ms: int
) -> list[Line]:
    """Return what stands under the table: the entry, and third parties' ends."""
    peers = peer_lines(view.peers)
    head: list[Line] = []
    if row is not None:
        version = f", version {safe(row.version, 64)}" if row.version else ""
        head = [
            rule(f"{where_of(row)}: {_side(row)}"),
            field("came", f"{safe(row.got) or '-'} at {safe(row.path) or '(body)'}, "
                  f"declared is {safe(row.expected) or 'nothing'}", "bold"),
            field("counted", f"{_times(row, now_ms)}{version}"),
            field("tolerance", *_repair(row)),
        ]  # fmt: skip
    if len(head) + len(peers) > height:
        peers = [*peers[: max(1, height - len(head) - 1)], (("   ... p", "dim"),)]
    return [*head, *peers]
