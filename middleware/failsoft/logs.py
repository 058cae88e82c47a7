"""Log records that carry the request's ids; no format is forced on anybody."""

from __future__ import annotations

import logging

from opentelemetry import trace

from failsoft.pipeline import CURRENT, Exchange

__all__ = ["RequestIds", "install"]

_NAMES = ("trace_id", "span_id", "route", "version", "consumer")


class RequestIds(logging.Filter):
    """Adds `trace_id`, `span_id`, `route`, `version` and `consumer` to records.

    Lets every record pass.  Outside of a request they are "".  A field that the
    caller gives as `extra` stays the caller's.  Belongs on handlers: a logger's
    filter sees no record of the loggers below it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete the record; never refuses one."""
        exchange = CURRENT.get()
        whose = (exchange.version, exchange.consumer) if exchange else ("", "")
        for name, value in zip(_NAMES, (*_ids(exchange), *whose), strict=True):
            record.__dict__.setdefault(name, value)
        return True


def install(*handlers: logging.Handler) -> None:
    """Put `RequestIds` on the handlers, by default on every one configured so far.

    Call it after logging is configured; calling it again changes nothing.
    """
    for handler in handlers or _configured():
        if not any(isinstance(known, RequestIds) for known in handler.filters):
            handler.addFilter(RequestIds())


def _configured() -> list[logging.Handler]:
    known = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    return [handler for logger in (logging.root, *known) for handler in logger.handlers]


def _ids(exchange: Exchange | None) -> tuple[str, str, str]:
    route = exchange.route if exchange else ""
    # A child span of the handler's own tells more than the request's span.
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        return f"{context.trace_id:032x}", f"{context.span_id:016x}", route
    if exchange is None:
        return "", "", ""
    return exchange.trace_id_hex, exchange.span_id_hex, route
