"""A transport for httpx and httpx2 that observes answers while the caller reads them.

One object serves sync and async clients of both: what they need of the module in
use is taken from it with the first request.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakSet

from failsoft.errors import DefinitionError
from failsoft.outbound._contract import Contract
from failsoft.outbound._openapi import MAX_BYTES, compile_document, read_document
from failsoft.outbound._tap import Asked, Copy, Peers, Tap
from failsoft.settings import DependencySettings, is_dependency

__all__ = ["DependencyTransport", "open_transport"]

_MODULES = ("httpx", "httpx2")
_JOBS_KEPT = 64
Models = Mapping[tuple[str, str], Any]


class DependencyTransport:
    """Hands every call to another transport, and its answer to a `Tap`.

    inner: the transport that does the work; None = the client's own, with its
    defaults: one for each kind of client.
    """

    def __init__(self, tap: Tap, inner: Any = None) -> None:
        self._tap = tap
        self._inner = inner
        self._made: dict[tuple[str, bool], Any] = {}
        _TAPS.add(tap)

    def _sender(self, request: Any, *, is_async: bool) -> Any:
        if self._inner is not None:
            return self._inner
        module = _module_of(request)
        made = self._made.get((module.__name__, is_async))
        if made is None:
            kind = module.AsyncHTTPTransport if is_async else module.HTTPTransport
            # Of two threads that make one, the second gets the first one's.
            made = self._made.setdefault((module.__name__, is_async), kind())
        return made

    def _senders(self, *, is_async: bool) -> list[Any]:
        made = [each for key, each in list(self._made.items()) if key[1] is is_async]
        return made if self._inner is None else [self._inner]

    def handle_request(self, request: Any) -> Any:
        """Send a request; the answer is that of the inner transport."""
        response = self._sender(request, is_async=False).handle_request(request)
        try:
            self._watch(request, response, is_async=False)
        except Exception as error:  # noqa: BLE001 - border: the call goes on
            self._tap.failed(error)
        return response

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request; the answer is that of the inner transport."""
        sender = self._sender(request, is_async=True)
        response = await sender.handle_async_request(request)
        try:
            self._watch(request, response, is_async=True)
        except Exception as error:  # noqa: BLE001 - border: the call goes on
            self._tap.failed(error)
        return response

    def _watch(self, request: Any, response: Any, *, is_async: bool) -> None:
        peers = self._tap.find_peers()
        if peers is None:
            return
        url = request.url
        asked = Asked(
            request.method,
            url.netloc.decode("ascii", "replace"),
            url.raw_path.partition(b"?")[0].decode("ascii", "replace"),
        )
        copy = self._tap.begin(peers, asked, response.status_code, response.headers.raw)
        if copy is None:
            return
        if response.is_closed:  # of a mock: complete, and decoded
            copy.add(response.content)
            copy.end(is_inflated=True)
            return
        module = _module_of(request)
        kind = module.AsyncByteStream if is_async else module.SyncByteStream
        if isinstance(response.stream, kind):  # else the client will refuse it
            response.stream = _streams(module)[is_async](response.stream, copy)

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


def _module_of(request: Any) -> ModuleType:
    """Return httpx or httpx2, whichever made a request."""
    for kind in type(request).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in _MODULES:
            return sys.modules[name]
    raise TypeError(f"{type(request)!r} is no request of {' or '.join(_MODULES)}")


@cache
def _streams(module: Any) -> tuple[type, type]:
    """Return the sync and the async stream, which clients of a module accept."""

    class TappedStream(module.SyncByteStream):  # type: ignore[misc]
        def __init__(self, inner: Any, copy: Copy) -> None:
            self._inner = inner
            self._copy = copy

        def __iter__(self) -> Iterator[bytes]:
            add = self._copy.add
            for chunk in self._inner:
                add(chunk)
                yield chunk
            self._copy.end()

        def close(self) -> None:
            self._copy.close()
            self._inner.close()

    class AsyncTappedStream(module.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, inner: Any, copy: Copy) -> None:
            self._inner = inner
            self._copy = copy

        async def __aiter__(self) -> AsyncIterator[bytes]:
            add = self._copy.add
            async for chunk in self._inner:
                add(chunk)
                yield chunk
            self._copy.end()

        async def aclose(self) -> None:
            self._copy.close()
            await self._inner.aclose()

    return TappedStream, AsyncTappedStream


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
) -> DependencyTransport:
    """Return the transport of a third party.

    given: its name, and what code says of it.  Raises DefinitionError for a name, a
    contract or models that cannot be used.
    """
    name, told = given
    where = f"failsoft.http_transport({name!r})"
    faults = []
    if not is_dependency(name):
        faults.append(f"{where}: write the name in letters, digits and ._-")
    if told.contract and models is not None:
        faults.append(f"{where}: has both contract and models; give one of them")
    if told.contract and not Path(told.contract).is_file():
        faults.append(f"{where}: there is no file {told.contract!r}; correct contract")
    if faults:
        raise DefinitionError(faults)
    load = partial(_load, name, models)
    tap = Tap(given, find_peers, load, _WORKER.add, random.random)
    return DependencyTransport(tap, inner)


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
