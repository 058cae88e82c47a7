"""W3C trace context: parse what came in, format what goes out.  Pure."""

from __future__ import annotations

__all__ = ["format_response", "parse_traceparent"]

_LOWER_HEX = frozenset(b"0123456789abcdef")
_VERSION_00_BYTES = 55


def parse_traceparent(value: bytes) -> tuple[int, int, int] | None:
    """Return (trace id, parent span id, flags), None for a malformed header.

    Source: W3C Trace Context, 3.2; a future version may append fields after a dash.
    """
    if len(value) < _VERSION_00_BYTES or value[2:3] != b"-" or value[35:36] != b"-":
        return None
    if value[52:53] != b"-" or not _has_known_version(value):
        return None
    head, trace, span, flags = value[:2], value[3:35], value[36:52], value[53:55]
    if not _LOWER_HEX.issuperset(head + trace + span + flags):
        return None
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id:
        return None
    return trace_id, span_id, int(flags, 16)


def _has_known_version(value: bytes) -> bool:
    if value[:2] == b"ff":
        return False
    extra = value[_VERSION_00_BYTES : _VERSION_00_BYTES + 1]
    return extra == b"" if value[:2] == b"00" else extra in (b"", b"-")


def format_response(trace_id: int, span_id: int, flags: int) -> bytes:
    """Return the value of `traceresponse` (Trace Context level 2 draft)."""
    return b"00-%032x-%016x-%02x" % (trace_id, span_id, flags)
