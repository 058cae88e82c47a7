"""`failsoft breaker ...` against a real server and a node that calls somebody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import failsoft
from e2e.verbs import Run, runner
from failsoft.errors import BreakerOpen

WHY = ("-m", "a test of breakers", "--confirm", "shop")


def failing() -> None:
    raise ConnectionRefusedError("nobody listens")


@pytest.fixture
def ask(
    redis_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Run]:
    """A node of this process that called `pay`, and what runs verbs."""
    monkeypatch.setenv("FAILSOFT_REDIS_URL", redis_url)
    monkeypatch.setenv("FAILSOFT_ENV", "shop")
    failsoft.start(store={"state_dir": str(tmp_path), "start_deadline": "5s"})
    with pytest.raises(ConnectionRefusedError):
        failsoft.dependency("pay").call_sync(failing)
    run = runner(capsys)
    end = time.monotonic() + 10
    while not run("breaker", "list", "--json").json["dependencies"]:
        assert time.monotonic() < end
    yield run
    failsoft.stop()


def test_an_operator_opens_the_breaker_of_whom_a_node_calls(ask: Run) -> None:
    killed = ask("kill", "dependency:pay", "--for", "5m", *WHY, "--json")
    with pytest.raises(BreakerOpen):
        failsoft.dependency("pay").call_sync(failing)
    (row,) = ask("breaker", "list", "--json").json["dependencies"]
    listed = ask("dependencies").out

    assert (killed.code, killed.json["action"]) == (0, "breaker-open")
    assert (killed.json["before"], killed.json["after"]) == ("closed", "FORCED OPEN")
    assert (row["state"], row["override"]) == ("FORCED OPEN", "open")
    assert row["why"] == "a test of breakers"
    assert "FORCED OPEN" in listed
