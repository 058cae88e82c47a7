"""`failsoft versions|brownout|drift|tolerance` against a real server and node."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

from e2e.verbs import Run, runner
from failsoft import Failsoft
from failsoft.store.redis.store import RedisStore
from failsoft.store.usage import Called
from failsoft.testing import RedisServer, contracts, redis_server
from failsoft.versions import Contract, Header, Version, add, rename
from load.servers import accepts, eventually, free_port

ENV = "shop"
OLD, MIDDLE, NEW = "2025-01-15", "2025-06-01", "2026-02-01"
SURE = ("-m", "INC-311", "--confirm", ENV)
MAIL = "ana@example.org"

CONTRACT = Contract(
    versions=[
        Version(OLD, deprecated="2025-06-01", sunset="2098-01-01"),
        Version(MIDDLE, rename("Order.email", to="customer_email")),
        Version(NEW, add("Order.currency", default="EUR")),
    ],
    read=[Header("X-API-Version")],
    default="oldest",
)


class Order(BaseModel):
    """As the newest version knows it."""

    model_config = ConfigDict(strict=True)
    customer_email: str
    qty: int = 1
    currency: str = "EUR"


class Reply(NamedTuple):
    """One answer of the node."""

    status: int
    headers: dict[str, str]
    body: Any


class Node:
    """A served application, and a client of it that calls itself ios."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, version: str = "", body: Any = None) -> Reply:
        """Send one request; "" asks for no version."""
        headers = {"User-Agent": "ios/3.1", "Content-Type": "application/json"}
        if version:
            headers["X-API-Version"] = version
        link = HTTPConnection("127.0.0.1", self.port, timeout=10)
        text = None if body is None else json.dumps(body)
        link.request(method, path, text, headers)
        reply = link.getresponse()
        found = json.loads(reply.read())
        link.close()
        told = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, told, found)


def orders() -> FastAPI:
    app = FastAPI()

    @app.post("/orders")
    def make(order: Order) -> Order:
        return order

    @app.get("/orders/{id}")
    def show(id: int) -> Order:
        return Order(customer_email=MAIL, qty=id)

    return app


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server(own=True) as running:
        yield running


