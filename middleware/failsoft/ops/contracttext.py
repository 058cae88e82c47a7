"""What records of versions and drift do, in a word.  Pure."""

from __future__ import annotations

import msgspec

from failsoft.controls.records import (
    BrownoutDoc,
    PinDoc,
    Record,
    SunsetDoc,
    ToleranceDoc,
)

__all__ = ["brownout_scope", "contract_text", "is_stop"]


def contract_text(record: Record) -> str:
    """Return what a record does now; `?` for one of another release."""
    if record.kind == "drift":
        return "ACKED"
    try:
        doc = record.doc()
    except msgspec.DecodeError:
        return "?"
    if getattr(doc, "stop", False):
        return "STOPPED" if record.kind == "brownout" else "ENDED"
    match doc:
        case PinDoc(version=version):
            return version
        case SunsetDoc(sunset=sunset):
            return f"sunset {sunset}"
        case BrownoutDoc(percent=percent):
            return f"BROWNOUT {percent:g}%"
        case ToleranceDoc(handling=handling, kind=kind):
            return handling or kind
    return "set"


def brownout_scope(json: bytes) -> tuple[str, ...]:
    """Return the globs of a brownout's routes, none where it stops one."""
    try:
        doc = msgspec.json.decode(json, type=BrownoutDoc)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ()
    return () if doc.stop else doc.routes


def is_stop(record: Record) -> bool:
    """Whether a record ends what a release declares, instead of setting something."""
    if record.kind not in ("brownout", "tolerance"):
        return False
    try:
        return bool(record.doc().stop)
    except msgspec.DecodeError:
        return False
