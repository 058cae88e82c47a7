"""A transport for httpx and httpx2: refuses, bounds and repeats calls, and watches.

One object serves sync and async clients of both: what they need of the module in
use is taken from it with the first request.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

from failsoft import clock, dice
from failsoft.errors import CallError, CallTimeout, DeadlineExceeded, DefinitionError
from failsoft.outbound._attempt import Attempt, Ended, Tries, held_attempt
from failsoft.outbound._classify import IGNORED, outcome_of_status, slow_after
from failsoft.outbound._contract import Contract
from failsoft.outbound._dependency import is_on_loop
from failsoft.outbound._gate import Gate
from failsoft.outbound._httpx import (
    Body,
    OutOfTime,
    as_theirs,
    bounded,
    leave_behind,
    module_of,
    outcome_of_theirs,
    send_detachable,
    streams,
)
from failsoft.outbound._openapi import MAX_BYTES, compile_document, read_document
from failsoft.outbound._quota import ANNOUNCING, NOTHING, read_announced
from failsoft.outbound._retry import is_repeatable
from failsoft.outbound._stage import OTHER, Dependencies
from failsoft.outbound._tap import Asked, Copy, Peers, Tap
from failsoft.settings import DependencySettings, is_dependency

__all__ = ["DependencyTransport", "open_transport"]

_JOBS_KEPT = 64
_ANNOUNCING = frozenset(name.encode() for name in ANNOUNCING)
Models = Mapping[tuple[str, str], Any]


class DependencyTransport:
    """Hands calls that may be sent to another transport, and learns from answers.

    name: of the dependency, "" to find it by the host.  find_gates: the dependencies
    of the running request or process.  make_tap: makes what watches the answers of
    one of them.  inner: the transport that does the work; None = the client's own,
    with its defaults: one for each kind of client.
    """

    def __init__(
        self,
        name: str,
        find_gates: Callable[[], Dependencies],
        make_tap: Callable[[str], Tap],
        inner: Any = None,
    ) -> None:
        self._name = name
        self._find_gates = find_gates
        self._make_tap = make_tap
        self._taps: dict[str, Tap] = {}
        self._inner = inner
        self._made: dict[tuple[str, bool], Any] = {}

    def _gate_of(self, request: Any) -> Gate:
        gates = self._find_gates()
        if self._name:
            return gates.of(self._name)
        return gates.at_host(request.url.host, request.url.port)

    def _tap_of(self, name: str) -> Tap:
        tap = self._taps.get(name)
        if tap is None:
            tap = self._taps.setdefault(name, self._make_tap(name))
            _TAPS.add(tap)
        return tap

    def _sender(self, request: Any, *, is_async: bool) -> Any:
        if self._inner is not None:
            return self._inner
        module: Any = module_of(request)
        made = self._made.get((module.__name__, is_async))
        if made is None:
            kind = module.AsyncHTTPTransport if is_async else module.HTTPTransport
            # Of two threads that make one, the second gets the first one's.
            made = self._made.setdefault((module.__name__, is_async), kind())
        return made

    def _senders(self, *, is_async: bool) -> list[Any]:
        made = [each for key, each in list(self._made.items()) if key[1] is is_async]
        return made if self._inner is None else [self._inner]

    def _is_foreign(self, request: Any) -> bool:
        """Whether neither module made it: it is passed on, and nothing more."""
        try:
            module_of(request)
        except TypeError as error:
            self._tap_of(self._name or OTHER).failed(error)
            return True
        return False

    # --- one request, in a thread or on a loop ------------------------------

    def handle_request(self, request: Any) -> Any:
        """Send a request; the answer is that of the inner transport."""
        if self._is_foreign(request):
            return self._sender(request, is_async=False).handle_request(request)
        gate = self._gate_of(request)
        held = held_attempt(gate)
        if held is not None:
            return self._once(held, request, is_held=True).value()
        attempt = _begun(gate, request)
        may_repeat = _may_repeat(gate, request) and not is_on_loop()
        tries = Tries(gate, may_repeat=may_repeat)
        ended = self._once(attempt, request)
        while (wait_s := tries.again_in(ended)) is not None:
            time.sleep(wait_s)
            try:
                attempt = Attempt(gate, credential=_credential_of(request)).begin()
            except CallError:
                break  # what was answered says more than that we do not ask again
            if ended.result is not None:
                with suppress(Exception):  # nobody reads it
                    ended.result.close()
            ended = self._once(attempt, request)
        return ended.value()

    def _once(self, attempt: Attempt, request: Any, *, is_held: bool = False) -> Ended:
        one = _One(attempt, request, is_held=is_held)
        sender = self._sender(request, is_async=False)
        try:
            try:
                response = sender.handle_request(one.request)
            except Exception as error:  # noqa: BLE001 - border: judged, and raised
                return one.failed(error)
            ended = one.answered(response)
            self._watch(one, response, is_async=False)
            return ended
        finally:
            one.close()

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request; the answer is that of the inner transport."""
        if self._is_foreign(request):
            sender = self._sender(request, is_async=True)
            return await sender.handle_async_request(request)
        gate = self._gate_of(request)
        held = held_attempt(gate)
        if held is not None:
            return (await self._once_async(held, request, is_held=True)).value()
        attempt = _begun(gate, request)
        tries = Tries(gate, may_repeat=_may_repeat(gate, request))
        ended = await self._once_async(attempt, request)
        while (wait_s := tries.again_in(ended)) is not None:
            await _paused(gate, ended, wait_s)
            try:
                attempt = Attempt(gate, credential=_credential_of(request)).begin()
            except CallError:
                break
            if ended.result is not None:
                leave_behind(gate, ended.result)
            ended = await self._once_async(attempt, request)
        return ended.value()

    async def _once_async(
        self, attempt: Attempt, request: Any, *, is_held: bool = False
    ) -> Ended:
        one = _One(attempt, request, is_held=is_held)
        sender = self._sender(request, is_async=True)
        try:
            try:
                response = await send_detachable(
                    attempt.gate,
                    sender.handle_async_request(one.request),
                    attempt.timeout_s,
                    one.bounds,
                )
            except OutOfTime:
                return one.out_of_time()
            except Exception as error:  # noqa: BLE001 - border: judged, and raised
                return one.failed(error)
            ended = one.answered(response)
            self._watch(one, response, is_async=True)
            return ended
        finally:
            one.close()

    def _watch(self, one: _One, response: Any, *, is_async: bool) -> None:
        """Have the body pass by us; a fault of ours fails no call."""
        tap = self._tap_of(one.attempt.gate.name)
        try:
            copy = _copy_of(tap, one.request, response)
            if response.is_closed:  # of a mock: complete, and decoded
                if copy is not None:
                    copy.add(response.content)
                    copy.end(is_inflated=True)
                return
            module: Any = module_of(one.request)
            kind = module.AsyncByteStream if is_async else module.SyncByteStream
            if isinstance(response.stream, kind):  # else the client will refuse it
                body = Body(copy, one.attempt, one.request)
                made = streams(module, clock.monotonic)[is_async]
                response.stream = made(response.stream, body)
        except Exception as error:  # noqa: BLE001 - border: the call goes on
            tap.failed(error)

    def __enter__(self) -> DependencyTransport:
        if self._inner is not None:
            self._inner.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for sender in self._senders(is_async=False):
            sender.__exit__(*error)

    async def __aenter__(self) -> DependencyTransport:
        if self._inner is not None:
            await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        for sender in self._senders(is_async=True):
            await sender.__aexit__(*error)

    def close(self) -> None:
        """Close the inner transport."""
        for sender in self._senders(is_async=False):
            sender.close()

    async def aclose(self) -> None:
        """Close the inner transport."""
        for sender in self._senders(is_async=True):
            await sender.aclose()


