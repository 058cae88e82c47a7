"""What one write does, on every store: the suite that any control store must pass.

    from failsoft.testing.store_contract import *  # in a test module

with a fixture `store` that gives an empty `ControlStore` for each test, and `anyio`'s
plugin (an `anyio_backend` fixture that returns "asyncio").
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from failsoft.errors import StoreConflict, StoreRefused, StoreRewound
from failsoft.store.protocols import Call, Change, ControlStore, parse_value

pytestmark = pytest.mark.anyio

_ids = iter(range(10**9))


def call(*changes: Change, **fields: Any) -> Call:
    fields = {"op_id": f"op-{next(_ids)}", "actor": "ana", "reason": "a test"} | fields
    return Call(changes=changes, **fields)


def put(name: str, json: bytes = b"{}", kind: str = "kill", **fields: object) -> Change:
    return Change(kind, name, "put", json=json, **fields)  # type: ignore[arg-type]


def soon(seconds: float) -> str:
    return str(int((time.time() + seconds) * 1000))


async def until_due(seconds: float) -> None:
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, seconds)


async def test_the_first_write_creates_an_epoch_and_revision_1(
    store: ControlStore,
) -> None:
    answer = await store.apply(call(put("route:POST /pay")))

    held = await store.load()
    assert (answer.revision, answer.duplicate) == (1, False)
    assert held.epoch == answer.epoch
    assert len(held.epoch) == 32
    assert held.rev == 1


async def test_an_unwritten_store_is_empty_at_revision_0(store: ControlStore) -> None:
    held = await store.load()

    assert (held.rev, held.epoch, held.tail, dict(held.records)) == (0, "", "0-0", {})


@pytest.mark.parametrize(
    "json", [b"[]", b"9007199254740993", b"1.0", b'{"a": [1.50, {}]}', "ü\n".encode()]
)
async def test_documents_survive_byte_by_byte(store: ControlStore, json: bytes) -> None:
    await store.apply(call(put("doc", json, "flag")))

    raw = (await store.load()).records["flag", "doc"]
    assert parse_value(raw)[3] == json


async def test_each_change_raises_the_revision_by_one(store: ControlStore) -> None:
    answer = await store.apply(call(put("a"), put("b"), put("c")))

    records = (await store.load()).records
    revs = [parse_value(records["kill", name])[0] for name in "abc"]
    assert (answer.revision, revs) == (3, [1, 2, 3])


async def test_a_thousand_changes_are_one_call(store: ControlStore) -> None:
    changes = [put(f"f{n}", kind="flag") for n in range(1000)]

    answer = await store.apply(call(*changes))

    assert answer.revision == 1000
    assert len((await store.load()).records) == 1000


async def test_the_log_says_who_why_before_and_after(store: ControlStore) -> None:
    await store.apply(call(put("x", b"1"), op_id="first"))
    await store.apply(
        call(put("x", b"2"), op_id="second", actor="bo", reason="why not", via="cli")
    )

    newest, oldest = await store.log()
    assert (newest.who, newest.why, newest.via) == ("bo", "why not", "cli")
    assert (newest.op, newest.op_id, newest.rev) == ("put", "second", 2)
    assert newest.value is not None
    assert newest.value.endswith(b" 2")
    assert newest.was == oldest.value
    assert oldest.was is None


async def test_a_conflict_names_who_wrote_and_writes_nothing(
    store: ControlStore,
) -> None:
    await store.apply(call(put("x", b"1")))
    await store.apply(call(put("x", b"2"), actor="bo"))

    with pytest.raises(StoreConflict) as caught:
        await store.apply(call(put("y"), put("x", b"3", if_rev=1)))

    held = await store.load()
    assert (caught.value.actor, caught.value.revision) == ("bo", 2)
    assert caught.value.target == "kill/x"
    assert caught.value.current == held.records["kill", "x"]
    assert caught.value.age_ms is not None
    assert 0 <= caught.value.age_ms < 5000
    assert (held.rev, set(held.records)) == (2, {("kill", "x")})


async def test_a_conflict_over_a_deleted_record_names_who_deleted(
    store: ControlStore,
) -> None:
    await store.apply(call(put("x")))
    await store.apply(call(Change("kill", "x", "del"), actor="bo"))

    with pytest.raises(StoreConflict) as caught:
        await store.apply(call(put("x", if_rev=1)))

    assert (caught.value.actor, caught.value.current) == ("bo", None)
    assert "(rev 0, you saw 1)" in str(caught.value)


async def test_if_rev_0_wants_absence(store: ControlStore) -> None:
    await store.apply(call(put("x", if_rev=0)))

    with pytest.raises(StoreConflict):
        await store.apply(call(put("x", if_rev=0)))


async def test_the_same_op_id_is_applied_once(store: ControlStore) -> None:
    first = await store.apply(call(put("x", b"1"), op_id="once"))
    again = await store.apply(call(put("x", b"1"), op_id="once"))

    assert again.duplicate
    assert (again.revision, again.epoch) == (first.revision, first.epoch)
    assert (await store.load()).rev == 1


async def test_another_epoch_than_the_wanted_one_is_refused(
    store: ControlStore,
) -> None:
    await store.apply(call(put("x")))

    with pytest.raises(StoreRewound):
        await store.apply(call(put("y"), epoch="0" * 32))


async def test_deleting_what_is_absent_changes_nothing(store: ControlStore) -> None:
    await store.apply(call(put("x")))

    answer = await store.apply(call(Change("kill", "y", "del")))

    assert answer.revision == 1


async def test_a_deleted_record_is_gone_and_logged(store: ControlStore) -> None:
    await store.apply(call(put("x")))

    await store.apply(call(Change("kill", "x", "del", if_rev=1)))

    newest = (await store.log())[0]
    assert not (await store.load()).records
    assert (newest.op, newest.value, newest.was is not None) == ("del", None, True)


async def test_a_relative_end_counts_from_store_time(store: ControlStore) -> None:
    answer = await store.apply(call(put("x", until="+60000")))

    _, at_ms, until_ms, _ = parse_value((await store.load()).records["kill", "x"])
    assert (at_ms, until_ms) == (answer.now_ms, answer.now_ms + 60_000)


async def test_an_ended_record_counts_as_absent_and_is_swept(
    store: ControlStore,
) -> None:
    await store.apply(call(put("x", until=soon(0.15))))
    await until_due(0.2)

    answer = await store.apply(call(put("x", b"new", if_rev=0)))

    log = await store.log()
    assert [entry.op for entry in log] == ["put", "expire", "put"]
    assert (log[1].who, log[1].op_id) == ("(expiry)", "")
    assert answer.revision == 3


async def test_a_call_without_changes_sweeps(store: ControlStore) -> None:
    await store.apply(call(put("x", until=soon(0.15))))
    await until_due(0.2)

    answer = await store.apply(call())

    assert answer.revision == 2
    assert not (await store.load()).records


async def test_a_replaced_end_does_not_expire_the_new_record(
    store: ControlStore,
) -> None:
    await store.apply(call(put("x", until=soon(0.15))))
    await store.apply(call(put("x", b"kept")))
    await until_due(0.2)

    await store.apply(call())

    assert ("kill", "x") in (await store.load()).records


async def test_an_end_in_the_past_is_refused(store: ControlStore) -> None:
    with pytest.raises(StoreRefused, match="allowed are 0 s to 30 d"):
        await store.apply(call(put("x", until=soon(-5))))


async def test_a_tolerance_may_last_90_days_and_no_longer(store: ControlStore) -> None:
    day_s = 86_400.0

    await store.apply(call(put("x", kind="tolerance", until=soon(89 * day_s))))

    with pytest.raises(StoreRefused, match="allowed are 0 s to 90 d"):
        await store.apply(call(put("y", kind="tolerance", until=soon(91 * day_s))))


async def test_more_records_than_a_kind_holds_are_refused(store: ControlStore) -> None:
    await store.apply(call(*(put(f"k{n}") for n in range(500))))

    with pytest.raises(
        StoreRefused, match="501 records of kind kill, the limit is 500"
    ):
        await store.apply(call(put("one-more")))

    await store.apply(call(Change("kill", "k1", "del"), put("one-more")))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (call(put("x"), reason="no"), "reason has 2 characters, allowed are 3-500"),
        (call(put("x"), actor=" "), "actor has 0 characters, allowed are 1-100"),
        (call(put("x"), reason="why \udcff"), "is not valid text"),
        (call(put("x"), via="v" * 201), "via has 201 characters, allowed are 0-200"),
        (call(put("x", b"1" * 4097)), "4097 bytes, the limit of a kill is 4096"),
        (call(put("x", b"1" * 32769, "flag")), "the limit of a flag is 32768"),
        (call(put("x" * 201)), "201 characters, allowed are 1-200"),
        (call(put("tag:a b")), "whitespace or control"),
        (call(put("route:POST /\n")), "whitespace or control"),
        (call(put("x", until="+9999")), "allowed are 10 s to 30 d"),
        (call(put("x", until="soon")), "must be 0, "),
        (call(put("x", kind="fork")), "unknown kind"),
        (call(put("x"), put("x")), "appears twice"),
        (call(*(put(f"n{n}") for n in range(1001))), "1001 changes in one call"),
    ],
)
async def test_limits_are_refused_with_figure_and_limit(
    store: ControlStore, wrong: Call, says: str
) -> None:
    with pytest.raises(StoreRefused, match=says):
        await store.apply(wrong)

    assert (await store.load()).rev == 0
