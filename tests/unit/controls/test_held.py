from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.controls.held import Held, hold
from failsoft.store.protocols import ControlSet, Entry


def entry(rev: int, name: str = "x", op: str = "put", **fields: object) -> Entry:
    value = b"%d 1 0 {}" % rev if op == "put" else None
    known = {
        "id": f"{rev}-0",
        "epoch": "e1",
        "kind": "kill",
        "value": value,
        "was": None,
        "who": "ana",
        "why": "a test",
        "via": "",
        "op_id": "",
    }
    return Entry(rev=rev, name=name, op=op, **known | fields)  # type: ignore[arg-type]


def loaded(rev: int, records: dict[str, bytes], epoch: str = "e1") -> ControlSet:
    keyed = {("kill", name): raw for name, raw in records.items()}
    return ControlSet(rev, epoch, f"{rev}-0", 0, keyed)


def test_the_next_entries_are_applied_in_order() -> None:
    held = Held()

    outcome = held.fold([entry(1), entry(2, "y"), entry(3, "x", "del")])

    assert outcome == "changed"
    assert (held.rev, held.epoch, held.last_id) == (3, "e1", "3-0")
    assert list(held.records) == [("kill", "y")]


def test_known_entries_are_skipped() -> None:
    held = Held()
    held.fold([entry(1), entry(2)])

    assert held.fold([entry(1, "old"), entry(2, "old")]) == "same"
    assert list(held.records) == [("kill", "x")]


def test_a_missing_entry_is_a_gap_and_what_came_before_holds() -> None:
    held = Held()

    assert held.fold([entry(1), entry(3, "y")]) == "gap"
    assert (held.rev, list(held.records)) == (1, [("kill", "x")])


def test_an_entry_of_another_epoch_is_a_gap() -> None:
    held = hold(loaded(1, {"x": b"1 1 0 {}"}))

    assert held.fold([entry(2, epoch="e2")]) == "gap"


def test_a_kind_of_a_newer_release_is_counted_and_passed_over() -> None:
    held = Held()
    new: dict[str, Any] = {"kind": "moat", "value": b"1 1 0 {}"}

    held.fold([entry(1, **new), entry(2, "y", **new), entry(3)])
    assert (held.rev, held.unknown["moat"]) == (3, 2)

    held.fold([entry(4, "y", "del", kind="moat", was=b"1 1 0 {}")])
    assert (held.rev, held.unknown["moat"]) == (4, 1)
    assert list(held.records) == [("kill", "x")]


def test_ended_records_are_left_out_of_the_view() -> None:
    records = {"a": b"1 1 500 {}", "b": b"2 1 900 {}", "c": b"3 1 0 {}"}
    held = hold(loaded(3, records))

    view, next_end_ms = held.view(500.0)

    assert [name for _, name in view] == ["b", "c"]
    assert next_end_ms == 900
    assert held.due(500.0) == [("kill", "a")]


def test_a_replaced_record_loses_its_old_end() -> None:
    held = hold(loaded(1, {"x": b"1 1 500 {}"}))

    held.fold([entry(2, "x")])

    assert held.due(1e15) == []


def test_a_value_without_header_is_left_out_and_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    held = hold(loaded(2, {"bad": b"what", "good": b"1 1 0 {}"}))

    assert list(held.records) == [("kill", "good")]
    assert "kill/bad: its stored value has no readable header" in caplog.text


def test_an_entry_that_comes_later_with_a_known_revision_is_a_gap() -> None:
    """A failover to a lagging copy: it counts the same revisions again."""
    held = hold(loaded(5, {"x": b"5 1 0 {}"}))

    assert held.fold([entry(5, "y", id="9-0")]) == "gap"
    assert list(held.records) == [("kill", "x")]


def test_the_digest_is_that_of_the_set_however_it_came_about() -> None:
    held = Held()
    held.fold([entry(1), entry(2, "y"), entry(3, "x", "del"), entry(4, "y")])

    assert held.digest == hold(loaded(9, {"y": b"9 7 0 {}"})).digest
    assert held.digest != hold(loaded(9, {"y": b"9 7 0 []"})).digest
    assert Held().digest == "0" * 16


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30),
    st.lists(st.integers(0, 30), max_size=8),
)
def test_any_overlapping_reads_end_in_the_same_set(
    writes: list[tuple[str, bool]], cuts: list[int]
) -> None:
    log = [
        entry(rev, name, "put" if is_put else "del")
        for rev, (name, is_put) in enumerate(writes, start=1)
    ]
    whole, pieces = Held(), Held()
    whole.fold(log)

    for cut in sorted(cuts):
        pieces.fold(log[max(0, cut - 3) : cut + 1] if cut <= pieces.rev else log[:cut])
    pieces.fold(log)

    assert pieces == whole
