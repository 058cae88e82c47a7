"""Trace ids that join spans, logs, answers and kept failures."""

from failsoft.tracing._context import TRACERESPONSE, parse_traceparent

__all__ = ["TRACERESPONSE", "parse_traceparent"]
