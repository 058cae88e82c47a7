"""An outage on uvicorn and Redis: who knows of it, and what a restart leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from e2e.verbs import runner
from failsoft.controls.records import ModeDoc, encode_doc
from failsoft.slo._flush import read_states
from failsoft.store.protocols import Call, Change
from failsoft.store.redis.store import RedisStore
from failsoft.testing import RedisServer
from load.servers import eventually, served
from load.webhooks import receiver

OwnRedis = Callable[..., AbstractContextManager[RedisServer]]
HERE = Path(__file__).parent
KEY = "the-key-of-the-test"
CONFIG = """
[slo.pay]
routes = ["POST /pay"]
latency = "5s"
[mode.calm]
title = "Take it easy"
routes = ["POST /pay"]
actions = [{ banner = "calm" }]
[[alerts.webhook]]
name = "ops"
url_env = "OPS_URL"
secret_env = "OPS_KEY"
severity = ["page", "ticket", "info"]
"""


def firing(url: str, id_: str) -> bool:
    async def ask() -> bool:
        store = RedisStore(url, "default")
        try:
            state = read_states(await store.alerts()).get(id_)
            return state is not None and state.state == "firing"
        finally:
            await store.aclose()

    return asyncio.run(ask())


def status_of(url: str) -> str:
    (component,) = httpx.get(f"{url}/_failsoft/status").json()["components"]
    return str(component["status"])


def enter_mode(url: str) -> None:
    async def put() -> None:
        store = RedisStore(url, "default")
        doc = encode_doc(ModeDoc("ana", "a test"))
        change = Change("mode", "calm", "put", until="+3600000", json=doc)
        await store.apply(Call("op-calm", "ana", "a test", (change,)))
        await store.aclose()

    asyncio.run(put())


def test_an_outage_is_known_at_once_told_signed_and_not_forgotten(
    own_redis: OwnRedis,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "failsoft.toml").write_text(CONFIG)
    with own_redis() as redis, receiver() as received:
        env = {
            "FAILSOFT_REDIS_URL": redis.url,
            "OPS_URL": received.url,
            "OPS_KEY": KEY,
        }
        run = runner(capsys)
        with served("burning:app", home=tmp_path, env=env, folder=HERE) as url:
            (tmp_path / "down").touch()
            for _ in range(60):
                assert httpx.post(f"{url}/pay").status_code == 500
            enter_mode(redis.url)
            eventually(lambda: firing(redis.url, "slo:pay:auto"), within_s=15)
            eventually(lambda: received.documents(), within_s=15)
            eventually(lambda: status_of(url) == "partial_outage", within_s=10)
            listed = run("slo", "list", "--redis", redis.url, "--json").json["slos"]
            alerts = run("alerts", "list", "--redis", redis.url)
        with served("burning:app", home=tmp_path, env=env, folder=HERE):
            shown = run("slo", "show", "pay", "--redis", redis.url)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        tested = run("alerts", "test", "--settings", str(tmp_path / "failsoft.toml"))

    told = received.documents()[0]
    assert (told["id"], told["severity"], told["env"]) == (
        "mode:calm",
        "info",
        "default",
    )
    assert received.is_signed(0, KEY)
    assert [(row["name"], row["total"], row["bad"]) for row in listed] == [
        ("pay", 60, 60)
    ]
    assert "mode:calm" in alerts.out
    assert "60 requests, 60 bad, 0 refused" in shown.out
    assert (tested.code, tested.out) == (0, "ops: took the test alert\n")
    assert received.documents()[-1]["id"] == "test"
    assert received.is_signed(len(received.bodies) - 1, KEY)
