"""`failsoft VERB` as its own process, against a real server and nodes that beat."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from failsoft.store.redis.store import RedisStore
from failsoft.testing import RedisServer, redis_server
from unit.ops.fake_node import FakeNode

ENV = "shop"
Run = Callable[..., "Ended"]


class Ended:
    """What one run left behind."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        (line,) = self.out.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


def cli(url: str, *words: str) -> Ended:
    environ = os.environ | {"FAILSOFT_REDIS_URL": url, "FAILSOFT_ENV": ENV}
    command = [sys.executable, "-m", "failsoft", *words]
    return Ended(
        subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    )


async def live(url: str, names: tuple[str, ...], stop: threading.Event) -> None:
    store = RedisStore(url, ENV)
    nodes = [FakeNode(store, name) for name in names]
    await nodes[0].declare()
    turns = 0
    while not stop.is_set():
        for node in nodes:
            await node.beat()
            if turns % 20 == 0:
                await node.tick()
        turns += 1
        await asyncio.sleep(0.05)
    await store.aclose()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server(own=True) as running:
        yield running


@pytest.fixture
def nodes(server: RedisServer) -> Iterator[None]:
    server.ask("FLUSHALL")
    stop = threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(live(server.url, ("n1", "n2"), stop))
    )
    thread.start()
    yield
    stop.set()
    thread.join(10)


@pytest.fixture
def run(server: RedisServer, nodes: None) -> Run:
    return lambda *words: cli(server.url, *words)


def test_a_kill_and_its_lifting_end_with_every_node_enforcing(run: Run) -> None:
    kill = run("kill", "route:POST /checkout", "--for", "1m", "-m", "test", "--json")
    lift = run("unkill", "route:POST /checkout", "-m", "test", "--json")

    assert (kill.code, lift.code) == (0, 0)
    answer = kill.json
    assert (answer["schema"], answer["ok"], answer["revision"]) == (1, True, 1)
    assert {a["node"]: a["state"] for a in answer["acks"]} == {
        "n1": "enforces",
        "n2": "enforces",
    }
    assert (answer["before"], answer["after"]) == ("on", "KILLED")
    assert 0 < answer["until_ms"] / 1000 - time.time() <= 61
    assert lift.json["revision"] == 2


def test_people_read_the_preview_the_nodes_and_how_to_undo(run: Run) -> None:
    done = run("kill", "route:POST /checkout", "-m", "INC-311")

    assert done.code == 0
    assert "covers" in done.out
    assert "2 of 2 nodes enforce it" in done.out
    op_id = done.out.rsplit("failsoft undo ", 1)[1].split()[0]
    undone = run("undo", op_id, "-m", "over")
    assert (undone.code, undone.out.splitlines()[0]) == (
        0,
        "undo kill route:POST /checkout: KILLED -> on",
    )


def test_the_log_has_who_why_before_and_after(run: Run) -> None:
    run("flags", "on", "checkout.new-pricing", "-m", "launch", "--confirm", ENV)

    row = run("log", "--json").json["log"][0]

    assert (row["action"], row["target"]) == ("flag-edit", "flag:checkout.new-pricing")
    assert (row["before"], row["after"], row["why"]) == ("-", "on", "launch")
    assert row["who"]
    assert row["via"]


def test_a_flag_is_rolled_out_shown_and_reverted(run: Run) -> None:
    key = "checkout.new-pricing"
    confirm = ("--confirm", ENV, "-m", "launch", "--json")

    rolled = run("flags", "rollout", key, "12.5", *confirm)
    shown = run("flags", "show", key, "--json").json["flag"]
    reverted = run("flags", "revert", key, *confirm)

    assert (rolled.code, reverted.code) == (0, 0)
    assert (shown["now"], shown["rollout"]) == ("12.5%", 12.5)
    assert shown["doc"]["targeting"] == {
        "fractional": [["on", 1250], ["off", 8750]],
    }
    assert run("flags", "show", key, "--json").json["flag"]["rev"] == 0


def test_a_strong_change_without_a_terminal_needs_the_environment(run: Run) -> None:
    refused = run("mode", "enter", "maintenance", "-m", "deploy", "--json")
    entered = run("mode", "enter", "maintenance", "-m", "deploy", "--confirm", ENV)

    assert refused.code == 7
    assert (refused.json["ok"], refused.json["code"]) == (False, "needs-confirm")
    assert f"--confirm {ENV}" in refused.err
    assert entered.code == 0
    assert run("mode", "list", "--json").json["modes"][0]["now"] == "ON"


