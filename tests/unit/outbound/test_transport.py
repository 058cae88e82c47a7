"""Clients around the tap: their own transports, threads, settings from a file."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

from failsoft.outbound._transport import open_transport
from failsoft.settings import DependencySettings, load_settings
from load.servers import eventually
from unit.outbound.seen import Seen, document

pytestmark = pytest.mark.anyio
BAD = {"id": "1", "amount": "5"}


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    found: ModuleType = request.param
    return found


def watched(module: Any, seen: Seen, answer: Any, **given: Any) -> Any:
    mock = module.MockTransport(answer)
    return open_transport(
        ("x", DependencySettings(**given)), lambda: seen, given.get("models"), mock
    )


def test_the_contract_of_settings_alone_is_enough(module: Any, tmp_path: Path) -> None:
    (tmp_path / "third.json").write_text(json.dumps(document()))
    toml = '[dependency.x]\ncontract = "third.json"\n'
    (tmp_path / "failsoft.toml").write_text(toml)
    seen = Seen()
    seen.settings = load_settings({}, {}, tmp_path).dependencies["x"]
    made = watched(module, seen, lambda _: module.Response(200, json=BAD))

    with module.Client(transport=made, base_url="http://x.test") as client:
        client.get("/charges/1")

    assert eventually(lambda: seen.findings) == [("/amount", "type", "str:int")]


def test_a_contract_that_is_not_there_is_told_with_its_key(module: Any) -> None:
    seen = Seen(contract="/none.json")
    made = watched(module, seen, lambda _: module.Response(200, json=BAD))

    with module.Client(transport=made, base_url="http://x.test") as client:
        assert client.get("/charges/1").json() == BAD

    (fault,) = eventually(lambda: seen.faults)
    assert "dependency.x.contract = '/none.json' cannot be read" in fault


def test_calls_of_many_threads_are_all_judged(module: Any, tmp_path: Path) -> None:
    (tmp_path / "third.json").write_text(json.dumps(document()))
    seen = Seen(contract=str(tmp_path / "third.json"))
    seen.walks = 10_000
    made = watched(module, seen, lambda _: module.Response(200, json=BAD))
    with module.Client(transport=made, base_url="http://x.test") as client:
        client.get("/charges/1")
        eventually(lambda: seen.findings)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: client.get(f"/charges/{n}"), range(400)))

    assert {answer.status_code for answer in answers} == {200}
    assert eventually(lambda: len(seen.findings) == 401)
    assert (seen.faults, seen.skipped) == ([], [])


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf{}",
        '{"id": "1", "amount": 1}'.encode("utf-16"),
        b'{"id": "1", "amount": 1e400}',
        b'{"id": "1", "amount": ' + b"7" * 5000 + b"}",
        b'{"id": "\\ud800", "amount": NaN}',
        b'{"id": "1", "amount": 1, "amount": 2}',
        b"[" * 60_000,
        b"\xff\xfe\x00",
        json.dumps({f"k{n}": n for n in range(5_000)}).encode(),
    ],
    ids=[
        "bom",
        "utf16",
        "1e400",
        "5000 digits",
        "surrogate",
        "twice",
        "deep",
        "no",
        "keys",
    ],
)
async def test_hostile_bodies_reach_the_caller_as_they_are(
    module: Any, tmp_path: Path, body: bytes
) -> None:
    (tmp_path / "third.json").write_text(json.dumps(document()))
    seen = Seen(contract=str(tmp_path / "third.json"))
    json_type = {"content-type": "application/json"}
    made = watched(
        module, seen, lambda _: module.Response(200, content=body, headers=json_type)
    )

    async with module.AsyncClient(transport=made, base_url="http://x.test") as client:
        for _ in range(2):
            assert (await client.get("/charges/1")).content == body

    assert seen.faults == []
    assert len(seen.findings) <= 200


def test_a_request_of_neither_module_is_told_and_answered(module: Any) -> None:
    class Foreign:
        """Looks like a request."""

        method, url = "GET", module.URL("http://x.test/charges/1")

    class Inner:
        def handle_request(self, request: object) -> Any:
            return module.Response(200, stream=module.ByteStream(b"{}"))

    seen = Seen()
    made = open_transport(("x", DependencySettings()), lambda: seen, None, Inner())

    assert made.handle_request(Foreign()).status_code == 200


async def test_clients_of_both_kinds_and_modules_share_one_object() -> None:
    made: Any = open_transport(("x", DependencySettings()), lambda: None, None, None)

    for module in (httpx, httpx2):
        async with module.AsyncClient(transport=made) as slow:
            with pytest.raises(module.ConnectError):
                await slow.get("http://127.0.0.1:9")
        with (
            module.Client(transport=made) as client,
            pytest.raises(module.ConnectError),
        ):
            client.get("http://127.0.0.1:9")


def test_a_process_that_may_have_no_more_threads_calls_on(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    (tmp_path / "third.json").write_text(json.dumps(document()))
    seen = Seen(contract=str(tmp_path / "third.json"))
    made = watched(module, seen, lambda _: module.Response(200, json=BAD))
    with module.Client(transport=made, base_url="http://x.test") as client:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            for _ in range(100):
                assert client.get("/charges/1").json() == BAD
        client.get("/charges/1")

        assert eventually(lambda: seen.findings)
        assert client.get("/charges/1").json() == BAD

    assert seen.faults == []


async def test_without_a_transport_the_client_gets_its_own(module: Any) -> None:
    made: Any = open_transport(("x", DependencySettings()), lambda: None, None, None)
    with module.Client(transport=made) as client, pytest.raises(module.ConnectError):
        client.get("http://127.0.0.1:9")
    made = open_transport(("x", DependencySettings()), lambda: None, None, None)
    async with module.AsyncClient(transport=made) as client:
        with pytest.raises(module.ConnectError):
            await client.get("http://127.0.0.1:9")
    made = open_transport(("x", DependencySettings()), lambda: None, None, None)
    module.Client(transport=made).close()
    await module.AsyncClient(transport=made).aclose()
