from __future__ import annotations

import msgspec
import pytest

from failsoft.controls.held import Held, Mark
from failsoft.controls.records import Record
from failsoft.controls.rewind import later_than, offers_of, overlay, why_rewound
from failsoft.store.protocols import KINDS, Spot, Survey

KNOWN = Mark(rev=3, epoch="e1", last_id="30-0", op_id="op3")
OURS = Spot("30-0", 3, "op3")


def survey(rev: int, epoch: str = "e1", **fields: object) -> Survey:
    none = dict.fromkeys(KINDS, 0)
    known = {"now_ms": 0, "lineage": (), "tail": None, "proof": OURS, "oldest_rev": 1}
    known |= {"held": none, "counted": none, "rev": rev, "epoch": epoch}
    return Survey(**known | fields)  # type: ignore[arg-type]


def record(name: str, rev: int, json: bytes = b"{}") -> Record:
    return Record("kill", name, rev, 1, 0, json)


def of(*records: Record, **fields: object) -> Held:
    held = Held(**fields)  # type: ignore[arg-type]
    for each in records:
        held.put(each)
    return held


@pytest.mark.parametrize(
    ("store", "why"),
    [
        (survey(3), ""),
        (survey(9), ""),
        (survey(9, proof=None), ""),
        (survey(0, ""), "empty, rev 3 was known"),
        (survey(7, "e2"), "another history, epoch e2"),
        (survey(2), "at rev 2, rev 3 was known"),
        (
            survey(7, proof=Spot("29-0", 2, "op2")),
            "the write at rev 3 is not in its log",
        ),
        (
            survey(7, proof=Spot("30-0", 3, "other")),
            "the write at rev 3 is not in its log",
        ),
        (
            survey(7, counted={"flag": 40}),
            "0 records of kind flag, 40 were written",
        ),
    ],
)
def test_a_history_that_is_not_ours_is_told_in_words(store: Survey, why: str) -> None:
    assert why_rewound(KNOWN, store) == why


def test_an_epoch_that_replaced_ours_is_no_rewind() -> None:
    assert why_rewound(KNOWN, survey(1, "e5", lineage=("e1", "e4"))) == ""


def test_a_node_that_never_held_a_set_accepts_any_history() -> None:
    assert why_rewound(Mark(), survey(7, "e9", counted={"flag": 1})) == ""


@pytest.mark.parametrize(
    ("store", "base"),
    [
        (survey(7, "e2"), 0),  # all of a new epoch is later
        (survey(7, proof=Spot("29-0", 2, "op2")), 2),
        (survey(7, proof=None, oldest_rev=5), 4),
        (survey(2, proof=None, oldest_rev=0), 2),
        (survey(2, "e0", proof=Spot("20-0", 2, "op2")), 2),  # before an accept
    ],
)
def test_what_came_after_our_last_entry_is_later(store: Survey, base: int) -> None:
    good = Held(3, "e1", "30-0", lineage=("e0",))

    assert later_than(good, store) == base


def test_what_was_written_later_lies_on_the_last_good_set_key_by_key() -> None:
    good = of(record("a", 1, b"1"), record("b", 2, b"2"), record("c", 3, b"3"), rev=3)
    stored = of(record("a", 1, b"0"), record("d", 3, b"4"), rev=3, epoch="e1")

    held = overlay(good, stored, base=2, gone=[("kill", "b")])

    assert {name: r.json for (_, name), r in held.records.items()} == {
        "a": b"1",
        "c": b"3",
        "d": b"4",
    }
    assert (held.rev, held.epoch) == (3, "e1")
    assert held.digest == of(*held.records.values()).digest
    assert len(good.records) == 3


def test_the_offer_that_most_rewound_nodes_hold_comes_first() -> None:
    def beat(state: str, offer: str) -> bytes:
        return msgspec.msgpack.encode({"state": state, "offer": offer, "pid": 1})

    beats = {
        "n1": beat("rewound", "b"),
        "n2": beat("rewound", "a"),
        "n3": beat("rewound", "b"),
        "n4": beat("live", "c"),
        "n5": b"noise",
    }

    assert offers_of(beats) == ["b", "a"]
