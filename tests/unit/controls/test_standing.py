from __future__ import annotations

from dataclasses import replace

from failsoft.controls.held import Held
from failsoft.controls.records import Record
from failsoft.controls.standing import Standing
from failsoft.store.protocols import Entry


def record(name: str, kind: str = "kill", until_ms: int = 0) -> Record:
    return Record(kind, name, 1, 1, until_ms, b"{}")


def entry(rev: int, name: str, value: bytes | None) -> Entry:
    was = None if value else b"x"
    op = "put" if value else "del"
    put = (f"{rev}-0", rev, "e1", "kill", name, op, value, was)
    return Entry(*put, who="ana", why="a test", via="", op_id=f"o{rev}")


def of(*records: Record, rev: int = 1, epoch: str = "e1") -> Held:
    held = Held(rev, epoch, f"{rev}-0")
    for each in records:
        held.put(each)
    return held


def names(standing: Standing, now_ms: float = 0) -> list[str]:
    return [name for _, name in standing.records(now_ms)]


def test_kills_and_modes_are_in_force_before_the_flags_are_read() -> None:
    standing = Standing(of(record("held")))

    standing.hasten(
        {
            ("kill", "new"): record("new"),
            ("kill", "ended"): record("ended", until_ms=5),
            ("flag", "f"): record("f", "flag"),
        }
    )

    assert names(standing, now_ms=10) == ["held", "new"]
    standing.adopt(of(record("other"), rev=2))
    assert names(standing) == ["other"]


def test_a_node_without_a_set_enforces_kills_before_the_flags_are_read() -> None:
    standing = Standing(None)
    assert (standing.shown, standing.records(0), standing.kept()) == (None, {}, None)

    standing.hasten({("kill", "new"): record("new")})

    assert standing.held is None
    assert names(standing) == ["new"]
    assert standing.due(0) == []


def test_the_log_lifts_a_kill_that_a_broken_read_was_ahead_with() -> None:
    standing = Standing(of(record("held")))
    new = record("new")
    standing.hasten({("kill", "new"): new})

    standing.fold([entry(2, "new", b"2 1 0 {}"), entry(3, "new", None)])

    assert names(standing) == ["held"]


def test_an_ended_record_is_back_when_store_time_was_set_back() -> None:
    standing = Standing(of(record("a", until_ms=50)))
    assert names(standing, now_ms=60) == []

    standing.look_again()

    assert names(standing, now_ms=40) == ["a"]


def test_a_slow_read_of_a_rewound_store_takes_nothing_back() -> None:
    good = of(record("good"), rev=9)
    standing = Standing(good)
    standing.lay(of(record("newer"), rev=3, epoch="e2"), over=good)

    standing.lay(of(record("older"), rev=2, epoch="e2"), over=good)

    assert names(standing) == ["newer"]


def test_the_records_are_one_object_while_nothing_changes() -> None:
    standing = Standing(of(record("a"), record("b", until_ms=50)))
    first = standing.records(10)

    assert standing.records(20) is first
    assert list(standing.records(50)) == [("kill", "a")]
    assert standing.due(50) == [("kill", "b")]


def test_what_the_push_channel_brought_is_not_taken_back_by_a_slow_read() -> None:
    standing = Standing(of(record("newer"), rev=9))

    standing.adopt(of(record("older"), rev=8))
    assert names(standing) == ["newer"]

    standing.adopt(of(record("older"), rev=8), always=True)
    assert names(standing) == ["older"]


def test_another_epoch_is_adopted_whatever_its_revision() -> None:
    standing = Standing(of(record("old"), rev=9))

    standing.adopt(of(record("new"), rev=1, epoch="e2"))

    assert names(standing) == ["new"]


def test_what_is_kept_stands_under_the_place_of_the_last_good_set() -> None:
    good = of(record("good"), rev=9)
    standing = Standing(good)

    standing.lay(of(record("good"), record("later"), rev=1, epoch="e2"), over=good)

    kept = standing.kept()
    assert kept is not None
    # One further: that history, back as it was, does not have what was written later.
    assert kept.mark() == replace(good.mark(), rev=10)
    assert len(kept.records) == 2
    assert standing.good is good
    standing.adopt(of(record("restored"), rev=12, epoch="e3"))
    assert standing.origin is None
