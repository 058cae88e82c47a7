"""Which span a request belongs to: ride on one that exists, open one, or join ids.

Order: an active server span (FastAPI's telemetry, Starlette's middleware, any local
span); else our own, if a TracerProvider is configured; else only ids.  A second
server span for one request would be a defect, so where the application opens its
own span inside us (`opens_inside`), we open none and read it when the answer starts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags

from failsoft.pipeline import Exchange, Scope
from failsoft.tracing._context import parse_traceparent

__all__ = ["Tracing"]

_RIDES = ("fastapi.telemetry", "starlette.opentelemetry")
_WANTED = frozenset((b"traceparent", b"tracestate", b"baggage"))
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"}
_METHODS |= {"CONNECT", "TRACE"}
# Semantic conventions, url.query: values of these must be redacted.
_SIGNED = re.compile(
    r"((?:^|&)(?:X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token"
    r"|AWSAccessKeyId|Signature|sig|X-Goog-Signature)=)[^&]*"
)
_bits = random.getrandbits


class Tracing:
    """The tracing stage of one middleware instance; configuration only.

    opens_inside: asks whether the wrapped application opens its own server span.
    counts: malformed headers by kind, at most one entry a kind.
    """

    __slots__ = ("_fields", "_own", "_provider", "_tracer", "counts", "opens_inside")

    def __init__(self, opens_inside: Any = None) -> None:
        self.opens_inside = opens_inside or (lambda: False)
        self.counts: dict[str, int] = {}
        self._provider: Any = None
        self._tracer: Any = None
        self._fields = frozenset(
            name.lower().encode() for name in propagate.get_global_textmap().fields
        )
        # With other propagators than W3C's, parsing by ourselves would lose parents.
        self._own = self._fields <= _WANTED

    def open(self, exchange: Exchange) -> None:
        """Give the exchange its trace id, span id and, if we own one, its span."""
        scope = exchange.scope
        current = trace.get_current_span()
        if current is not trace.INVALID_SPAN:
            context = current.get_span_context()
            if context.is_valid and not context.is_remote:
                _adopt(exchange, context)
                exchange.span = current if current.is_recording() else None
                return
        carrier = self._carrier(scope)
        tracer = self._current_tracer()
        if tracer is None or scope["type"] != "http" or self.opens_inside():
            self._join(exchange, carrier)
            return
        self._start(exchange, tracer, carrier)

    def _carrier(self, scope: Scope) -> dict[bytes, bytes]:
        wanted = self._fields
        return {name: value for name, value in scope["headers"] if name in wanted}

    def _current_tracer(self) -> Any:
        """Return our tracer while a real provider is configured, else None."""
        provider = trace.get_tracer_provider()
        if provider is not self._provider:
            self._provider = provider
            idle = isinstance(
                provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider
            )
            self._tracer = None if idle else provider.get_tracer("failsoft")
        return self._tracer

    def _join(self, exchange: Exchange, carrier: Mapping[bytes, bytes]) -> None:
        parent = self._parent(carrier)
        if parent is None:
            exchange.trace_id = _bits(128) or 1
            exchange.trace_flags = 0
        else:
            exchange.trace_id, _, exchange.trace_flags = parent
        exchange.span_id = _bits(64) or 1

    def _parent(self, carrier: Mapping[bytes, bytes]) -> tuple[int, int, int] | None:
        header = carrier.get(b"traceparent")
        if header is None:
            return None
        parent = parse_traceparent(header)
        if parent is None:
            self.counts["traceparent"] = self.counts.get("traceparent", 0) + 1
        return parent

    def _start(
        self, exchange: Exchange, tracer: Any, carrier: Mapping[bytes, bytes]
    ) -> None:
        parent = self._parent_context(carrier) if carrier else None
        scope = exchange.scope
        method = scope.get("method", "GET")
        known = method if method in _METHODS else "_OTHER"
        template = exchange.plan.template
        is_routed = template.startswith("/")
        attributes = {
            "http.request.method": known,
            "url.path": scope["path"],
            "url.scheme": scope.get("scheme", "http"),
        }
        if known is not method:
            attributes["http.request.method_original"] = method
        if is_routed:
            attributes["http.route"] = template
        span = tracer.start_span(
            f"{known} {template}" if is_routed else known,
            context=parent,
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
        )
        _adopt(exchange, span.get_span_context())
        exchange.span = span
        if span.is_recording():
            span.set_attributes(_details(scope))
        exchange.token = otel_context.attach(trace.set_span_in_context(span, parent))

    def _parent_context(self, carrier: Mapping[bytes, bytes]) -> Any:
        if not self._own or len(carrier) > 1 or b"traceparent" not in carrier:
            text = {
                k.decode("latin-1"): v.decode("latin-1") for k, v in carrier.items()
            }
            self._parent(carrier)  # only counts a malformed one
            return propagate.extract(text)
        # The W3C propagator alone costs 4.2 us; slicing costs 0.4 us.
        parent = self._parent(carrier)
        if parent is None:
            return None
        remote = SpanContext(parent[0], parent[1], True, TraceFlags(parent[2]))
        return trace.set_span_in_context(trace.NonRecordingSpan(remote))

    def started(self, exchange: Exchange) -> None:
        """Read the span an application opened inside us, as the answer starts."""
        if exchange.token is None and any(key in exchange.scope for key in _RIDES):
            current = trace.get_current_span()
            context = current.get_span_context()
            if context.is_valid:
                _adopt(exchange, context)
                exchange.span = current if current.is_recording() else None

    def close(self, exchange: Exchange) -> None:
        """Write what came of the request on the span, and end the span if ours."""
        span = exchange.span
        if span is not None and span.is_recording():
            _annotate(span, exchange)
        if exchange.token is None:
            return
        otel_context.detach(exchange.token)
        if span is not None:
            span.end()


def _details(scope: Scope) -> dict[str, Any]:
    """Return the attributes a sampler does not need; made for sampled requests."""
    found: dict[str, Any] = {"network.protocol.version": scope.get("http_version", "")}
    server, client = scope.get("server"), scope.get("client")
    if server:
        found["server.address"] = server[0]
        if server[1] is not None:
            found["server.port"] = server[1]
    if client:
        found["client.address"] = client[0]
    query = scope.get("query_string", b"")
    if query:
        found["url.query"] = _SIGNED.sub(r"\1REDACTED", query.decode("latin-1"))
    for name, value in scope["headers"]:
        if name == b"user-agent":
            found["user_agent.original"] = value.decode("latin-1")
    return found


def _adopt(exchange: Exchange, context: SpanContext) -> None:
    exchange.trace_id = context.trace_id
    exchange.span_id = context.span_id
    exchange.trace_flags = int(context.trace_flags)


def _annotate(span: Any, exchange: Exchange) -> None:
    span.set_attribute("failsoft.revision", exchange.snapshot.revision)
    if exchange.snapshot.modes:
        span.set_attribute("failsoft.mode", ",".join(exchange.snapshot.modes))
    if exchange.rejection is not None:
        span.set_attribute("failsoft.rejected", exchange.rejection.reason)
    if exchange.token is None:  # not our span: the owner states the rest
        return
    error = exchange.exception
    status = exchange.status or (500 if error else 0)
    if status:
        span.set_attribute("http.response.status_code", status)
    if error is not None or status >= 500:
        kind = type(error).__qualname__ if error else str(status)
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR)
    if error is not None:
        span.record_exception(error)
