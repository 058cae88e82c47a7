"""What the detail pane and the detail screen say about one route (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from failsoft.ops.text import safe
from failsoft.ops.views import FleetView, GroupRow
from failsoft_tui.figures import ago, clock_text, percent, rate
from failsoft_tui.paint import FILL, Line

if TYPE_CHECKING:
    from failsoft.telemetry import Flight, Frame

__all__ = [
    "control_lines",
    "detail_lines",
    "flights_of",
    "group_lines",
    "route_line",
    "stack_lines",
]


def flights_of(view: FleetView, key: str) -> tuple[Flight, ...]:
    """Return the kept examples of a route, newest first."""
    return tuple(flight for flight in view.flights if flight.route == key)


def _rule(text: str) -> Line:
    return (("-- ", "dim"), (f"{text} ", "head"), ("-", FILL))


def _node_names(view: FleetView) -> dict[str, str]:
    return {node.node: node.short for node in view.nodes}


def route_line(view: FleetView, key: str) -> Line:
    """Return the route and its error ratio by node."""
    row = next((route for route in view.routes if route.key == key), None)
    if row is None:
        return _rule(f"{safe(key)} -- GONE: no node reports this route")
    names = _node_names(view)
    by_node = sorted((safe(names.get(n, n), 12), err) for n, err in row.by_node)
    shown = " ".join(f"{name} {percent(err)}" for name, err in by_node)
    parts = [
        safe(row.key),
        f"err% by node: {shown}" if shown else "",
        f"{rate(row.refused_per_s)}/s refused" if row.refused_per_s else "",
        f"{rate(row.gone_per_s)}/s gone before the answer" if row.gone_per_s else "",
        safe(row.criticality, 20),
    ]
    return _rule(" -- ".join(part for part in parts if part))


def group_lines(view: FleetView, key: str, count: int, now_ms: int) -> list[Line]:
    """Return the route's error groups, most frequent first."""
    groups = sorted(
        (group for group in view.groups if group.route == key),
        key=lambda group: (-group.count, group.group),
    )
    lines = [_group_line(group, now_ms) for group in groups[:count]]
    if len(groups) > count:
        lines.append(((f"   ... {len(groups) - count} more groups (enter)", "dim"),))
    return lines or [(("   no error in the last 60 s", "dim"),)]


def _group_line(group: GroupRow, now_ms: int) -> Line:
    last = ago((now_ms - group.last_ms) / 1000) if group.last_ms else "-"
    first = ago((now_ms - group.first_ms) / 1000) if group.first_ms else "-"
    return (
        (f"{group.count:>7,} ", "bold"),
        (safe(group.exception) or "5xx answer", "bad"),
        (f" @ {safe(group.frame)}" if group.frame else "", ""),
        (f"   last {last} ago, first {first} ago", "dim"),
    )


def _flight_line(view: FleetView, flight: Flight, place: str) -> Line:
    node = _node_names(view).get(flight.node, flight.node)
    parts = [
        f"flight {safe(flight.id)[:8]}",
        f"{flight.status} {flight.duration_us / 1e6:.2f}s",
        safe(node, 24),
        safe(flight.consumer, 40),
        safe(flight.release, 24),
        f"rev {flight.revision:,}",
        clock_text(flight.at_ms),
        f"trace {safe(flight.trace_id)[:16]}" if flight.trace_id else "",
        place,
    ]
    return _rule(" -- ".join(part for part in parts if part))


def _frame_line(frame: Frame) -> Line:
    place = f"{safe(frame.file)}:{frame.line}"
    return (
        (f"   {place:<28} ", "" if frame.in_app else "dim"),
        (f"{safe(frame.function, 40):<18} ", "bold" if frame.in_app else "dim"),
        (safe(frame.source), "" if frame.in_app else "dim"),
    )


def stack_lines(
    view: FleetView, flight: Flight, *, place: str = "", all_frames: bool = True
) -> list[Line]:
    """Return one flight: header, exception, causes, frames newest first."""
    said = f"{safe(flight.exception)}: {safe(flight.message)}"
    what = said if flight.exception else f"the application answered {flight.status}"
    lines: list[Line] = [_flight_line(view, flight, place), ((f"   {what}", "bad"),)]
    lines += [((f"   caused by {safe(cause)}", "warn"),) for cause in flight.causes]
    shown = [f for f in flight.frames if all_frames or f.in_app]
    lines += [_frame_line(frame) for frame in shown]
    hidden = len(flight.frames) - len(shown)
    if hidden:
        lines.append(((f"   +{hidden} framework frames hidden (F)", "dim"),))
    if not flight.frames and flight.exception:
        lines.append((("   no frames were kept", "dim"),))
    return lines


def control_lines(view: FleetView, key: str) -> list[Line]:
    """Return the newest lines of the audit that name the route."""
    path = key.partition(" ")[2]
    about = [row for row in view.log if path and path in row.target][:3]
    return [
        (
            (f"   {clock_text(row.at_ms)} ", "dim"),
            (f"{safe(row.who)} {safe(row.action)} ", "bold"),
            (f"{safe(row.target)}  {safe(row.why)}", ""),
        )
        for row in about
    ]


def detail_lines(view: FleetView, key: str, height: int, now_ms: int) -> list[Line]:
    """Return the pane under Overview: nodes, groups, newest stack, last control."""
    lines = [route_line(view, key), *group_lines(view, key, max(2, height - 8), now_ms)]
    flights = flights_of(view, key)
    if flights:
        lines += stack_lines(view, flights[0], all_frames=False)
    else:
        lines.append((("   no failed request is kept", "dim"),))
    controls = control_lines(view, key)[:1]
    return lines[: height - len(controls)] + controls
