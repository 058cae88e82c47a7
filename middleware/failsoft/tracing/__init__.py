"""Trace ids that join spans, logs, answers and kept failures."""

from failsoft.tracing._context import format_response, parse_traceparent

__all__ = ["format_response", "parse_traceparent"]
