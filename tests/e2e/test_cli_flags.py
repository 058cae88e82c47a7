"""`failsoft flags ...` against a real server and nodes that beat and count."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.test_cli import cli
from e2e.verbs import Run, runner
from failsoft.store.redis.store import RedisStore
from failsoft.testing import RedisServer, redis_server
from unit.ops.fake_node import FakeNode

ENV = "shop"
KEY = "pay.new"


async def live(url: str, stop: threading.Event) -> None:
    store = RedisStore(url, ENV)
    nodes = [FakeNode(store, name) for name in ("n1", "n2")]
    await nodes[0].declare()
    while not stop.is_set():
        for node in nodes:
            await node.beat()
            await node.tick()  # often: a write waits for the first traffic
        await asyncio.sleep(0.05)
    await store.aclose()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server(own=True) as running:
        yield running


@pytest.fixture
def one_flag(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """As `run`, in an empty folder, with the flag `pay.new` in the store."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.json").write_text('{"flags": {}}')
    run("flags", "create", KEY, *SURE)
    return run


@pytest.fixture
def nodes(server: RedisServer) -> Iterator[None]:
    server.ask("FLUSHALL")
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(live(server.url, stop)))
    thread.start()
    yield
    stop.set()
    thread.join(10)


@pytest.fixture
def run(
    server: RedisServer,
    nodes: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run a verb in this process, on that server."""
    monkeypatch.setenv("FAILSOFT_REDIS_URL", server.url)
    monkeypatch.setenv("FAILSOFT_ENV", ENV)
    return runner(capsys)


SURE = ("-m", "INC-311", "--confirm", ENV)


def test_a_flag_is_created_ruled_rolled_out_explained_and_deleted(run: Run) -> None:
    codes = [
        run("flags", "create", KEY, "--owner", "pay", *SURE).code,
        run("flags", "rule", "add", KEY, "if country in [DE] then on", *SURE).code,
        run("flags", "rollout", KEY, "10", "--as", "ana", *SURE).code,
    ]
    explained = run("flags", "explain", KEY, "--context", "country=DE", "--json").json
    bucket = run("flags", "bucket", KEY, "user-1").out
    history = run("flags", "history", KEY, "--json").json["history"]
    gone = run("flags", "delete", KEY, *SURE)

    assert codes == [0, 0, 0]
    assert (explained["explained"]["layer"], explained["explained"]["value"]) == (
        "edit",
        True,
    )
    assert "hash v3 of pay.new and 'user-1' = 2454701987, bucket 57 of 100" in bucket
    assert history[0]["row"]["who"] == "ana?"
    assert history[0]["diff"] == ["others default -> 10% on, 90% off"]
    assert gone.code == 0


def test_a_late_edit_hears_who_and_a_rebucket_is_refused(
    run: Run, tmp_path: Path
) -> None:
    run("flags", "create", KEY, *SURE)
    run("flags", "rollout", KEY, "10", "--as", "ana", *SURE)

    late = run("flags", "rollout", KEY, "25", "--if-rev", "1", *SURE)
    shown = json.loads(run("flags", "show", KEY, "--json").out)["flag"]["doc"]
    arms = shown["targeting"]["fractional"]
    turned = {**shown, "targeting": {"fractional": arms[::-1]}}
    path = tmp_path / "turned.json"
    path.write_text(json.dumps(turned))
    refused = run("flags", "edit", KEY, "--from", str(path), *SURE)
    meant = run("flags", "edit", KEY, "--from", str(path), "--rebucket", *SURE)

    assert late.code == 4
    assert "was changed by ana?" in late.err
    assert "(rev 2, you saw 1): others default -> 10% on, 90% off" in late.err
    assert refused.code == 2
    assert "order of variants on, off -> off, on" in refused.err
    assert "synthetic ids" in refused.err
    assert meant.code == 0


def test_a_file_goes_in_whole_and_comes_out_byte_for_byte(
    run: Run, tmp_path: Path
) -> None:
    flags = {
        f"team.flag-{number}": '{"state": "ENABLED",  "variants":{"on":true}}'
        for number in range(1_200)
    }
    body = ",\n".join(f'"{key}": {text}' for key, text in flags.items())
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(f'{{"flags": {{{body}}}}}')
    bad.write_text(f'{{"flags": {{{body},\n"bad": {{"state": "ENABLD"}}}}}}')

    refused = run("flags", "import", "flagd", str(bad), *SURE)
    empty = run("flags", "export", "flagd")
    done = run("flags", "import", "flagd", str(good), *SURE)
    again = run("flags", "import", "flagd", str(good), *SURE)
    out = run("flags", "export", "flagd").out

    assert refused.code == 2
    assert "1 of 1,201 flags cannot be used, nothing is written" in refused.err
    assert "line 1201: flag:bad state: 'ENABLD' must be ENABLED" in refused.err
    assert json.loads(empty.out)["flags"] == {}
    assert (done.code, again.code) == (0, 0)
    assert "1,000 of 1,200 changes are written" in done.err
    assert "nothing to write" in again.out
    assert all(f'"{key}": {text}' in out for key, text in flags.items())


def test_what_the_shell_hands_over_may_be_anything(
    run: Run, server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "deep.json"
    targeting = '{"!":[' * 2_000 + "1" + "]}" * 2_000
    head = '"state":"ENABLED","variants":{"on":true,"off":false}'
    deep.write_text(f'{{"flags":{{"deep":{{{head},"targeting":{targeting}}}}}}}')
    run("flags", "create", KEY, *SURE)
    run("flags", "rollout", KEY, "10", *SURE)

    surrogate = cli(server.url, "flags", "bucket", KEY, "\udcff")
    nested = run("flags", "import", "flagd", str(deep), *SURE)
    editor = tmp_path / "editor.sh"
    editor.write_text("#!/bin/sh\nsed -i s/ENABLED/DISABLD/ $1\n")
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    typo = run("flags", "edit", KEY, *SURE)

    assert surrogate.code == 0
    assert "is text that UTF-8 cannot hold; the split gives null" in surrogate.out
    assert (nested.code, "flag:deep: is nested too deep" in nested.err) == (2, True)
    assert typo.code == 2
    assert "state: 'DISABLD' must be ENABLED or DISABLED" in typo.err
    kept = Path(typo.err.rsplit("kept in ", 1)[1].strip())
    assert "DISABLD" in kept.read_text()
    kept.unlink()


def test_the_whole_log_is_exported_and_goes_on_after_an_id(run: Run) -> None:
    run("flags", "create", KEY, *SURE)
    run("flags", "on", KEY, *SURE)

    first, second = map(json.loads, run("log", "export").out.splitlines())
    rest = run("log", "export", "--after", first["id"]).out.splitlines()

    assert (first["rev"], second["rev"]) == (1, 2)
    assert second["was"] == first["value"]
    assert (second["who"], second["why"]) == (first["who"], "INC-311")
    assert [json.loads(line) for line in rest] == [second]


def test_an_edit_is_promoted_into_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text('{\n  "flags": {\n  }\n}\n')
    run("flags", "create", KEY, *SURE)

    done = run("flags", "promote", KEY, "--file", str(file))
    lint = run("flags", "lint", str(file))
    diff = run("flags", "diff", KEY, "--file", str(file))

    assert (done.code, lint.code) == (0, 0)
    assert "flags revert pay.new" in done.out
    assert json.loads(file.read_text())["flags"][KEY]["metadata"] == {"x.hash": 3}
    assert "only spacing" in diff.out


def test_stale_flags_are_listed(run: Run) -> None:
    run("flags", "create", KEY, "--expires", "2020-01-31", *SURE)

    found = run("flags", "stale", "--json").json["stale"]

    assert [(one["key"], one["stale"][0]["kind"]) for one in found] == [
        (KEY, "expired")
    ]


def test_a_flag_is_shown_compared_linted_and_exported(run: Run, tmp_path: Path) -> None:
    run("flags", "create", KEY, "--desc", "new prices", *SURE)
    run("flags", "rule", "add", KEY, "if tier == gold then on", *SURE)
    run("flags", "rule", "add", KEY, "if tier == tin then 50% on, 50% off", "1", *SURE)
    run("flags", "rule", "move", KEY, "2", "1", *SURE)
    run("flags", "rule", "rm", KEY, "2", *SURE)
    run("kill", f"flag:{KEY}", *SURE)

    shown = run("flags", "show", KEY).out
    revisions = run("flags", "diff", KEY, "2", "3").out
    since = run("flags", "diff", KEY, "3").out
    history = run("flags", "history", KEY).out
    lint = run("flags", "lint", "--json").json["findings"]
    file = tmp_path / "out.json"
    out = run("flags", "export", "flagd", "--effective", "--out", str(file))
    declared = run("flags", "show", "shop.theme").out

    assert "rule 1    if tier == gold then on" in shown
    assert "note      KILLED by flag:pay.new: INC-311" in shown
    assert "rule 1 new: if tier == tin then 50% on, 50% off" in revisions
    assert "rule 1 gone: if tier == tin" in since
    assert "flag-edit: rules -> rules  INC-311" in history
    assert [one["text"] for one in lint] == [f"flag:{KEY} metadata: no x.owner"]
    assert (out.code, KEY in file.read_text()) == (0, True)
    assert "shop.theme" in declared


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("explain pay.nwe", "flag:pay.nwe: matches nothing; nearest: flag:pay.new"),
        ("explain pay.new --context tier", "must be KEY=VALUE"),
        ("diff pay.new 7", "7 is no change of this flag; kept are 1"),
        ("diff pay.new --file gone.json", "gone.json: cannot be read"),
        ("export unleash", "did you mean flagd?"),
        ("export flagd --edits --effective", "exclude each other"),
        ("export flagd --out /nowhere/x.json", "No such file"),
        ("create other --variants [1] -m why", "--variants: Expected `object`"),
        ("create other --variants {} -m why", "--variants: has none"),
        (
            "create other --default x -m why",
            "defaultVariant: 'x' is not one of on, off",
        ),
        ("rule ad pay.new x -m why", "'ad' must be one of add, rm, move"),
        ("rule rm pay.new 1 -m why", "there is no rule yet"),
        ("rule move pay.new 1 -m why", "needs the number the rule gets"),
        ("rule add pay.old x -m why", "--force writes it anyway"),
        ("edit pay.new --from gone.json -m why", "--from: gone.json: No such file"),
        ("import unleash f.json -m why", "did you mean flagd?"),
        ("import flagd f.json --hash 1 -m why", "--hash: 1 must be 2 or 3"),
        ("import flagd f.json --merge --replace -m why", "exclude each other"),
        ("import flagd gone.json -m why", "gone.json: cannot be read"),
        ("promote pay.nwe --file f.json", "nearest: flag:pay.new"),
        ("promote shop.theme --file f.json", "has no edit to promote"),
        ("promote pay.new --file gone.json", "gone.json: No such file"),
        ("promote pay.new", "say which flags file is meant: flags.files is not set"),
        ("set pay.new -m why", "--default: names the variant"),
        ("on pay.new", "-m: a reason is needed"),
    ],
)
def test_bad_input_says_where_what_and_the_nearest(
    one_flag: Run, words: str, said: str
) -> None:
    done = one_flag("flags", *words.split())

    assert (done.code, said in done.err) == (2, True), done.err


def test_an_editor_that_fails_or_changes_nothing_writes_nothing(
    one_flag: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for editor in ("false", "true", "no-such-editor"):
        monkeypatch.setenv("EDITOR", editor)
        said.append(one_flag("flags", "edit", KEY, *SURE).err)

    assert "ended with 1; nothing done" in said[0]
    assert "was not changed; nothing to write" in said[1]
    assert "cannot run" in said[2]


def test_writes_and_refusals_are_kept_in_a_file_of_ones_own(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "audit.log"
    monkeypatch.setenv("FAILSOFT_AUDIT_LOG", str(path))

    run("flags", "create", KEY, *SURE)
    refused = run("flags", "off", KEY, "--if-rev", "77", *SURE)
    run("flags", "list")

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(one.get("op"), one.get("refused")) for one in lines] == [
        ("put", None),
        (None, "store-conflict"),
    ]
    assert (refused.code, path.stat().st_mode & 0o777) == (4, 0o600)
    monkeypatch.setenv("FAILSOFT_AUDIT_LOG", str(tmp_path))
    told = run("flags", "off", KEY, *SURE)
    assert (told.code, "cannot be written" in told.err) == (2, True)


def test_the_log_is_followed_as_entries_come(run: Run, server: RedisServer) -> None:
    run("flags", "create", KEY, *SURE)
    follower = subprocess.Popen(
        [sys.executable, "-m", "failsoft", "log", "--follow"],
        env={**os.environ, "FAILSOFT_REDIS_URL": server.url, "FAILSOFT_ENV": ENV},
        stdout=subprocess.PIPE,
    )
    assert follower.stdout is not None

    try:
        first = json.loads(follower.stdout.readline())
        run("flags", "off", KEY, *SURE)
        second = json.loads(follower.stdout.readline())
    finally:
        follower.send_signal(signal.SIGINT)
        code = follower.wait(10)
        follower.stdout.close()

    assert [(one["rev"], one["op"], one["why"]) for one in (first, second)] == [
        (1, "put", "INC-311"),
        (2, "put", "INC-311"),
    ]
    assert code == 130


WRITES = (
    ("flags", "on", KEY),
    ("flags", "set", KEY, "--default", "on"),
    ("flags", "rollout", KEY, "5"),
    ("flags", "rule", "add", KEY, "if country in [DE] then on"),
    ("flags", "import", "flagd", "f.json"),
    ("flags", "revert", KEY),
)
SOME = '{"flags": {"b": {"state": "ENABLED", "variants": {"on": true}}}}'


def test_flag_verbs_that_a_node_does_not_follow_end_with_three(
    one_flag: Run, server: RedisServer, tmp_path: Path
) -> None:
    async def leave_a_stuck_node() -> None:
        store = RedisStore(server.url, ENV)
        await FakeNode(store, "stuck", held=0).beat()
        await store.aclose()

    asyncio.run(leave_a_stuck_node())
    (tmp_path / "f.json").write_text(SOME)

    for verb in WRITES:
        said = one_flag(*verb, *SURE, "--wait", "100ms")
        assert (said.code, "not enforced by" in said.err) == (3, True), verb


def test_flag_verbs_without_the_right_or_the_store_end_with_five_and_six(
    one_flag: Run,
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    viewer = one_flag("acl", "--role", "viewer", "--user", "eve", "--json").json
    rules = viewer["rules"]["viewer"]
    server.ask("ACL", "SETUSER", "eve", "reset", "on", ">pw", *rules)
    (tmp_path / "f.json").write_text(SOME)
    as_eve = server.url.replace("redis://", "redis://eve:pw@")
    nowhere = "redis://127.0.0.1:1/0"

    for url, code in ((as_eve, 5), (nowhere, 6)):
        monkeypatch.setenv("FAILSOFT_REDIS_URL", url)
        for verb in WRITES:
            said = one_flag(*verb, *SURE, "--json")
            assert (said.code, said.json["ok"]) == (code, False), verb


def test_an_editor_that_only_looks_at_spaced_json_writes_nothing(
    one_flag: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "f.json").write_text(
        '{ "state": "ENABLED", "variants": { "on": true }, "defaultVariant": "on" }'
    )
    one_flag("flags", "edit", KEY, "--from", "f.json", *SURE)
    monkeypatch.setenv("EDITOR", "true")
    monkeypatch.delenv("VISUAL", raising=False)

    said = one_flag("flags", "edit", KEY, *SURE)

    assert (said.code, "was not changed" in said.err) == (2, True)


def test_a_promoted_file_that_is_a_link_stays_one(
    one_flag: Run, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "flags.json", tmp_path / "link.json"
    real.write_text('{"flags": {}}')
    link.symlink_to(real)

    said = one_flag("flags", "promote", KEY, "--file", str(link))

    assert said.code == 0
    assert link.is_symlink()
    assert KEY in real.read_text()


def test_every_call_of_a_long_import_is_named_to_be_undone(
    run: Run, tmp_path: Path
) -> None:
    flag = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}
    document = {"flags": {f"many.{number}": flag for number in range(1_001)}}
    (tmp_path / "f.json").write_text(json.dumps(document))

    said = run("flags", "import", "flagd", str(tmp_path / "f.json"), *SURE)
    ids = [
        line.split()[3] for line in said.out.splitlines() if line.startswith("undo:")
    ]
    undone = [run("undo", op_id, *SURE).code for op_id in ids]

    assert undone == [0, 0]
    assert not any(row["rev"] for row in run("flags", "list", "--json").json["flags"])
