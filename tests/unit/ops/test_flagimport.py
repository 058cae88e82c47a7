"""An import is previewed whole, compared flag by flag, and may be run again."""

from __future__ import annotations

import msgspec
import pytest

from failsoft.errors import Invalid
from failsoft.flags.importers.flagd import FlagdFile, read_flagd, write_flagd
from failsoft.ops.flagimport import calls_of, import_plan, plan_import
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import Call, ControlSet
from unit.ops.flagviews import document, split_of, stored_set

SPLIT = split_of(("on", 10), ("off", 90))
TEN = document(targeting=SPLIT, metadata={"x.hash": 3})
EMPTY = ControlSet(0, "", "0-0", 0, {})


def file_of(**flags: bytes) -> FlagdFile:
    return read_flagd(write_flagd(flags, {}), "f.json")


def test_only_what_differs_is_written_and_compared() -> None:
    stored = stored_set(**{"flag/same": TEN, "flag/other": TEN, "flag/mine": TEN})
    flags = {"same": TEN, "other": document(), "fresh": TEN}
    file = read_flagd(write_flagd(flags, {"e": b"true"}))

    found = plan_import(file, stored)

    assert [(c.kind, c.name, c.op, c.if_rev) for c in found.changes] == [
        ("evaluator", "e", "put", 0),
        ("flag", "fresh", "put", 0),
        ("flag", "other", "put", 2),
    ]
    assert (found.added, found.changed, found.dropped, found.same) == (2, 1, 0, 1)
    assert found.lines[-1].startswith("~ flag:other: others 10% on, 90% off -> default")


def test_replace_drops_what_the_file_has_not() -> None:
    stored = stored_set(**{"flag/a": TEN, "flag/b": TEN, "evaluator/e": b"true"})

    found = plan_import(file_of(a=TEN), stored, replace=True)

    gone = [(c.kind, c.name, c.op, c.if_rev) for c in found.changes]
    assert gone == [("flag", "b", "del", 2), ("evaluator", "e", "del", 3)]
    assert import_plan("f.json", found).after == "+0 ~0 -2 =1"


def test_one_invalid_flag_stops_all_unless_it_is_skipped() -> None:
    large = document(variants={"on": "x" * 33_000}, defaultVariant="on")
    file = file_of(good=TEN, bad=b'{"state":"ON"}', large=large)

    with pytest.raises(Invalid) as caught:
        plan_import(file, EMPTY)
    found = plan_import(file, EMPTY, skip_invalid=True)

    assert "2 of 3 flags cannot be used, nothing is written" in str(caught.value)
    assert "f.json line 4: flag:bad state: 'ON' must be" in str(caught.value)
    assert "the limit of a flag is 32768" in str(caught.value)
    assert [change.name for change in found.changes] == ["good"]
    assert found.same == 0


def test_a_rollout_without_a_hash_version_needs_one() -> None:
    file = file_of(a=document(targeting=SPLIT))

    with pytest.raises(Invalid, match="say --hash 3"):
        plan_import(file, EMPTY)
    (change,) = plan_import(file, EMPTY, hash_version=2).changes

    assert msgspec.json.decode(change.json)["metadata"] == {"x.hash": 2}


def test_an_import_that_rebuckets_is_refused_unless_it_is_meant() -> None:
    turned = document(
        targeting=split_of(("off", 90), ("on", 10)), metadata={"x.hash": 3}
    )
    stored = stored_set(**{"flag/a": TEN})

    with pytest.raises(Invalid, match="1 flags would rebucket"):
        plan_import(file_of(a=turned), stored)

    assert plan_import(file_of(a=turned), stored, rebucket=True).changed == 1


def test_an_evaluator_that_rebuckets_its_users_is_refused_too() -> None:
    user = document(targeting={"$ref": "half"}, metadata={"x.hash": 3})
    half = b'{"fractional":[["on",1],["off",1]]}'
    stored = stored_set(**{"flag/a": user, "evaluator/half": half})
    turned = b'{"fractional":[["off",1],["on",1]]}'

    with pytest.raises(Invalid, match="flag:a: order of variants on, off -> off, on"):
        plan_import(read_flagd(write_flagd({}, {"half": turned})), stored)


@pytest.mark.anyio
async def test_an_import_that_broke_goes_on_where_it_was() -> None:
    store = MemoryStore("shop")
    flags = {f"flag-{number}": document() for number in range(2_500)}
    file = file_of(**flags)
    whole = plan_import(file, await store.load())
    calls = list(calls_of(whole))
    await store.apply(Call(calls[0][0], "ana", "import", calls[0][1]))

    again = plan_import(file, await store.load())
    for op_id, changes in calls_of(again):
        await store.apply(Call(op_id, "ana", "import", changes))

    assert [len(changes) for _, changes in calls] == [1000, 1000, 500]
    assert (again.added, again.same) == (1500, 1000)
    assert {op for op, _ in calls}.isdisjoint(op for op, _ in calls_of(again))
    assert plan_import(file, await store.load()).changes == ()
    assert (await store.load()).rev == 2_500


def test_the_same_import_has_the_same_ids() -> None:
    found = plan_import(file_of(a=TEN), EMPTY)

    assert list(calls_of(found)) == list(calls_of(plan_import(file_of(a=TEN), EMPTY)))


def test_large_documents_go_in_smaller_calls() -> None:
    flags = {
        f"f{n}": document(variants={"on": "x" * 30_000}, defaultVariant="on")
        for n in range(200)
    }

    sizes = [
        len(changes) for _, changes in calls_of(plan_import(file_of(**flags), EMPTY))
    ]

    assert sum(sizes) == 200
    assert len(sizes) == 2


def test_more_flags_than_the_store_holds_are_refused_before_anything() -> None:
    stored = stored_set(**{f"flag/{n}": b"{}" for n in range(20_000)})

    with pytest.raises(Invalid, match="20001 records of kind flag, the limit is 20000"):
        plan_import(file_of(a=TEN), stored)
