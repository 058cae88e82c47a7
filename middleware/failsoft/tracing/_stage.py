"""Which span a request belongs to: ride on one that exists, open one, or join ids.

Order: an active server span (FastAPI's telemetry, Starlette's middleware, any local
span); else our own, if a TracerProvider is configured; else only ids.  A second
server span for one request would be a defect, so where the application opens its
own span inside us (`opens_inside`), we open none and read it when the answer starts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextvars import ContextVar, Token
from copy import copy
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags

from failsoft import dice
from failsoft.pipeline import Exchange, Plan, Scope
from failsoft.tracing._context import parse_traceparent
from failsoft.tracing._ids import new_ids
from failsoft.tracing._sampling import LOW_64, NEVER, root_bound

__all__ = ["Apart", "Tracing"]

_WANTED = frozenset((b"traceparent", b"tracestate", b"baggage"))
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"}
_METHODS |= {"CONNECT", "TRACE"}
# Semantic conventions, url.query: values of these must be redacted.
_SIGNED = re.compile(
    r"((?:^|&)(?:X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token"
    r"|AWSAccessKeyId|Signature|sig|X-Goog-Signature)=)[^&]*"
)
_LOOK_NS = 1_000_000_000
_log = logging.getLogger("failsoft")
_bits = dice.getrandbits
# Under which name a context holds its span; written by hand it costs 1 us less.
(_SPAN_KEY,) = trace.set_span_in_context(trace.INVALID_SPAN, otel_context.Context())
_Context = otel_context.Context
_NO_SPAN = _Context()


class _Unsampled(trace.NonRecordingSpan):
    """A span that only carries ids; its context is made when somebody asks."""

    def __init__(self, trace_id: int, span_id: int, state: Any) -> None:
        # No tuple: what servers keep of contexts keeps these, and each container
        # more brings the next collection nearer.
        self._trace_id = trace_id
        self._span_id = span_id
        self._state = state

    def get_span_context(self) -> SpanContext:
        flags = TraceFlags(0)
        return SpanContext(self._trace_id, self._span_id, False, flags, self._state)

    def __repr__(self) -> str:
        return f"_Unsampled({self.get_span_context()!r})"


class _Decided:
    """Sampler and id generator of one span whose sampling is decided already."""

    def __init__(self, trace_id: int, span_id: int, result: Any) -> None:
        self._trace_id = trace_id
        self._span_id = span_id
        self._result = result

    def should_sample(self, *args: Any, **kwargs: Any) -> Any:
        return self._result

    def get_description(self) -> str:
        return "failsoft: decided by the provider's sampler"

    def generate_trace_id(self) -> int:
        return self._trace_id

    def generate_span_id(self) -> int:
        return self._span_id

    def is_trace_id_random(self) -> bool:
        return True


def _context_var() -> ContextVar[Any] | None:
    """Return the variable that holds the active context, None if it is none.

    Through the API's functions each look and change costs three calls.
    """
    token = otel_context.attach(otel_context.get_current())
    otel_context.detach(token)
    return token.var if isinstance(token, Token) else None


def _started(
    tracer: Any, exchange: Exchange, name: str, parent: Any, attributes: dict[str, Any]
) -> trace.Span:
    span: trace.Span = tracer.start_span(
        name,
        context=parent,
        kind=SpanKind.SERVER,
        attributes=attributes,
        record_exception=False,
    )
    _adopt(exchange, span.get_span_context())
    return span


def _trace_id_of(parent: Any) -> int:
    if parent is None:
        return 0
    context = trace.get_current_span(parent).get_span_context()
    return context.trace_id if context.is_valid else 0


_variable = _context_var()
_current: Callable[[], Any] = _variable.get if _variable else otel_context.get_current
_attach: Callable[[Any], Any] = _variable.set if _variable else otel_context.attach
_detach: Callable[[Any], None] = _variable.reset if _variable else otel_context.detach


class Apart:
    """Awaits the sending of an answer's last part outside the span's context.

    Servers start their keep-alive timers there, which keep the context they find:
    with a span in it, a full collection of 47 ms came each 2 to 3 s at 4,000
    requests/s.
    """

    __slots__ = ("_work",)

    def __init__(self, work: Awaitable[None]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, None]:
        token = _attach(_NO_SPAN)
        try:
            yield from self._work.__await__()
        finally:
            _detach(token)


class Tracing:
    """The tracing stage of one middleware instance; configuration only.

    opens_inside: asks whether the wrapped application opens its own server span.
    may_ride: whether the application may have one when the answer starts.
    counts: malformed headers by kind, at most one entry a kind.
    """

    __slots__ = (
        "_bound",
        "_fields",
        "_look_at_ns",
        "_names",
        "_opens",
        "_own",
        "_provider",
        "_reads",
        "_should_sample",
        "_tracer",
        "_wanted",
        "_widened",
        "counts",
        "may_ride",
        "opens_inside",
    )

    def __init__(self, opens_inside: Any = None) -> None:
        self.opens_inside = opens_inside or (lambda: False)
        self.counts: dict[str, int] = {}
        self._provider: Any = None
        self._tracer: Any = None
        self._should_sample: Any = None
        self._bound = NEVER
        self._names: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
        self._look_at_ns = 0
        self._opens = False  # whether we open the server span
        self.may_ride = False
        self._read_propagators()

    def _read_propagators(self) -> None:
        self._fields = frozenset(
            name.lower().encode() for name in propagate.get_global_textmap().fields
        )
        # With other propagators than W3C's, parsing by ourselves would lose parents.
        self._own = self._fields <= _WANTED
        self._reads: frozenset[bytes] = frozenset()
        self._wanted = self._fields
        self._widened: dict[frozenset[bytes], frozenset[bytes]] = {}

    def _widen(self, reads: frozenset[bytes]) -> None:
        """Look for what other plans read too: of these there are a few kinds."""
        if reads not in self._widened:
            self._widened[reads] = self._fields | reads
        self._reads, self._wanted = reads, self._widened[reads]

    def open(self, exchange: Exchange) -> None:
        """Give the exchange its trace id, span id and, if we own one, its span.

        And, of the same pass over its headers, those that its plan reads.
        """
        if exchange.started_ns >= self._look_at_ns:
            self.look(exchange.started_ns)
        active, said, carrier = _current(), None, None
        if exchange.plan.reads is not self._reads:
            self._widen(exchange.plan.reads)
        wanted = self._wanted
        for name, value in exchange.scope["headers"]:
            if name in wanted:
                if name in self._fields:
                    carrier = carrier or {}
                    carrier[name] = value
                elif said is None:
                    said = exchange.said = {name: value}
                else:
                    said[name] = value
        if active and self._ride(exchange):
            return
        if self._opens and exchange.scope["type"] == "http":
            self._start(exchange, carrier, active)
        elif carrier:
            self._join(exchange, carrier)
        else:
            exchange.trace_id, exchange.span_id, exchange.traceresponse = new_ids()

    def look(self, now_ns: int) -> None:
        """Read what is configured: the provider, and who opens the server span.

        Once a second, as asking costs a microsecond a request.
        """
        self._look_at_ns = now_ns + _LOOK_NS
        provider = trace.get_tracer_provider()
        if provider is not self._provider:
            self._take(provider)
        is_inside = self.opens_inside()
        self._opens = self._tracer is not None and not is_inside
        self.may_ride = self._tracer is not None or is_inside

    @staticmethod
    def _ride(exchange: Exchange) -> bool:
        """Take the ids of an active span of this process, if there is one."""
        current = trace.get_current_span()
        context = current.get_span_context()
        if not context.is_valid or context.is_remote:
            return False
        _adopt(exchange, context)
        exchange.span = current if current.is_recording() else None
        return True

    def _take(self, provider: Any) -> None:
        """Remember the configured provider's tracer; None while there is no SDK."""
        self._provider = provider
        self._read_propagators()  # they are configured along with it
        self._tracer = self._should_sample = None
        self._bound = NEVER
        if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
            return
        tracer = provider.get_tracer("failsoft")
        if isinstance(tracer, trace.NoOpTracer):
            return
        self._tracer = tracer
        # Both are the SDK's public attributes; another implementation of the API
        # may lack them, and then starts every span by itself.
        if hasattr(tracer, "id_generator"):
            sampler = getattr(tracer, "sampler", None)
            self._should_sample = getattr(sampler, "should_sample", None)
            if self._should_sample is not None:
                self._bound = root_bound(sampler)

    def _join(self, exchange: Exchange, carrier: Mapping[bytes, bytes]) -> None:
        parent = self._parent(carrier)
        if parent is None:
            exchange.trace_id = _bits(128) or 1
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
        self, exchange: Exchange, carrier: Mapping[bytes, bytes] | None, active: Any
    ) -> None:
        parent = self._parent_context(carrier) if carrier else None
        trace_id, span_id, told = new_ids()
        span: trace.Span
        is_dropped = trace_id & LOW_64 >= self._bound or exchange.plan.scalars.quiet
        if parent is None and is_dropped:
            exchange.trace_id, exchange.span_id = trace_id, span_id
            exchange.traceresponse = told
            span = _Unsampled(trace_id, span_id, None)
        else:
            trace_id = _trace_id_of(parent) or trace_id
            span = self._decide(exchange, parent, trace_id)
            if span.is_recording():
                exchange.span = span
                span.set_attributes(_details(exchange.scope))
        # Also when not sampled: a child must see that, and propagate these ids.
        if parent is None and not active:
            exchange.token = _attach(_Context({_SPAN_KEY: span}))
        else:
            exchange.token = _attach(trace.set_span_in_context(span, parent))

    def _decide(self, exchange: Exchange, parent: Any, trace_id: int) -> trace.Span:
        """Ask the sampler; a request that is not sampled gets a cheap stand-in.

        The SDK's own non-recording span costs 3.7 us, asking its sampler and
        making the stand-in 1.7 us (medians of 20,000).
        """
        scope = exchange.scope
        name, attributes = self._described(exchange.plan, scope["method"])
        attributes["url.path"] = scope["path"]
        attributes["url.scheme"] = scope.get("scheme", "http")
        if self._should_sample is None:
            return _started(self._tracer, exchange, name, parent, attributes)
        result = self._should_sample(
            parent, trace_id, name, SpanKind.SERVER, attributes, ()
        )
        if not result.decision.is_recording():
            exchange.trace_id, exchange.span_id = trace_id, _bits(64) or 1
            return _Unsampled(trace_id, exchange.span_id, result.trace_state)
        # A copy, so that decision and ids belong to this one span.
        tracer = copy(self._tracer)
        decided = _Decided(trace_id, _bits(64) or 1, result)
        tracer.sampler = tracer.id_generator = decided
        return _started(tracer, exchange, name, parent, attributes)

    def _described(self, plan: Plan, method: str) -> tuple[str, dict[str, Any]]:
        """Return the span's name and a fresh dict of its first attributes."""
        known = self._names.get((plan.key, method))
        if known is None:
            known = _describe(plan, method)
            if method in _METHODS:
                self._names[plan.key, method] = known
        return known[0], known[1].copy()

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
        scope = exchange.scope
        is_told = "fastapi.telemetry" in scope or "starlette.opentelemetry" in scope
        if not is_told and self._tracer is None:
            return
        current = trace.get_current_span()
        context = current.get_span_context()
        # Instrumentation that leaves no word in the scope: another trace than the
        # one joined here can only be its; within the same one it may be a child.
        if context.is_valid and (is_told or context.trace_id != exchange.trace_id):
            _adopt(exchange, context)
            exchange.span = current if current.is_recording() else None

    def close(self, exchange: Exchange) -> None:
        """Write what came of the request on the span, and end the span if ours."""
        span, token = exchange.span, exchange.token
        if span is not None and span.is_recording():
            _annotate(span, exchange)
        if token is None:
            return
        try:
            _detach(token)
        except ValueError:  # closed in another context than it was opened in
            _log.debug("the span's context could not be left", exc_info=True)
        if span is not None:
            span.end()


def _describe(plan: Plan, method: str) -> tuple[str, dict[str, Any]]:
    """Return the span's name and first attributes (HTTP semantic conventions)."""
    attributes: dict[str, Any] = {}
    if method not in _METHODS:
        attributes["http.request.method_original"] = method
        method = "_OTHER"
    attributes["http.request.method"] = method
    if not plan.template.startswith("/"):
        return method, attributes
    attributes["http.route"] = plan.template
    return f"{method} {plan.template}", attributes


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
    exchange.traceresponse = b""


def _annotate(span: Any, exchange: Exchange) -> None:
    span.set_attribute("failsoft.revision", exchange.snapshot.revision)
    if exchange.snapshot.modes:
        span.set_attribute("failsoft.mode", ",".join(exchange.snapshot.modes))
    if exchange.version:
        span.set_attribute("failsoft.version", exchange.version)
    if exchange.consumer:
        span.set_attribute("failsoft.consumer", exchange.consumer)
    if exchange.drift:
        span.set_attribute("failsoft.drift", exchange.drift)
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
