"""A staged rollout in the shop: the new ranking breaks, and its guard takes it back."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from failsoft.testing import RedisServer
from load.servers import EXAMPLES, clean_environ, eventually, served

ENV = "rollout"
NEW = "search.new-ranking"


@pytest.fixture
def login(redis_server: RedisServer) -> dict[str, str]:
    redis_server.ask("FLUSHALL")
    return {"FAILSOFT_REDIS_URL": redis_server.url, "FAILSOFT_ENV": ENV}


@pytest.fixture
def shop(login: dict[str, str], tmp_path: Path) -> Iterator[str]:
    env = login | {
        "PYTHONPATH": str(EXAMPLES),
        "SHOP_DB": str(tmp_path / "shop.db"),
        "FAILSOFT_CONFIG": str(EXAMPLES / "shop" / "failsoft.toml"),
        "FAILSOFT_STORE_STATE_DIR": str(tmp_path / "state"),
    }
    here = Path(__file__).parent
    with served("quick_shop:app", home=tmp_path, env=env, folder=here) as url:
        yield url


def failsoft(login: dict[str, str], *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "failsoft", *words, "--json"],
        env=clean_environ() | login | {"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_guard_takes_the_new_ranking_back_at_half_of_the_shoppers(
    shop: str, login: dict[str, str]
) -> None:
    visits = itertools.count()
    # uvicorn closes a connection after an unhandled error: keep none.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(trust_env=False, limits=limits) as client:

        def searched(times: int = 40) -> set[int]:
            """Search for a thing and for a colour, as shoppers one after the other."""
            return {
                client.get(
                    f"{shop}/v1/search?q={('mug', 'amber')[at % 2]}",
                    headers={"x-shopper": f"s{at}"},
                ).status_code
                for at in itertools.islice(visits, times)
            }

        assert searched() == {200}
        words = ("flags", "rollout", NEW, "50", "-m", "first half", "--confirm", ENV)
        failsoft(login, *words)
        assert searched() == {200, 500}

        # It may trip at any search: a kill pierces what a request began with.
        assert eventually(lambda: searched() == {200}, within_s=15)

    (guard,) = failsoft(login, "guard", "status")["guards"]
    assert (guard["flag"], guard["state"], guard["control"]) == (NEW, "tripped", "old")
    assert guard["why"].startswith("new: ")
    assert "old: 0 of " in guard["why"]
