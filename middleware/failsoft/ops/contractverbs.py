"""The verbs on versions, brownouts, drift and tolerances.  Pure."""

from __future__ import annotations

import argparse

from failsoft.ops.command import (
    BrownoutStart,
    BrownoutStop,
    Command,
    DriftAck,
    PinClear,
    PinSet,
    SunsetExtend,
    ToleranceAdd,
    ToleranceEnd,
)
from failsoft.ops.words import Verb, Word, as_target

__all__ = ["CONTRACT_VERBS"]


def _brownout_target(name: str) -> str:
    kinds = ("version:", "route:", "brownout:")
    return name if name.startswith(kinds) else f"brownout:{name}"


def _drift_or(kind: str, name: str) -> str:
    return name if name.startswith("drift:") else as_target(kind, name)


def _consumer(name: str) -> str:
    return name if name.startswith("pin:") else as_target("consumer", name)


def _pin(values: argparse.Namespace) -> Command:
    return PinSet(
        _consumer(values.consumer),
        values.version.removeprefix("version:"),
        for_s=values.for_s,
        force=values.force,
    )


def _start(values: argparse.Namespace) -> Command:
    return BrownoutStart(
        _brownout_target(values.target),
        name=values.name or "",
        versions=tuple(values.version),
        routes=tuple(route.removeprefix("route:") for route in values.route),
        percent=values.percent,
        by=values.by or "",
        only=tuple(values.only),
        exempt=tuple(values.exempt),
        status=values.status,
        for_s=values.for_s,
        force=values.force,
    )


def _add(values: argparse.Namespace) -> Command:
    return ToleranceAdd(
        _drift_or("tolerance", values.target),
        route=(values.route or "").removeprefix("route:"),
        consumer=values.consumer or "",
        path=values.path or "",
        kind=values.kind or "",
        value=values.value,
        handling=values.handling or "",
        owner=values.owner or "",
        for_s=values.for_s,
        force=values.force,
    )


_VERSION = Word("version", "id of a version, as 2025-06-01")
_DRIFT_ID = Word("id", "id of an entry; its first digits do")
_FORMAT = Word("--format", "table, json or markdown (table)", required=False)

_READS = (
    Verb("versions list", "versions, who uses them, days left, who would break"),
    Verb("versions impact", "who would break if a version were retired", (_VERSION,)),
    Verb(
        "versions openapi",
        "the OpenAPI document of a version",
        (
            Word("version", "id of a version (the newest)", required=False),
            Word("--node", "a node, as http://host:8000", required=False),
            Word("--app", "the application, as module:app", required=False),
            Word("--out", "file to write (stdout)", required=False),
        ),
    ),
    Verb("brownout list", "brownouts, open ones first"),
    Verb("drift list", "what differs from the schemas, newest first"),
    Verb("drift show", "one entry, what covers it, what would", (_DRIFT_ID,)),
    Verb(
        "drift report",
        "the ledger as changes of contracts, with oasdiff ids",
        (
            _FORMAT,
            Word("--fail-on", "breaking: exit 1 if there is one", required=False),
        ),
    ),
    Verb(
        "drift export",
        "the ledger as JSON lines, for tests (from_drift)",
        (Word("--out", "file to write (stdout)", required=False),),
    ),
    Verb("tolerance list", "tolerances and handlings, those in force first"),
    Verb("tolerance suggest", "tolerances that would meet the drift of requests"),
)

_WRITES = (
    Verb(
        "versions pin",
        "give a consumer a version where it asks for none",
        (
            Word("consumer", "its name, as drift and usage tell it"),
            _VERSION,
            Word("--for", "how long: 10s to 30d, no end unless said", "span", False),
            Word("--force", "write although no release declares it", "switch", False),
        ),
        "operator",
        _pin,
    ),
    Verb(
        "versions unpin",
        "take a pin away",
        (Word("consumer", "its name"),),
        "operator",
        lambda values: PinClear(_consumer(values.consumer)),
    ),
    Verb(
        "versions sunset",
        "move a version's sunset to a later date",
        (_VERSION, Word("date", "as 2026-12-31, UTC midnight")),
        "operator",
        lambda values: SunsetExtend(as_target("version", values.version), values.date),
    ),
    Verb(
        "brownout start",
        "refuse part of a version's traffic, so that it is noticed",
        (
            Word("target", "version:ID, route:METHOD /path, or a declared name"),
            Word("--for", "how long: 10s to 24h, 15m unless said", "span", False),
            Word("--percent", "share that is refused (100)", "percent", False),
            Word("--by", "request or consumer: what the share is of", required=False),
            Word("--version", "only this version, repeatable", "texts", False),
            Word("--route", "only these routes, repeatable", "texts", False),
            Word("--only", "only this consumer, repeatable", "texts", False),
            Word("--exempt", "never this consumer, repeatable", "texts", False),
            Word("--status", "503, 410 or 429 (503)", "count", False),
            Word("--name", "what it is called", required=False),
            Word("--force", "cover critical_plus routes too", "switch", False),
        ),
        "operator",
        _start,
    ),
    Verb(
        "brownout stop",
        "end a brownout, or hold a declared one back",
        (
            Word("name", "its name"),
            Word("--for", "how long a declared one stays stopped (24h)", "span", False),
        ),
        "operator",
        lambda values: BrownoutStop(
            as_target("brownout", values.name), for_s=values.for_s
        ),
    ),
    Verb(
        "tolerance add",
        "repair one kind of difference for a while, or set a handling",
        (
            Word("target", "a name for it, or drift:ID to take the fields from"),
            Word("--for", "how long: 10s to 90d, 30d unless said", "span", False),
            Word("--route", "METHOD /path; * and ? match (all)", required=False),
            Word("--consumer", "one consumer, or a glob (all)", required=False),
            Word("--path", "place in the body, as /items/*/qty", required=False),
            Word("--kind", "of repair, as string_to_number", required=False),
            Word("--value", "what the kind needs", "json", False),
            Word(
                "--handling",
                "off, observe, warn, tolerate or strict, instead of a kind",
                required=False,
            ),
            Word("--owner", "who answers for it", required=False),
            Word("--force", "write although no route matches", "switch", False),
        ),
        "operator",
        _add,
    ),
    Verb(
        "tolerance end",
        "end a tolerance, set or declared",
        (Word("name", "its name"),),
        "operator",
        lambda values: ToleranceEnd(as_target("tolerance", values.name)),
    ),
    Verb(
        "drift ack",
        "say that an entry is known",
        (
            _DRIFT_ID,
            Word("--for", "how long: 10s to 30d, 30d unless said", "span", False),
        ),
        "operator",
        lambda values: DriftAck(as_target("drift", values.id), for_s=values.for_s),
    ),
)

CONTRACT_VERBS = (*_READS, *_WRITES)
