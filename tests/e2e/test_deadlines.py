"""Missed deadlines on a real server: connections, threads and clients outlive them."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from bench.deadlines import HERE, answered, dependency, late
from load.servers import served


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    tmp_path = tmp_path_factory.mktemp("late")
    with dependency() as away:
        env = {"BENCH_DEPENDENCY": away, "BENCH_TIMEOUT": "300ms"}
        with served("late:app", home=tmp_path, folder=HERE, env=env) as found:
            yield found


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.loads(answer.read())


def test_late_handlers_cost_no_connection_and_no_thread_too_many(url: str) -> None:
    found = asyncio.run(late(url, "/late/blocks", 60, 45))

    threads = ask(f"{url}/threads")

    assert found["statuses"] == {504: 60}
    assert found["connections"] == 45
    assert found["took_ms"]["min"] >= 290
    assert found["took_ms"]["max"] < 1500  # the handlers sleep for 2 s
    assert threads["most_threads"] <= threads["total"]


@pytest.mark.parametrize("client", ["failsoft", "plain"])
def test_a_client_answers_after_calls_that_were_given_up(url: str, client: str) -> None:
    found = asyncio.run(late(url, f"/late/hangs/{client}", 60, 30))

    assert found["statuses"] == {504: 60}
    assert answered(f"{url}/answers/{client}").startswith("ok")
