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

    Outside of a request they are "".  A field that the caller gives as `extra`
    stays the caller's.  Reaches every logger; calling it again changes nothing.
    """
    global _installed
    if _installed:
        return
    _installed = True
    before = logging.Logger.makeRecord

    def with_ids(logger: logging.Logger, *args: Any, **kwargs: Any) -> Any:
        record = before(logger, *args, **kwargs)
        for name, value in zip(_NAMES, _ids(), strict=True):
            record.__dict__.setdefault(name, value)
        return record

    # Not a record factory: `extra` that names a field which the record has
    # already raises KeyError, in the middle of the handler that logs.
    logging.Logger.makeRecord = with_ids  # type: ignore[method-assign, assignment]


_NAMES = ("trace_id", "span_id", "route")


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