def at_terminal(url: str, pause_s: float, *words: str) -> tuple[int, str]:
    """Run a verb on a terminal; type the code it asks for after a pause."""
    environ = os.environ | {"FAILSOFT_REDIS_URL": url, "FAILSOFT_ENV": ENV}
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "failsoft", *words]
    with subprocess.Popen(
        command, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        text = ""
        while not (asked := re.search(r": type (\d\d) ", text)):
            text += os.read(ours, 4096).decode()
        time.sleep(pause_s)
        os.write(ours, f"{asked[1]}\n".encode())
        with suppress(OSError):  # the terminal's other end is closed
            while more := os.read(ours, 4096):
                text += more.decode()
    os.close(ours)
    return process.returncode, text


def test_an_operator_may_take_time_to_confirm(server: RedisServer, run: Run) -> None:
    run("kill", "route:POST /checkout", "-m", "test")
    bob = server.url.replace("redis://", "redis://bob2:pw@")
    server.ask("ACL", "SETUSER", "bob2", "on", ">pw", "~*", "+@all")

    code, text = at_terminal(bob, 4.0, "unkill", "route:POST /checkout", "-m", "over")

    assert "2 of 2 nodes enforce it" in text
    assert code == 0


def test_a_dry_run_writes_nothing(run: Run) -> None:
    done = run("kill", "route:POST /checkout", "--dry-run", "--json")

    assert done.json["preview"]["routes"] == ["POST /checkout"]
    assert run("status", "--json").json["revision"] == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("kil",), "'kil' is not known; did you mean kill?"),
        (("kill", "tag:x", "--fro", "1m"), "did you mean --for?"),
        (("kill", "tag:x", "--for", "1x", "-m", "abc"), "'1x' is no span"),
        (("kill", "route:POST /checkout"), "a reason is needed"),
        (("kill", "route:POST /checkout", "-m", "  "), "a reason is needed"),
        (("kill", "route:POST /chekout", "-m", "abc"), "route:POST /checkout"),
        (("flags", "on", "shop.theme", "-m", "abc"), "is not a boolean flag"),
        (("status", "--env", "Bad Env"), "environment 'Bad Env' must be"),
        (("status", "--redis", "http://x"), "is not a Redis URL"),
        (("run", "nocolon"), "must be module:attribute"),
    ],
)
def test_bad_input_is_one_clear_line(
    run: Run, words: tuple[str, ...], text: str
) -> None:
    done = run(*words)

    assert done.code == 2
    assert text in done.err
    assert "Traceback" not in done.err


def test_a_store_that_does_not_answer_is_named() -> None:
    done = cli(
        "redis://ana:secret@127.0.0.1:1/0", "kill", "tag:x", "-m", "abc", "--json"
    )

    assert done.code == 6
    assert done.json["code"] == "store-unavailable"
    assert "127.0.0.1:1" in done.err
    assert "correct --redis or FAILSOFT_REDIS_URL" in done.err
    assert "secret" not in done.err + done.out


def test_no_store_at_all_says_how_to_name_one() -> None:
    done = cli("", "status")

    assert done.code == 2
    assert "FAILSOFT_REDIS_URL" in done.err


def test_a_wrong_password_is_told_and_not_printed(
    server: RedisServer, nodes: None
) -> None:
    server.ask("ACL", "SETUSER", "bob", "on", ">right", "~*", "+@all")
    url = server.url.replace("redis://", "redis://bob:wr0ng@")

    done = cli(url, "kill", "tag:x", "-m", "abc", "--json")

    assert done.code == 5
    assert "refused the user or password" in done.json["message"]
    assert "wr0ng" not in done.err + done.out


def test_a_user_of_another_environment_lacks_the_right(server: RedisServer) -> None:
    rules = ("on", ">pw", "~fs:{other}:*", "+@all")
    server.ask("ACL", "SETUSER", "eve", *rules)
    url = server.url.replace("redis://", "redis://eve:pw@")

    done = cli(url, "status", "--json")

    assert done.code == 5
    assert done.json["code"] == "store-refused"
    assert "failsoft acl" in done.json["message"]


def test_a_viewer_reads_and_may_not_write(server: RedisServer, nodes: None) -> None:
    rules = cli(server.url, "acl", "--role", "viewer", "--user", "eve", "--json").json
    server.ask("ACL", "SETUSER", "eve", "reset", "on", ">pw", *rules["rules"]["viewer"])
    url = server.url.replace("redis://", "redis://eve:pw@")

    status = cli(url, "status", "--json")
    kill = cli(url, "kill", "route:POST /checkout", "-m", "abc", "--json")

    assert (status.code, status.json["totals"]["nodes_live"]) == (0, 2)
    undo = cli(url, "undo", "-m", "abc", "--json")

    assert (kill.code, kill.json["code"]) == (5, "read-only")
    assert (undo.code, undo.json["code"]) == (5, "read-only")


