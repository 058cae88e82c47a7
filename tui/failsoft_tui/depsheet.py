"""What the pages on dependencies say: each node, the override, routes, quota (pure)."""

from __future__ import annotations

from failsoft.ops.fleetrows import CallRow, DependencyRow, DependencySeen
from failsoft.ops.text import safe
from failsoft_tui.deprows import dep_word, quota_word, seen_word
from failsoft_tui.figures import ago, clock_text, percent, rate
from failsoft_tui.paint import Line
from failsoft_tui.sheet import field, rule

__all__ = ["dep_lines", "dep_pane"]


def _override(row: DependencyRow, now_ms: int) -> list[Line]:
    if not row.override:
        return [field("decided", "by each node, and by quorum of the fleet", "dim")]
    who = safe(row.by or row.via, 40) or "?"
    ends = "no end"
    if row.until_ms:
        left = ago((row.until_ms - now_ms) / 1000)
        ends = f"ends in {left}, at {clock_text(row.until_ms)} UTC"
    since = f" {ago((now_ms - row.since_ms) / 1000)} ago" if row.since_ms else ""
    what = f"{safe(row.override, 20)} by {who}{since}, {ends}"
    style = "degraded" if row.via == "operator" else "bad"
    return [field("decided", what, style), field("why", safe(row.why, 200) or "-")]


def _traffic(row: DependencyRow, now_ms: int) -> list[Line]:
    refused = f", {rate(row.refused_per_s)}/s never sent" if row.refused_per_s else ""
    throttle = f", throttled {row.throttle:.0%}" if row.throttle else ""
    few = row.calls_per_s > 0
    lines = [
        field("calls", f"{rate(row.calls_per_s)}/s, "
              f"{_percent(row.err, few=few)} fail, {_percent(row.slow, few=few)} slow, "
              f"p99 {_millis(row.p99_ms)}{refused}{throttle}"),
    ]  # fmt: skip
    if row.retries_left is not None:
        text = f"room for {row.retries_left:.0f} on the node that has the least"
        lines.append(field("retries", text))
    if row.quota_limit:
        word, style = quota_word(row, now_ms)
        left = "?" if row.quota_remaining is None else f"{row.quota_remaining:,}"
        text = f"{left} of {row.quota_limit:,} left ({word} to the next window)"
        lines.append(field("quota", text, style))
    if row.probe_ms is not None:
        left_s = (row.probe_ms - now_ms) / 1000
        text = f"next in {ago(left_s)}" if left_s > 0 else "now"
        lines.append(field("probe", f"{text} (P: at once)", "key"))
    return lines


def _percent(ratio: float | None, *, few: bool) -> str:
    return _with(percent(ratio, few=few), "%")


def _millis(ms: float | None) -> str:
    return "-" if ms is None else f"{ms:,.0f} ms"


def _with(figure: str, unit: str) -> str:
    return figure if figure in ("-", "n<30") else f"{figure}{unit}"


def _node(seen: DependencySeen, now_ms: int) -> Line:
    word, style = seen_word(seen)
    since = f" {ago((now_ms - seen.since_ms) / 1000)}" if seen.since_ms else ""
    left_s = (seen.retry_ms - now_ms) / 1000
    probe = f"  probe in {ago(left_s)}" if seen.retry_ms and left_s > 0 else ""
    ok = "never" if not seen.last_ok_ms else ago((now_ms - seen.last_ok_ms) / 1000)
    counts = f"{seen.calls:>6,} calls {seen.fail:>5,} fail {seen.slow:>5,} slow"
    more = f"  {seen.refused:,} refused" if seen.refused else ""
    late = f"  silent {ago(seen.age_s)}" if seen.age_s > 3 else ""
    why = f"  {safe(seen.why, 80)}" if seen.why else ""
    return (
        (f"   {safe(seen.short, 8):<5}", "bold"),
        (f"{word}{since}".ljust(17), style),
        (late, "bad"),
        (f"{counts}{more}  last ok {ok}", "dim" if late else ""),
        (f"{probe}{why}", "dim"),
    )


def _route(call: CallRow) -> Line:
    timeout = "NO TIMEOUT" if call.timeout_s is None else f"{1000 * call.timeout_s:g}ms"
    covered = call.fallback or ("stale" if call.stale_s else "")
    bare = "bad" if call.criticality.startswith("critical") else "warn"
    return (
        (f"   {safe(call.route, 60):<34} ", "bold"),
        (f"{safe(call.criticality, 16):<15} ", "dim"),
        (f"{timeout:<11} ", bare if call.timeout_s is None else ""),
        (safe(covered, 40) or "NO FALLBACK", "" if covered else bare),
    )


def _nodes(row: DependencyRow, now_ms: int) -> list[Line]:
    if not row.nodes:
        return [rule("nodes"), (("   no node called it in the last minute", "dim"),)]
    return [rule("nodes, last 30 s"), *(_node(one, now_ms) for one in row.nodes)]


def _routes(row: DependencyRow) -> list[Line]:
    if not row.routes:
        return []
    return [rule("routes that call it"), *map(_route, row.routes)]


def dep_pane(row: DependencyRow | None, height: int, now_ms: int) -> list[Line]:
    """Return what stands under the table: who decided, traffic, each node, routes."""
    if row is None:
        return []
    lines = _whole(row, now_ms)
    if len(lines) > height:
        lines = [*lines[: max(1, height - 1)], (("   ... enter", "dim"),)]
    return lines


def dep_lines(row: DependencyRow | None, name: str, now_ms: int) -> list[Line]:
    """Return a dependency in full."""
    if row is None:
        text = f"   no node tells of {safe(name, 80)} any more"
        return [((text, "dim"),)]
    return _whole(row, now_ms)


def _whole(row: DependencyRow, now_ms: int) -> list[Line]:
    word, _ = dep_word(row)
    return [
        rule(f"{safe(row.name, 64)} -- {word}"),
        *_override(row, now_ms),
        *_traffic(row, now_ms),
        *_nodes(row, now_ms),
        *_routes(row),
    ]
