"""The witness must be right before it may contradict anybody."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from load.openloop import Load, Node, Report, Request, Sample

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 503 Nope\r\nContent-Length: 0\r\n\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\n1\r\nd\r\n0\r\ntrailer: t\r\n\r\n"
)
CLOSING = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
UNSIZED = b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
GET = (Request("GET /x"),)


@asynccontextmanager
async def serving(answer: Callable[[], bytes], wait_s: float = 0) -> AsyncIterator[str]:
    """Answer each request on loopback; hang up after what says so."""

    async def connection(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(wait_s)
            raw = answer()
            writer.write(raw)
            if raw in (CLOSING, UNSIZED):
                return

    open_ones: set[asyncio.Task[None]] = set()

    async def until_gone(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if task := asyncio.current_task():
            open_ones.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await connection(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(until_gone, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*open_ones)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.mark.anyio
async def test_every_request_is_counted_by_its_status() -> None:
    answers = itertools.cycle([OK, OK, OK, REFUSED])
    async with serving(lambda: next(answers)) as url:
        report = await Load([url], rate=400, seconds=0.5, requests=GET).run()

    assert report.by_status() == {"200": 150, "503": 50}
    assert report.error_ratio() == 0.25
    assert sum(sum(second.values()) for second in report.per_second()) == 200


@pytest.mark.anyio
@pytest.mark.parametrize("raw", [OK, CHUNKED, CLOSING, UNSIZED])
async def test_every_way_to_end_a_body_is_read(raw: bytes) -> None:
    async with serving(lambda: raw) as url:
        report = await Load([url], rate=200, seconds=0.2, requests=GET).run()

    assert report.by_status() == {"200": 40}


@pytest.mark.anyio
async def test_arrivals_do_not_wait_for_answers() -> None:
    async with serving(lambda: OK, wait_s=0.3) as url:
        load = Load([url], rate=200, seconds=0.25, requests=GET)
        report = await load.run()

    first, last = report.samples[0].at, report.samples[-1].at
    assert report.by_status() == {"200": 50}
    assert last - first < 0.5
    assert (report.percentile_ms(0.5) or 0) >= 300


@pytest.mark.anyio
async def test_the_first_refusal_is_told_for_each_node() -> None:
    async with serving(lambda: OK) as well, serving(lambda: REFUSED) as refusing:
        load = Load([well, refusing], rate=200, seconds=0.2, requests=GET)
        report = await load.run()

    first = report.first_refusal()
    assert list(first) == [port_of(refusing)]
    assert 0 <= first[port_of(refusing)] - report.started_at < 0.2
    assert report.first_refusal(after=report.started_at + 60) == {}


@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_counted_as_broken() -> None:
    async with serving(lambda: OK) as url:
        pass

    report = await Load([url], rate=100, seconds=0.1, requests=GET).run()

    assert report.by_status() == {"broken": 10}
    assert report.error_ratio() == 1.0


@pytest.mark.anyio
async def test_a_late_answer_is_counted_as_a_timeout() -> None:
    async with serving(lambda: OK, wait_s=1) as url:
        load = Load([url], rate=100, seconds=0.05, requests=GET, timeout_s=0.1)
        report = await load.run()

    assert report.by_status() == {"timeout": 5}


@pytest.mark.anyio
async def test_a_connection_idle_for_long_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = []
    real = asyncio.open_connection

    async def connect(*at: Any) -> Any:
        opened.append(at)
        return await real(*at)

    monkeypatch.setattr(asyncio, "open_connection", connect)
    async with serving(lambda: OK) as url:
        node = Node(url)
        for idle_s in (3.0, 3.0, -1.0):
            monkeypatch.setattr("load.openloop.IDLE_S", idle_s)
            await node.ask(GET[0].encoded())
        await node.close()

    assert len(opened) == 2


@pytest.mark.anyio
async def test_kinds_are_sent_by_weight_and_told_apart() -> None:
    kinds = (Request("GET /a", weight=3), Request("POST /b", b"{}"))
    async with serving(lambda: OK) as url:
        report = await Load([url], rate=200, seconds=0.2, requests=kinds).run()

    assert report.of("GET /a").sent == 30
    assert report.of("POST /b").sent == 10


def test_percentiles_are_exact_by_nearest_rank() -> None:
    samples = tuple(Sample(0.0, 1, "GET /", 200, float(n), 0.0) for n in range(1, 101))
    report = Report(0.0, 100, samples[::-1])

    assert [report.percentile_ms(q) for q in (0.5, 0.95, 0.99, 1.0)] == [
        50,
        95,
        99,
        100,
    ]
    assert Report(0.0, 0, ()).percentile_ms(0.5) is None


@pytest.mark.parametrize("url", ["http://example.com:80", "http://127.0.0.1"])
def test_load_never_leaves_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match="a port of this machine only"):
        Load([url], rate=1, seconds=1, requests=GET)


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (9999, 1), (1, 0), (1, 7200)])
def test_load_is_bounded(rate: float, seconds: float) -> None:
    with pytest.raises(ValueError, match=r"rate|seconds"):
        Load(["http://127.0.0.1:1"], rate, seconds, GET)
