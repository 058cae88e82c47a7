"""Real third parties behind real clients of both modules, sync and async."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
from pydantic import BaseModel

import failsoft
from e2e.kept import everything_in
from e2e.third_party import BAD, CANARIES, GOOD, ThirdParty, serving
from failsoft.cli import run
from failsoft.outbound._transport import open_transport
from failsoft.settings import DependencySettings
from failsoft.testing import RedisServer
from load.servers import clean_environ, eventually
from unit.outbound.seen import Seen, document

pytestmark = pytest.mark.anyio

FOUND = [
    ("/{*}", "unknown", "str"),
    ("/amount", "type", "str"),
    ("/note", "null", "null"),
]


@pytest.fixture(scope="module")
def third_party() -> Iterator[tuple[str, ThirdParty]]:
    app = ThirdParty()
    with serving(app) as url:
        yield url, app


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    found: ModuleType = request.param
    return found


@pytest.fixture
def contract(tmp_path: Path) -> str:
    path = tmp_path / "third.json"
    doc = document()
    schema = doc["paths"]["/charges/{id}"]["get"]["responses"]["200"]
    schema["content"]["application/json"]["schema"]["properties"]["note"] = {
        "type": "string"
    }
    path.write_text(json.dumps(doc))
    return str(path)


@pytest.fixture
def seen() -> Seen:
    return Seen(version_header="api-version")


@pytest.fixture
def watched(contract: str, seen: Seen) -> Callable[..., Any]:
    def make(inner: Any = None) -> Any:
        given = ("third", DependencySettings(contract=contract))
        return open_transport(given, lambda: seen, None, inner)

    return make


@pytest.fixture
def client(
    module: ModuleType, third_party: tuple[str, ThirdParty], watched: Callable[..., Any]
) -> Iterator[Any]:
    with module.Client(base_url=third_party[0], transport=watched()) as made:
        yield made


@pytest.fixture
async def async_client(
    module: ModuleType, third_party: tuple[str, ThirdParty], watched: Callable[..., Any]
) -> AsyncIterator[Any]:
    inner = module.AsyncHTTPTransport(retries=1)
    async with module.AsyncClient(
        base_url=third_party[0], transport=watched(inner)
    ) as made:
        yield made


def test_a_sync_client_reads_what_it_would_and_drift_is_on_record(
    client: Any, seen: Seen
) -> None:
    bodies = [client.get(f"/charges/{kind}").json() for kind in ("good", "bad")]

    assert bodies == [GOOD, BAD]
    assert eventually(lambda: sorted(seen.findings) == sorted(FOUND))
    assert client.get("/charges/packed").json() == BAD
    assert eventually(lambda: len(seen.findings) == 2 * len(FOUND))
    assert (seen.faults, seen.skipped) == ([], [])


async def test_an_async_client_reads_what_it_would_and_drift_is_on_record(
    async_client: Any, seen: Seen
) -> None:
    answers = [await async_client.get(f"/charges/{k}") for k in ("bad", "packed")]

    assert [answer.json() for answer in answers] == [BAD, BAD]
    assert answers[0].elapsed.total_seconds() > 0
    assert eventually(lambda: len(seen.findings) == 2 * len(FOUND))
    assert (seen.faults, seen.skipped) == ([], [])


async def test_a_chunk_reaches_the_caller_before_the_next_one_is_sent(
    async_client: Any, client: Any, seen: Seen, third_party: tuple[str, ThirdParty]
) -> None:
    _, app = third_party

    app.released.clear()
    async with async_client.stream("GET", "/charges/held") as answer:
        chunks = answer.aiter_bytes()
        body = await anext(chunks)
        app.released.set()
        body += b"".join([chunk async for chunk in chunks])
    assert json.loads(body) == BAD

    app.released.clear()
    with client.stream("GET", "/charges/held") as answer:
        parts = answer.iter_bytes()
        body = next(parts)
        app.released.set()
        body += b"".join(parts)
    assert json.loads(body) == BAD
    assert eventually(lambda: len(seen.findings) == 2 * len(FOUND))


async def test_an_answer_left_early_is_closed_and_counted(
    async_client: Any, client: Any, seen: Seen, third_party: tuple[str, ThirdParty]
) -> None:
    third_party[1].released.clear()
    async with async_client.stream("GET", "/charges/held") as answer:
        await anext(answer.aiter_bytes())
    with client.stream("GET", "/charges/held") as answer:
        next(answer.iter_bytes())
    third_party[1].released.set()

    assert seen.skipped == ["unread", "unread"]
    assert (await async_client.get("/charges/good")).json() == GOOD
    assert client.get("/charges/good").json() == GOOD
    assert seen.findings == []


async def test_connections_are_used_again(async_client: Any, client: Any) -> None:
    mine = {client.get("/charges/port").json()["amount"] for _ in range(5)}
    theirs = [(await async_client.get("/charges/port")).json() for _ in range(5)]

    assert len(mine) == 1
    assert len({body["amount"] for body in theirs}) == 1


def test_announcements_of_a_real_answer_are_noted(client: Any, seen: Seen) -> None:
    client.get("/charges/ending")

    assert eventually(lambda: seen.notes)
    ((operation, said),) = seen.notes
    assert operation == "GET /charges/{id}"
    assert (said.sunset_at, said.version) == (1_604_188_799, "v2")


def test_a_call_that_fails_fails_as_without_us(
    module: ModuleType, watched: Callable[..., Any]
) -> None:
    with (
        module.Client(transport=watched()) as client,
        pytest.raises(module.ConnectError),
    ):
        client.get("http://127.0.0.1:9/charges/1")


def test_a_fault_of_ours_fails_no_call(
    module: ModuleType, third_party: tuple[str, ThirdParty]
) -> None:
    class Broken(Seen):
        def settings_of(self, dependency: str) -> DependencySettings:
            raise RuntimeError("ours")

    seen = Broken()
    made = open_transport(("x", DependencySettings()), lambda: seen, None, None)
    with module.Client(base_url=third_party[0], transport=made) as client:
        assert client.get("/charges/good").json() == GOOD
    assert seen.faults == ["watching x: ours"]


def test_a_mock_of_the_module_is_watched_too(
    module: ModuleType, watched: Callable[..., Any], seen: Seen
) -> None:
    mock = module.MockTransport(lambda request: module.Response(200, json=BAD))
    with module.Client(base_url="http://x.test", transport=watched(mock)) as client:
        assert client.get("/charges/1").json() == BAD

    assert eventually(lambda: sorted(seen.findings) == sorted(FOUND))


class Charge(BaseModel):
    id: str
    amount: int
    note: str | None


def test_models_are_a_contract_and_the_runtime_keeps_the_record_without_values(
    module: ModuleType,
    redis_server: RedisServer,
    third_party: tuple[str, ThirdParty],
    capsys: pytest.CaptureFixture[str],
) -> None:
    redis_server.ask("FLUSHALL")
    models = {("get", "/charges/{id}"): Charge}
    made = failsoft.http_transport("third", models=models)
    with module.Client(base_url=third_party[0], transport=made) as client:
        client.get("/charges/bad")  # nobody there yet
        failsoft.start(url=redis_server.url, env="third")
        try:
            client.get("/charges/bad")
            client.get("/charges/ending")
            began = time.monotonic()
            assert eventually(lambda: redis_server.ask("EXISTS", *KEYS) == "2")
            assert time.monotonic() - began < 2.5
        finally:
            failsoft.stop()

    words = ("dependencies", "--redis", redis_server.url, "--env", "third")
    assert run([*words]) == 0
    lines = capsys.readouterr().out
    assert "third       GET /charges/{id}  -           2020-10-31" in lines
    assert run([*words, "--json"]) == 0
    (peer,) = json.loads(capsys.readouterr().out)["dependencies"]
    assert (peer["sunset"], peer["days_left"] < 0) == ("2020-10-31", True)
    held = everything_in(redis_server.url)
    assert b"/amount" in held
    assert not [canary for canary in CANARIES if canary.encode() in held]


KEYS = ("fs:{third}:obs:1:drift:d", "fs:{third}:obs:1:peer:notes")


def test_a_forked_child_watches_though_its_parent_was_loading(
    contract: str, tmp_path: Path
) -> None:
    program = Path(__file__).parent / "forked_tap.py"
    tests = str(Path(__file__).parents[1])

    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)],
        env=clean_environ() | {"PYTHONPATH": tests},
        capture_output=True,
        timeout=20,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"contract": "none.json"}, "there is no file 'none.json'"),
        ({"contract": "a.json", "models": {}}, "has both contract and models"),
        ({"name": "a b"}, "write the name in letters"),
    ],
)
def test_a_transport_that_cannot_watch_is_refused_where_it_is_made(
    how: dict[str, Any], says: str
) -> None:
    with pytest.raises(failsoft.FailsoftError, match=says):
        failsoft.http_transport(**({"name": "x"} | how))