class _One:
    """One attempt at a request, from its bounds to its judgement."""

    __slots__ = ("_end", "_is_held", "attempt", "bounds", "request")

    def __init__(self, attempt: Attempt, request: Any, *, is_held: bool) -> None:
        self.attempt = attempt
        self._is_held = is_held
        self._end = attempt.hear if is_held else attempt.end
        self.request, self.bounds = bounded(request, attempt)
        if attempt.gate.settings.internal:
            headers = self.request.headers = request.headers.copy()
            if attempt.timeout_s is not None:
                headers["Failsoft-Timeout-Ms"] = str(int(attempt.timeout_s * 1000))
            headers["Failsoft-Criticality"] = attempt.criticality

    def answered(self, response: Any) -> Ended:
        """Judge the head of an answer."""
        pairs = [
            (name.decode(), value.decode("latin-1"))
            for raw, value in response.headers.raw
            if (name := raw.lower()) in _ANNOUNCING
        ]
        said, has_wait = NOTHING, False
        if pairs:
            said = read_announced(pairs, clock.unix())
            has_wait = any(name == "retry-after" for name, _ in pairs)
        outcome = outcome_of_status(response.status_code, has_retry_after=has_wait)
        slow_s = slow_after(self.bounds.get("read"), None)
        outcome = self._end(outcome, str(response.status_code), slow_s=slow_s)
        self.attempt.learn(said, outcome)
        return Ended(outcome, response, None, said.retry_after_s)

    def failed(self, error: Exception) -> Ended:
        """Judge what the inner transport raised."""
        outcome = outcome_of_theirs(error, self.attempt, self.request)
        return Ended(self._end(outcome, type(error).__name__), error=error)

    def out_of_time(self) -> Ended:
        """Judge an answer that did not come in time."""
        attempt = self.attempt
        outcome = self._end(attempt.cut(), "timeout")
        name, span_s = attempt.gate.name, attempt.timeout_s or 0.0
        error: CallError
        if attempt.is_shortened:
            error = DeadlineExceeded(name, f"the deadline came after {span_s:.3f} s")
        else:
            error = CallTimeout(name, f"no answer within {span_s:g} s")
        return Ended(outcome, error=as_theirs(error, self.request))

    def close(self) -> None:
        """Give the permit back, where nothing was judged."""
        if not self._is_held:
            self.attempt.end(IGNORED)


