"""`failsoft store ...` on a real server: what it prints and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.rewindfleet import ENV, call, documents, flag, kill
from failsoft.cli import run
from failsoft.controls.held import Held, hold
from failsoft.controls.lastgood import read_file
from failsoft.controls.offers import decode_offer, encode_offer
from failsoft.store.redis.store import RedisStore
from failsoft.telemetry import Heartbeat, encode
from failsoft.testing import RedisServer

OwnRedis = Callable[..., AbstractContextManager[RedisServer]]
Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def ask(redis_url: str, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a verb with --json; return its status and its answer."""

    def asked(*words: str) -> tuple[int, dict[str, Any]]:
        status = run(["store", *words, "--json", "--redis", redis_url, "--env", ENV])
        return status, json.loads(capsys.readouterr().out)

    return asked


def on(url: str, work: Callable[[RedisStore], Any]) -> Any:
    async def working() -> Any:
        store = RedisStore(url, ENV)
        try:
            return await work(store)
        finally:
            await store.aclose()

    return asyncio.run(working())


async def lose(store: RedisStore) -> Held:
    """Write, forget all, and leave what a node would: an offer and a heartbeat."""
    await store.apply(call(flag("a", 1), flag("b", 2), kill("route:POST /pay")))
    good = hold(await store.load())
    good.op_id = "c"
    await store.server.ask("losing", "FLUSHALL")
    await store.apply(call(flag("b", 3)))
    await store.offer(good.digest, encode_offer(good, ENV))
    beat = Heartbeat("n1", "host", 1, "", 0, "rewound")
    place = {"offer": good.digest, "good_epoch": good.epoch, "good_rev": 700}
    await store.beat("n1", encode(msgspec.structs.replace(beat, **place)))
    return good


def test_status_tells_revision_digest_and_counts(redis_url: str, ask: Ask) -> None:
    on(redis_url, lambda s: s.apply(call(flag("a"), flag("b"), kill("k"))))

    status, said = ask("status")

    whole = on(redis_url, lambda s: s.load())
    assert status == 0
    assert (said["revision"], said["epoch"]) == (3, whole.epoch)
    assert said["counts"] == {"flag": 2, "kill": 1}
    assert said["digest"] == hold(whole).digest


def test_an_export_is_what_a_node_can_begin_with(
    redis_url: str, ask: Ask, tmp_path: Path
) -> None:
    on(redis_url, lambda s: s.apply(call(flag("a"), kill("k"))))
    out = tmp_path / "controls"

    status, said = ask("export", "--out", str(out))

    saved = read_file(out, ENV)
    assert (status, said["records"], said["revision"]) == (0, 2, 2)
    assert saved.held.digest == hold(on(redis_url, lambda s: s.load())).digest
    assert ask("export", "--out", str(tmp_path))[0] == 2


def test_a_restore_needs_a_confirmation_and_brings_every_byte_back(
    redis_url: str, ask: Ask
) -> None:
    good = on(redis_url, lose)

    _, seen = ask("rewound")
    offer = seen["offers"][0]
    back = ("restore", "--from", good.digest[:6], "-m", "bring it back")
    dry, shown = ask(*back, "--dry-run")
    unconfirmed, refused = ask(*back)
    status, said = ask(*back, "--confirm", ENV, "--wait", "10ms")

    assert seen["why"].startswith("another history, epoch ")
    assert (offer["digest"], offer["nodes"], offer["records"]) == (good.digest, 1, 3)
    assert offer["diff"]["names"] == ["- flag/a", "- kill/route:POST /pay"]
    assert (dry, shown["preview"]["changes"]) == (0, 2)
    assert (unconfirmed, refused["code"]) == (7, "needs-confirm")
    assert (status, said["code"]) == (3, "not-by-all")
    assert said["revision"] == 703  # above all that nodes report, then the accept
    after = on(redis_url, documents)
    assert after["flag", "a"] == good.records["flag", "a"].json
    assert after["flag", "b"] != good.records["flag", "b"].json  # edited since
    assert len(after) == 3


def test_accept_names_what_it_drops_and_every_epoch_that_nodes_report(
    redis_url: str, ask: Ask
) -> None:
    good = on(redis_url, lose)
    digest = ask("status")[1]["digest"]

    words = ("accept", "-m", "it is right", "--confirm", ENV, "--wait", "10ms")
    other, _ = ask(*words, "--digest", "0123")
    status, said = ask(*words, "--digest", digest)

    survey = on(redis_url, lambda s: s.survey("0-0"))
    assert (other, status) == (2, 3)
    assert said["diff"]["missing"] == 2
    assert said["epoch"] == survey.epoch
    assert survey.lineage[0] == good.epoch
    assert survey.rev == 701


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("restore", "-m", "why not"), 2),  # no offer named
        (("restore", "--from", "ab", "-m", "why not"), 2),  # none like it
        (("accept",), 2),  # no reason
        (("accept", "--sure"), 2),
    ],
)
def test_bad_input_is_told(
    ask: Ask, words: tuple[str, ...], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(*words)[0] == status


def test_people_read_what_to_do(
    redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = on(redis_url, lose)

    run(["store", "rewound", "--redis", redis_url, "--env", ENV])

    said = capsys.readouterr().out
    assert "REWOUND (another history, epoch " in said
    assert "1 of 1 nodes hold on to what they had" in said
    assert f"failsoft store restore --from {good.digest} -m WHY" in said


def test_an_offer_that_is_not_what_it_says_is_refused() -> None:
    blob = encode_offer(Held(3, "e1"), ENV)

    assert decode_offer(blob, ENV, Held().digest).rev == 3
    for bad, digest in ((b"noise", Held().digest), (blob, "f" * 16), (blob[:-9], "")):
        with pytest.raises(ValueError, match=r"offer|checksum"):
            decode_offer(bad, ENV, digest)
