"""Turns stored records and log entries into the rows that operators read.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from failsoft.controls.records import Record, parse_record
from failsoft.controls.targets import covers, routes_of
from failsoft.ops.breakerrows import breaker_text
from failsoft.ops.contracttext import brownout_scope, contract_text, is_stop
from failsoft.ops.flagdocs import default_text, flag_now
from failsoft.ops.moderows import mode_action, mode_doc, mode_text
from failsoft.ops.views import ControlRow, LogRow
from failsoft.store.protocols import Entry
from failsoft.telemetry import Definitions

__all__ = [
    "CONTRACT_KINDS",
    "KINDS_SHOWN",
    "attempt_row",
    "control_rows",
    "covered_routes",
    "evaluators_of",
    "log_row",
    "reached_routes",
    "record_of",
    "scoped_routes",
    "state_text",
    "target_of",
]

CONTRACT_KINDS = ("brownout", "tolerance", "pin", "version", "drift")
KINDS_SHOWN = ("kill", "mode", "breaker", *CONTRACT_KINDS, "flag")
ENDED_SHOWN_MS = 86_400_000
_ENDING = ("kill", "mode", "breaker", "brownout", "tolerance")
_ORDER = {kind: i for i, kind in enumerate(KINDS_SHOWN)}
_REST = {
    "kill": "on",
    "mode": "off",
    "breaker": "auto",
    **dict.fromkeys(CONTRACT_KINDS, "-"),
    "flag": "-",
}
_ACTIONS = {
    ("kill", "put"): "kill",
    ("kill", "del"): "unkill",
    ("mode", "put"): "mode-enter",
    ("mode", "del"): "mode-leave",
    ("breaker", "put"): "breaker-set",
    ("breaker", "del"): "breaker-auto",
    ("flag", "put"): "flag-edit",
    ("flag", "del"): "flag-revert",
    ("brownout", "put"): "brownout-start",
    ("brownout", "del"): "brownout-stop",
    ("tolerance", "put"): "tolerance-add",
    ("tolerance", "del"): "tolerance-end",
    ("pin", "put"): "pin-set",
    ("pin", "del"): "pin-clear",
    ("version", "put"): "sunset-extend",
    ("version", "del"): "sunset-clear",
    ("drift", "put"): "drift-ack",
    ("drift", "del"): "drift-unack",
}
# A record that stops what a release declares.
_STOPS = {"brownout": "brownout-stop", "tolerance": "tolerance-end"}


def target_of(kind: str, name: str) -> str:
    """Return the target of a record: a kill's name is its target already."""
    if kind == "kill":
        return name
    return f"{'dependency' if kind == 'breaker' else kind}:{name}"


def record_of(kind: str, name: str, raw: bytes | None) -> Record | None:
    """Parse a stored value; None when there is none or its header is broken."""
    if raw is None:
        return None
    try:
        return parse_record(kind, name, raw)
    except ValueError:
        return None


def evaluators_of(
    records: Mapping[tuple[str, str], bytes], definitions: Definitions
) -> dict[str, bytes]:
    """Return name -> JSON as nodes resolve it: a record wins over a flags file."""
    found = {name: json.encode() for name, json in definitions.evaluators}
    for kind, name in records:
        if kind == "evaluator":
            record = record_of(kind, name, records[kind, name])
            if record is not None:
                found[name] = record.json
    return found


def state_text(kind: str, record: Record | None) -> tuple[str, float | None]:
    """Return (what it does now, share of `on` in percent) of a record."""
    if record is None:
        return _REST.get(kind, "-"), None
    if kind == "flag":
        return flag_now(record.json)
    if kind in CONTRACT_KINDS:
        return contract_text(record), None
    if kind == "breaker":
        return breaker_text(record.json), None
    if kind == "mode":
        return mode_text(mode_doc(record.json))[1], None
    return {"kill": "KILLED"}.get(kind, "set"), None


