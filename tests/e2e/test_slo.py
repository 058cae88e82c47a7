"""An outage on uvicorn and Redis: who knows of it, and what a restart leaves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import httpx
import pytest

from e2e.verbs import runner
from failsoft.testing import RedisServer
from load.servers import eventually, served
from load.webhooks import receiver

OwnRedis = Callable[..., AbstractContextManager[RedisServer]]
HERE = Path(__file__).parent
KNOWN = ("partial_outage", ["calm"])
KEY = "the-key-of-the-test"
CONFIG = """
[slo.pay]
routes = ["POST /pay"]
latency = "5s"
[mode.calm]
title = "Take it easy"
routes = ["POST /pay"]
actions = [{ banner = "calm" }]
enter = { burn = "pay" }
[[alerts.webhook]]
name = "ops"
url_env = "OPS_URL"
secret_env = "OPS_KEY"
severity = ["page", "ticket", "info"]
"""


def status_of(url: str) -> tuple[str, list[str]]:
    """Return what a node tells users: of the only component, and its modes."""
    said = httpx.get(f"{url}/_failsoft/status").json()
    (component,) = said["components"]
    return str(component["status"]), [mode["id"] for mode in said["modes"]]


def test_an_outage_enters_a_mode_on_each_node_is_told_signed_and_not_forgotten(
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
        burning = partial(served, "burning:app", home=tmp_path, env=env, folder=HERE)
        with burning() as one, burning() as other:
            (tmp_path / "down").touch()
            for url in (one, other) * 30:
                assert httpx.post(f"{url}/pay").status_code == 500
            eventually(lambda: status_of(one) == status_of(other) == KNOWN, 20)
            eventually(lambda: received.documents(), within_s=15)
            listed = run("slo", "list", "--redis", redis.url, "--json").json["slos"]
            alerts = run("alerts", "list", "--redis", redis.url)
        with burning():
            shown = run("slo", "show", "pay", "--redis", redis.url)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        tested = run("alerts", "test", "--settings", str(tmp_path / "failsoft.toml"))

    told = received.documents()[0]
    assert (told["id"], told["severity"], told["env"]) == (
        "mode:calm",
        "ticket",
        "default",
    )
    assert told["facts"]["trigger"].startswith("SLO pay burns: 100% in 60 s")
    assert received.is_signed(0, KEY)
    assert [(row["name"], row["total"], row["bad"]) for row in listed] == [
        ("pay", 60, 60)
    ]
    assert "mode:calm" in alerts.out
    assert "60 requests, 60 bad, 0 refused" in shown.out
    assert (tested.code, tested.out) == (0, "ops: took the test alert\n")
    assert received.documents()[-1]["id"] == "test"
    assert received.is_signed(len(received.bodies) - 1, KEY)
