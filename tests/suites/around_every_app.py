"""pytest plugin for `run_upstream.py`: failsoft around every app, for one test run.

Wraps at two seams: Starlette's `TestClient` (any ASGI app it is given, its lifespan
included) and `__call__` of Starlette and FastAPI (apps that tests drive without a
client).  The library itself never replaces anything; this file does, in a process
of its own.

SUITE_WRAP: one of `run_upstream.WRAPS`, or empty.
SUITE_PASSED: file that takes the ids of the tests that passed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

SEEN: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
INSIDE = "suite.inside"
WRAPPED = {"count": 0, "requests": 0}


class Passthrough:
    """Hands every scope on; proves that the seams themselves change nothing."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class Learnt:
    """Failsoft that knows the application's models before its first request.

    A server's first requests may come before that; here each of them counts.
    """

    def __init__(self, app: Any, **settings: Any) -> None:
        from failsoft import Failsoft

        self.app = app
        self.guarded = Failsoft(app, tracing={"traceresponse": False}, **settings)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        runtime = self.guarded.runtime
        if scope["type"] == "http" and not runtime.planner.has_learnt:
            # At once, where a server would not wait: some tests count on the order
            # of two requests that begin together.
            runtime.planner.learn(self.app, "")
            runtime.install(runtime.table)
            runtime.planner.compile_gates()
        await self.guarded(scope, receive, without_ours(send))


def without_ours(send: Any) -> Any:
    """Take what a contract adds to each answer off again: suites compare headers."""

    async def take(message: Any) -> None:
        if message["type"] == "http.response.start" and "headers" in message:
            kept = [pair for pair in message["headers"] if pair[0] != b"x-api-version"]
            message = {**message, "headers": [*map(plain_vary, kept)]}
            message["headers"] = [pair for pair in message["headers"] if pair[1]]
        await send(message)

    return take


def plain_vary(pair: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    if pair[0].lower() != b"vary":
        return pair
    names = [name.strip() for name in pair[1].split(b",")]
    return pair[0], b", ".join(n for n in names if n.lower() != b"x-api-version")


def wrapper() -> Callable[[Any], Any]:
    wrap = os.environ["SUITE_WRAP"]
    if wrap == "passthrough":
        return Passthrough
    if wrap == "versioned":
        from failsoft.versions import Contract, Version

        versions = [Version("2025-01-01"), Version("2026-01-01")]
        contract = Contract(
            versions, default="newest", cors_expose=False, exclude=["*openapi.json"]
        )
        return lambda app: Learnt(app, contract=contract)
    if wrap != "failsoft":
        return lambda app: Learnt(app, tolerance={"handling": wrap})

    from failsoft import Failsoft

    # The suites compare whole header lists, so the one header that failsoft adds
    # to every answer is switched off by its setting.
    return lambda app: Failsoft(app, tracing={"traceresponse": False})


class Around:
    """An app with failsoft around it that still answers for the app's attributes."""

    def __init__(self, app: Any, wrap: Callable[[Any], Any]) -> None:
        WRAPPED["count"] += 1
        self.inner = app
        self.outer = wrap(app)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        WRAPPED["requests"] += 1
        scope[INSIDE] = True
        try:
            await self.outer(scope, receive, send)
        finally:
            scope.pop(INSIDE, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def outside_the_loop(make: Callable[..., Any], *arguments: Any) -> Any:
    """Build a wrapper although Starlette's suite forbids file access in the loop.

    failsoft reads failsoft.toml when it is built; servers do that before serving.
    """
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return make(*arguments)
    finally:
        asyncio._set_running_loop(loop)


def wrap_every_app(wrap: Callable[[Any], Any]) -> None:
    plain_init = TestClient.__init__

    def init(self: TestClient, *args: Any, **options: Any) -> None:
        plain_init(self, *args, **options)
        transport: Any = self._transport
        self.app = transport.app = Around(self.app, wrap)

    TestClient.__init__ = init  # type: ignore[method-assign]
    for kind in application_classes():
        kind.__call__ = around_call(kind.__call__, wrap)  # type: ignore[method-assign]


def application_classes() -> list[type[Starlette]]:
    """Return Starlette, and FastAPI where it is installed: each has a `__call__`."""
    try:
        from fastapi import FastAPI
    except ImportError:
        return [Starlette]
    return [FastAPI, Starlette]


def around_call(plain: Callable[..., Any], wrap: Callable[[Any], Any]) -> Any:
    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if INSIDE in scope:
            await plain(self, scope, receive, send)
            return
        if self not in SEEN:
            SEEN[self] = outside_the_loop(Around, self, wrap)
        await SEEN[self](scope, receive, send)

    return call


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("SUITE_WRAP"):
        wrap_every_app(wrapper())


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        with open(os.environ["SUITE_PASSED"], "a") as passed:
            passed.write(report.nodeid + "\n")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(
        f"wrapped {WRAPPED['count']} apps, {WRAPPED['requests']} scopes"
    )