def covered_routes(
    target: str, definitions: Definitions, known: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the routes a kill or a mode reaches; flags reach none.

    known: keys seen in ticks that no release declares.
    """
    kind, _, name = target.partition(":")
    routes = [*definitions.routes]
    declared = {key for key, _, _ in routes}
    routes += [(key, "", ()) for key in known if key not in declared]
    if kind in ("route", "tag") and name:
        return routes_of(target, routes)
    scopes = [m.scope for m in definitions.modes if kind == "mode" and m.name == name]
    return _in_scope(scopes[0] if scopes else (), routes)


def reached_routes(
    row: ControlRow, definitions: Definitions, known: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the routes that a control reaches now, `known` as in `covered_routes`."""
    if row.kind == "brownout":
        return scoped_routes(brownout_scope(row.doc), definitions, known)
    return covered_routes(row.target, definitions, known)


def scoped_routes(
    scope: Iterable[str], definitions: Definitions, known: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the routes within globs of a mode, `known` as in `covered_routes`."""
    declared = {key for key, _, _ in definitions.routes}
    more = [(key, "", ()) for key in known if key not in declared]
    return _in_scope(scope, [*definitions.routes, *more])


def _in_scope(
    scope: Iterable[str], routes: Iterable[tuple[str, str, tuple[str, ...]]]
) -> tuple[str, ...]:
    reached: dict[str, None] = {}
    for glob in scope:
        inner = glob if glob.startswith(("tag:", "route:")) else f"route:{glob}"
        reached.update(dict.fromkeys(routes_of(inner, routes)))
    return tuple(reached)


def control_rows(
    records: Mapping[tuple[str, str], bytes],
    entries: Iterable[Entry],
    definitions: Definitions,
    now_ms: int,
    lost: Collection[tuple[str, str]] = (),
) -> tuple[ControlRow, ...]:
    """Return active controls first, then ended ones of a day, then what is declared.

    entries: the kept log, oldest first; it names who wrote a record and what ended.
    lost: records that nodes enforce and a rewound store does not hold.
    """
    authors = {(e.kind, e.name): e for e in entries}
    # A kill of `flag:x` and the edit of flag x share their target, not their kind.
    rows: dict[tuple[str, str], ControlRow] = {}
    defaults = dict(definitions.flags)
    severities = {mode.name: mode.severity for mode in definitions.modes}
    killed_flags = _killed_flags(records, now_ms)
    for (kind, name), raw in records.items():
        record = record_of(kind, name, raw) if kind in _ORDER else None
        if record is not None:
            row = _row(record, authors.get((kind, name)), defaults, now_ms)
            if (kind, name) in lost:
                row = msgspec.structs.replace(row, lost=True)
            if kind == "mode":
                row = msgspec.structs.replace(row, severity=severities.get(name, ""))
            rows[kind, row.target] = _marked(row, killed_flags)
    for entry in authors.values():
        ended = _ended(entry, now_ms)
        if ended is not None:
            rows.setdefault((ended.kind, ended.target), ended)
    for row in _declared(definitions, killed_flags):
        rows.setdefault((row.kind, row.target), row)
    return tuple(sorted(rows.values(), key=_order))


def _order(row: ControlRow) -> tuple[bool, bool, int, int, str]:
    return (not row.active, not row.at_ms, _ORDER[row.kind], -row.at_ms, row.target)


def _killed_flags(
    records: Mapping[tuple[str, str], bytes], now_ms: int
) -> tuple[str, ...]:
    kills = (
        record_of(kind, name, raw)
        for (kind, name), raw in records.items()
        if kind == "kill" and name.startswith("flag:")
    )
    return tuple(k.name[5:] for k in kills if k is not None and not k.is_due(now_ms))


def _marked(row: ControlRow, killed: tuple[str, ...]) -> ControlRow:
    if row.kind == "flag" and any(covers(g, row.target[5:]) for g in killed):
        return msgspec.structs.replace(row, now="KILLED")
    return row


class _Who(msgspec.Struct):
    """The fields every document of ours may name its author in."""

    who: str = ""
    why: str = ""
    group: str | None = None


def _author(record: Record) -> _Who:
    try:
        return msgspec.json.decode(record.json, type=_Who)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Who()


def _row(
    record: Record, entry: Entry | None, defaults: Mapping[str, str], now_ms: int
) -> ControlRow:
    target = target_of(record.kind, record.name)
    active = not record.is_due(now_ms)
    now, rollout = state_text(record.kind, record)
    default = _REST[record.kind]
    if record.kind == "flag":
        default = default_text(defaults.get(record.name, ""))
    own = _author(record)
    known = entry is not None and entry.rev == record.rev
    return ControlRow(
        target=target,
        kind=record.kind,
        now=now if active else "ended",
        default=default,
        rollout=rollout,
        rps=None,
        until_ms=record.until_ms,
        by=entry.who if known and entry else own.who or "?",
        at_ms=record.at_ms,
        why=entry.why if known and entry else own.why,
        rev=record.rev,
        active=active,
        group=own.group or "",
        doc=record.json,
    )


def _ended(entry: Entry, now_ms: int) -> ControlRow | None:
    at_ms = _entry_ms(entry)
    gone = entry.op in ("del", "expire") and entry.kind in _ENDING
    if not gone or now_ms - at_ms > ENDED_SHOWN_MS:
        return None
    return ControlRow(
        target=target_of(entry.kind, entry.name),
        kind=entry.kind,
        now="ended",
        default=_REST[entry.kind],
        rollout=None,
        rps=None,
        until_ms=at_ms,
        by=entry.who,
        at_ms=at_ms,
        why=entry.why,
        rev=0,
        active=False,
    )


def _declared(
    definitions: Definitions, killed: tuple[str, ...]
) -> Iterable[ControlRow]:
    for mode in definitions.modes:
        row = _rest(f"mode:{mode.name}", "mode", "off")
        yield msgspec.structs.replace(row, severity=mode.severity)
    docs = {one.key: one.doc.encode() for one in definitions.flagdefs if one.doc}
    for key, coded in definitions.flags:
        row = _rest(f"flag:{key}", "flag", default_text(coded))
        if key in docs:  # a flags file decides, not the code's default
            now, rollout = flag_now(docs[key])
            row = msgspec.structs.replace(row, now=now, rollout=rollout)
        yield _marked(row, killed)


def _rest(target: str, kind: str, default: str) -> ControlRow:
    return ControlRow(
        target=target,
        kind=kind,
        now=default,
        default=default,
        rollout={"on": 100.0, "off": 0.0}.get(default) if kind == "flag" else None,
        rps=None,
        until_ms=0,
        by="",
        at_ms=0,
        why="",
        rev=0,
        active=False,
    )


def _entry_ms(entry: Entry) -> int:
    head = entry.id.partition("-")[0]
    return int(head) if head.isdigit() else 0


def log_row(entry: Entry) -> LogRow:
    """Return one line of the audit for one log entry."""
    before = record_of(entry.kind, entry.name, entry.was)
    after = record_of(entry.kind, entry.name, entry.value)
    action = _ACTIONS.get((entry.kind, entry.op), entry.op)
    if entry.op == "put" and after and is_stop(after):
        action = _STOPS[entry.kind]
    if entry.kind == "mode" and entry.op == "put" and after:
        action = mode_action(mode_doc(after.json))
    if before and after and entry.kind != "flag" and before.json == after.json:
        action = "extend"
    return LogRow(
        id=entry.id,
        at_ms=_entry_ms(entry),
        rev=entry.rev,
        who=entry.who,
        action=action,
        target=target_of(entry.kind, entry.name) if entry.name else "store",
        before=state_text(entry.kind, before)[0],
        after=state_text(entry.kind, after)[0],
        why=entry.why,
        until_ms=after.until_ms if after else 0,
        via=entry.via,
        op_id=entry.op_id,
    )


def attempt_row(attempt_id: str, fields: Mapping[str, str]) -> LogRow:
    """Return one line of the audit for a refused write or an arming."""
    head = attempt_id.partition("-")[0]
    return LogRow(
        id=attempt_id,
        at_ms=int(head) if head.isdigit() else 0,
        rev=0,
        who=fields.get("who", "?"),
        action=fields.get("action", "refused"),
        target=fields.get("target", ""),
        before="",
        after=fields.get("refused", ""),
        why=fields.get("why", ""),
        until_ms=0,
        via=fields.get("via", ""),
        op_id=fields.get("op_id", ""),
        refused=bool(fields.get("refused")),
    )
