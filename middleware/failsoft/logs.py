"""Log records that carry the request's ids; no format is forced on anybody."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry import trace

from failsoft.pipeline import CURRENT

__all__ = ["install"]

_installed = False


def install() -> None:
    """Add `trace_id`, `span_id` and `route` to every log record from now on.

    Outside of a request they are "".  Uses the standard record factory, so it
    reaches every logger; calling it again changes nothing.
    """
    global _installed
    if _installed:
        return
    _installed = True
    before = logging.getLogRecordFactory()

    def with_ids(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.trace_id, record.span_id, record.route = _ids()
        return record

    logging.setLogRecordFactory(with_ids)


def _ids() -> tuple[str, str, str]:
    exchange = CURRENT.get()
    route = exchange.route if exchange else ""
    # A child span of the handler's own tells more than the request's span.
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        return f"{context.trace_id:032x}", f"{context.span_id:016x}", route
    if exchange is None:
        return "", "", ""
    return exchange.trace_id_hex, exchange.span_id_hex, route