@pytest.fixture(scope="module")
def node(server: RedisServer) -> Iterator[Node]:
    port = free_port()
    guarded = Failsoft(orders(), redis_url=server.url, env=ENV, contract=CONTRACT)
    config = uvicorn.Config(guarded, port=port, log_level="warning")
    served = uvicorn.Server(config)
    thread = threading.Thread(target=served.run)
    thread.start()
    try:
        eventually(lambda: accepts(port))
        yield Node(port)
    finally:
        served.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def run(
    server: RedisServer,
    node: Node,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run a verb in this process, on that server."""
    monkeypatch.setenv("FAILSOFT_REDIS_URL", server.url)
    monkeypatch.setenv("FAILSOFT_ENV", ENV)
    return runner(capsys)


def test_a_brownout_refuses_one_version_until_it_is_stopped(
    run: Run, node: Node
) -> None:
    start = run("brownout", "start", f"version:{OLD}", "--for", "1m", *SURE, "--json")
    refused = node.ask("GET", "/orders/7", OLD)
    other = node.ask("GET", "/orders/7", NEW)
    listed = run("brownout", "list", "--json").json["brownouts"]
    stop = run("brownout", "stop", OLD, *SURE)
    served = node.ask("GET", "/orders/7", OLD)

    assert (start.code, start.json["acks"][0]["state"]) == (0, "enforces")
    assert (refused.status, refused.body["type"]) == (
        503,
        "urn:failsoft:problem:brownout",
    )
    assert 50 <= int(refused.headers["retry-after"]) <= 60
    assert (other.status, served.status, stop.code) == (200, 200, 0)
    assert [(one["name"], one["state"]) for one in listed] == [(OLD, "open")]


def test_a_pin_decides_where_a_consumer_asks_for_no_version(
    run: Run, node: Node
) -> None:
    before = node.ask("GET", "/orders/7")
    pin = run("versions", "pin", "ios-3", MIDDLE, *SURE)
    pinned = node.ask("GET", "/orders/7")
    explicit = node.ask("GET", "/orders/7", NEW)
    undone = run("undo", "-m", "INC-311")
    after = node.ask("GET", "/orders/7")

    assert (pin.code, undone.code) == (0, 0)
    assert f"no pin, default oldest -> {MIDDLE}" in pin.out
    versions = [reply.headers["x-api-version"] for reply in (before, pinned, explicit)]
    assert versions == [OLD, MIDDLE, NEW]
    assert after.headers["x-api-version"] == OLD


def test_a_sunset_moves_on_every_answer(run: Run, node: Node) -> None:
    moved = run("versions", "sunset", OLD, "2099-01-01", *SURE)
    earlier = run("versions", "sunset", OLD, "2097-01-01", *SURE)

    assert moved.code == 0
    assert node.ask("GET", "/orders/7", OLD).headers["sunset"] == (
        "Thu, 01 Jan 2099 00:00:00 GMT"
    )
    assert (earlier.code, "later than the declared sunset" in earlier.err) == (2, True)


def test_drift_is_listed_acked_and_tolerated_by_its_id(
    run: Run, node: Node, tmp_path: Path
) -> None:
    body = {"email": MAIL, "qty": "2", "colour": 1}
    refused = node.ask("POST", "/orders", OLD, body)
    rows = eventually(lambda: _drift(run, 3))
    qty, extra = rows["coerced"]["id"], rows["unknown"]["id"]
    ack = run("drift", "ack", extra[:8], "-m", "known")
    suggested = run("tolerance", "suggest", "--json").json["suggestions"]
    added = run("tolerance", "add", f"drift:{qty}", *SURE)
    repaired = node.ask("POST", "/orders", OLD, body)
    shown = run("drift", "show", qty).out
    report = run("drift", "report", "--format", "markdown", "--fail-on", "breaking")
    ended = run("tolerance", "end", f"string_to_number-{qty[:8]}", *SURE)
    out = tmp_path / "drift.jsonl"
    exported = run("drift", "export", "--out", str(out))
    cases = contracts.from_drift(out, Failsoft(orders(), contract=CONTRACT))

    assert (refused.status, repaired.status) == (422, 200)
    assert repaired.body == {"email": MAIL, "qty": 2}
    assert (ack.code, added.code, ended.code, exported.code) == (0, 0, 0, 0)
    assert [one["entry"]["id"] for one in suggested] == [qty]
    assert f"string_to_number-{qty[:8]}" in shown
    assert (report.code, "request-property-type-changed" in report.out) == (1, True)
    assert _drift(run, 3)["unknown"]["acked_by"].endswith("?")
    assert {json.loads(line)["id"] for line in out.read_text().splitlines()} >= {qty}
    for case in cases:
        case.check()
    sent = [json.loads(case.body) for case in cases]
    assert any(body["qty"] == "7" for body in sent)
    assert any("colour" in body for body in sent)


def _drift(run: Run, least: int) -> dict[str, Any]:
    found = run("drift", "list", "--json").json["drift"]
    return {one["kind"]: one for one in found} if len(found) >= least else {}


def test_who_would_break_is_told_and_the_document_of_a_version(
    run: Run, node: Node, server: RedisServer
) -> None:
    asyncio.run(_used(server.url, Called(OLD, "POST /orders", "android-7")))
    impact = run("versions", "impact", OLD, "--json").json
    unknown = run("versions", "impact", "2025-01-16")
    listed = run("versions", "list", "--json").json
    document = run("versions", "openapi", OLD, "--node", node.url).json
    refused = run("versions", "openapi", "1999-01-01", "--node", node.url)

    broken = {one["use"]["consumer"]: one["breaks"] for one in impact["uses"]}
    assert [one["op"] for one in broken["android-7"]] == [
        "rename Order.email to customer_email"
    ]
    assert (unknown.code, OLD in unknown.err) == (2, True)
    assert [one["id"] for one in listed["versions"]] == [NEW, MIDDLE, OLD]
    assert "email" in document["components"]["schemas"]["Order"]["properties"]
    assert (refused.code, f"known are {OLD}" in refused.err) == (2, True)


async def _used(url: str, called: Called) -> None:
    """Count a call at once: nodes report theirs each ten seconds."""
    store = RedisStore(url, ENV)
    await store.usage_add({called: 3})
    await store.aclose()