def _begun(gate: Gate, request: Any) -> Attempt:
    try:
        return Attempt(gate, credential=_credential_of(request)).begin()
    except CallError as error:
        raise as_theirs(error, request) from None


def _credential_of(request: Any) -> int:
    """Name whose quota is used, by a hash that never leaves this process."""
    key = b""
    for raw, value in request.headers.raw:  # asking for a name reads them all, too
        name = raw.lower()
        if name == b"authorization" and value:
            return hash(value)
        if name == b"x-api-key":
            key = value
    return hash(key) if key else 0


def _may_repeat(gate: Gate, request: Any) -> bool:
    if not gate.settings.retries:
        return False
    module: Any = module_of(request)
    return is_repeatable(
        request.method,
        has_key="idempotency-key" in request.headers,
        is_replayable=isinstance(request.stream, module.ByteStream),
    )


async def _paused(gate: Gate, ended: Ended, wait_s: float) -> None:
    try:
        await asyncio.sleep(wait_s)
    except BaseException:
        if ended.result is not None:
            leave_behind(gate, ended.result)
        raise


def _copy_of(tap: Tap, request: Any, response: Any) -> Copy | None:
    peers = tap.find_peers()
    if peers is None:
        return None
    url = request.url
    asked = Asked(
        request.method,
        url.netloc.decode("ascii", "replace"),
        url.raw_path.partition(b"?")[0].decode("ascii", "replace"),
    )
    return tap.begin(peers, asked, response.status_code, response.headers.raw)


class _Worker:
    """Runs jobs in one thread, in order; the thread ends when there are no more."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._is_running = False

    def add(self, job: Callable[[], None]) -> bool:
        """Run a job later; False without room for it."""
        with self._lock:
            has_room = len(self._jobs) < _JOBS_KEPT
            if has_room:
                self._jobs.append(job)
            if self._is_running:
                return has_room
            self._is_running = True
        # A daemon: a compilation must not hold up the end of a process.
        thread = threading.Thread(
            target=self._run, name="failsoft-outbound", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the process may have no more: the next call tries again
            with self._lock:
                self._is_running = False
        return has_room

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._is_running = False
                    return
                job = self._jobs.popleft()
            job()  # jobs take their own errors
            del job


_WORKER = _Worker()
_TAPS: WeakSet[Tap] = WeakSet()


def _after_fork() -> None:
    # The parent's thread is not here; what it was amid is left half done.
    _WORKER.reset()
    for tap in list(_TAPS):
        tap.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def open_transport(
    given: tuple[str, DependencySettings],
    find_peers: Callable[[], Peers | None],
    models: Models | None,
    inner: Any,
    find_gates: Callable[[], Dependencies] | None = None,
) -> DependencyTransport:
    """Return the transport of a third party.

    given: its name, "" to go by hosts, and what code says of it.  find_gates: None
    for dependencies of its own.  Raises DefinitionError for a name, a contract or
    models that cannot be used.
    """
    name, told = given
    where = f"failsoft.http_transport({name!r})"
    faults = []
    if name and not is_dependency(name):
        faults.append(f"{where}: write the name in letters, digits and ._-")
    if not name and (told.contract or models is not None):
        faults.append(f"{where}: a contract is of one dependency; give its name")
    if told.contract and models is not None:
        faults.append(f"{where}: has both contract and models; give one of them")
    if told.contract and not Path(told.contract).is_file():
        faults.append(f"{where}: there is no file {told.contract!r}; correct contract")
    if faults:
        raise DefinitionError(faults)
    if find_gates is None:
        alone = Dependencies()
        find_gates = lambda: alone  # noqa: E731

    def make_tap(found: str) -> Tap:
        load = partial(_load, found, models)
        return Tap((found, told), find_peers, load, _WORKER.add, dice.random)

    return DependencyTransport(name, find_gates, make_tap, inner)


def _load(name: str, models: Models | None, declared: DependencySettings) -> Contract:
    if models is not None:
        from failsoft.outbound._models import compile_models

        return compile_models(models)
    path = declared.contract
    if not path:
        return Contract()
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        where = f"dependency.{name}.contract = {path!r}"
        fault = f"{where} cannot be read ({error.strerror}); correct the path"
        raise DefinitionError([fault]) from None
    return compile_document(read_document(raw, path), declared.hosts)