def test_a_read_only_server_refuses_in_words(server: RedisServer) -> None:
    server.ask("REPLICAOF", "127.0.0.1", "1")
    try:
        done = cli(
            server.url, "kill", "tag:x", "--force", "-m", "abc", "--confirm", ENV
        )
    finally:
        server.ask("REPLICAOF", "NO", "ONE")

    assert done.code == 5
    assert "is read-only" in done.err
    assert "Traceback" not in done.err


def test_a_write_that_no_node_enforces_is_not_called_done(server: RedisServer) -> None:
    server.ask("FLUSHALL")

    done = cli(
        server.url,
        *("kill", "tag:x", "--force", "-m", "abc", "--confirm", ENV, "--json"),
    )

    assert (done.code, done.json["ok"], done.json["code"]) == (3, False, "not-by-all")
    assert "no live node" in done.err


def test_a_silent_node_is_named_with_exit_status_three(
    server: RedisServer, run: Run
) -> None:
    async def leave_a_stuck_node() -> None:
        store = RedisStore(server.url, ENV)
        await FakeNode(store, "stuck", held=0).beat()
        await store.aclose()

    asyncio.run(leave_a_stuck_node())
    done = run(
        *("kill", "route:POST /checkout", "-m", "abc", "--confirm", ENV),
        *("--wait", "500ms", "--json"),
    )

    assert done.code == 3
    states = {a["node"]: a["state"] for a in done.json["acks"]}
    assert states["n1"] == states["n2"] == "enforces"
    assert states["stuck"] in ("waiting", "silent")
    assert "(stuck)" in done.err


def test_reads_never_call_an_emptied_store_a_fleet_without_controls(
    server: RedisServer, run: Run
) -> None:
    async def leave_a_node_that_holds_on() -> None:
        store = RedisStore(server.url, ENV)
        await FakeNode(store, "n9").beat(rev=5, epoch="e" * 32)
        await store.aclose()

    for verb in ("kills", "flags explain checkout.new-pricing"):
        asyncio.run(leave_a_node_that_holds_on())
        done = run(*verb.split())
        assert (done.code, "run failsoft store rewound" in done.err) == (0, True), verb


@pytest.mark.parametrize(
    "verb", ["status", "routes", "nodes", "incidents", "kills", "log", "doctor"]
)
def test_every_read_has_a_text_and_an_object(run: Run, verb: str) -> None:
    text, machine = run(verb), run(verb, "--json")

    assert (text.code, machine.code) == (0, 0)
    assert text.out.strip()
    assert (machine.json["schema"], machine.json["ok"]) == (1, True)


def test_figures_of_a_window_that_is_not_full_say_so(run: Run) -> None:
    done = run("status")

    assert re.search(r"figures of [1-5]\.\d s: nodes report only while", done.out)
    assert 0 < run("status", "--json").json["totals"]["counted_s"] < 8.5


def test_a_group_is_lifted_whole(run: Run) -> None:
    for target in ("route:POST /checkout", "route:GET /orders/*"):
        kill = run("kill", target, "--group", "INC-1", "-m", "INC-1", "--confirm", ENV)
        assert kill.code == 0

    lift = run("unkill", "--group", "INC-1", "-m", "over", "--json", "--confirm", ENV)
    late = run("unkill", "route:POST /checkout", "-m", "over")

    assert (lift.code, lift.json["revision"]) == (0, 4)
    assert late.code == 2
    assert [row["active"] for row in run("kills", "--json").json["kills"]] == [
        False
    ] * 2


def test_lifting_another_revision_is_a_conflict(run: Run) -> None:
    run("kill", "route:POST /checkout", "-m", "INC-1")

    done = run(
        "unkill", "route:POST /checkout", "--if-rev", "7", "-m", "over", "--json"
    )

    assert (done.code, done.json["expected"], done.json["revision"]) == (4, 7, 1)


def test_watching_prints_an_object_each_second(
    server: RedisServer, nodes: None
) -> None:
    environ = os.environ | {"FAILSOFT_REDIS_URL": server.url, "FAILSOFT_ENV": ENV}
    words = [sys.executable, "-m", "failsoft", "status", "--watch", "--json"]
    with subprocess.Popen(
        words, env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.terminate()

    assert lines[1]["server_ms"] > lines[0]["server_ms"]


def test_the_rules_of_every_role_are_printed() -> None:
    done = cli("", "acl")

    assert done.code == 0
    for role in ("app", "viewer", "operator", "automation"):
        assert f"ACL SETUSER {role} reset on" in done.out


def test_help_lists_every_verb() -> None:
    done = cli("", "--help")

    assert done.code == 0
    for verb in ("run", "demo", "top", "kill", "mode enter", "flags rollout", "undo"):
        assert f"  {verb} " in done.out
