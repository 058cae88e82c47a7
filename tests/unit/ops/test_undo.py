"""The inverse of a write, from the log alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.errors import Invalid, StoreConflict
from failsoft.ops.controlrows import log_row
from failsoft.ops.undo import last_op, plan_undo
from failsoft.store.protocols import Entry

NOW_MS = 1_800_000_000_000


def entry(
    rev: int,
    was: bytes | None,
    value: bytes | None,
    *,
    who: str = "ana",
    name: str = "a",
    kind: str = "flag",
) -> Entry:
    return Entry(
        id=f"{NOW_MS - 1000 + rev}-0",
        rev=rev,
        epoch="e",
        kind=kind,
        name=name,
        op="del" if value is None else "put",
        value=value,
        was=was,
        who=who,
        why="why",
        via="",
        op_id=f"op{rev}",
    )


def stored(rev: int, json: bytes, until_ms: int = 0) -> bytes:
    return b"%d %d %d " % (rev, NOW_MS - 1000, until_ms) + json


_json = st.sampled_from((b'{"defaultVariant":"on"}', b'{"defaultVariant":"off"}'))
_written = st.one_of(st.none(), _json)


@given(st.lists(_written, min_size=1, max_size=6))
def test_undo_restores_what_was_and_compares_with_what_is(
    documents: list[bytes | None],
) -> None:
    """One record written again and again: undo gives what was before the last."""
    entries: list[Entry] = []
    current: bytes | None = None
    for rev, json in enumerate(documents, start=1):
        value = None if json is None else stored(rev, json)
        if value is None and current is None:
            continue  # the store logs no deletion of nothing
        entries.append(entry(rev, current, value))
        current = value
    if not entries:
        return
    last = entries[-1]

    plan = plan_undo(entries, last.op_id, NOW_MS)

    change = plan.change("bob", "oops")
    assert change.if_rev == (0 if last.value is None else last.rev)
    assert (change.op == "del") == (last.was is None)
    assert change.json == (b"" if last.was is None else last.was.split(b" ", 3)[3])


@given(st.integers(1, 5), st.data())
def test_undo_is_refused_when_anything_came_after(
    count: int, data: st.DataObject
) -> None:
    entries = [entry(1, None, stored(1, b"{}"))]
    for rev in range(2, count + 2):
        value = data.draw(_written)
        raw = None if value is None else stored(rev, value)
        entries.append(entry(rev, entries[-1].value, raw, who="bob"))

    with pytest.raises(StoreConflict) as caught:
        plan_undo(entries, "op1", NOW_MS)

    assert caught.value.actor == "bob"
    assert caught.value.revision == count + 1
    assert "yours" in caught.value.diff


def test_writes_of_other_records_do_not_matter() -> None:
    entries = [
        entry(1, None, stored(1, b"{}")),
        entry(2, None, stored(2, b"{}"), name="b", who="bob"),
    ]

    assert plan_undo(entries, "op1", NOW_MS).op == "del"


def test_a_kill_comes_back_with_its_remaining_time_only() -> None:
    killed = stored(1, b'{"who":"ana","why":"x"}', NOW_MS + 60_000)
    lifted = entry(2, killed, None, kind="kill", name="route:GET /a")

    plan = plan_undo([lifted], "op2", NOW_MS)

    assert (plan.until, plan.until_s, plan.after) == (
        str(NOW_MS + 60_000),
        60.0,
        "KILLED",
    )


def test_a_kill_that_would_have_ended_does_not_come_back() -> None:
    killed = stored(1, b'{"who":"ana","why":"x"}', NOW_MS - 5000)
    lifted = entry(2, killed, None, kind="kill", name="route:GET /a")

    with pytest.raises(Invalid, match=r"had ended 5\.0s ago by itself"):
        plan_undo([lifted], "op2", NOW_MS)


def test_a_control_that_ended_needs_no_undo() -> None:
    kill = stored(1, b'{"who":"ana","why":"x"}', NOW_MS - 5000)
    entries = [entry(1, None, kill, kind="kill", name="route:GET /a")]

    with pytest.raises(Invalid, match=r"already ended 5\.0s ago"):
        plan_undo(entries, "op1", NOW_MS)


def test_the_last_write_is_ones_own() -> None:
    entries = [
        entry(1, None, stored(1, b"{}")),
        entry(2, None, stored(2, b"{}"), name="b", who="bob"),
    ]

    assert last_op(entries, "ana") == "op1"
    with pytest.raises(Invalid, match="eve has no write"):
        last_op(entries, "eve")
    with pytest.raises(Invalid, match="no write op9"):
        plan_undo(entries, "op9", NOW_MS)


def test_a_flag_written_again_as_it_was_is_an_edit_not_an_extension() -> None:
    json = b'{"defaultVariant":"on"}'

    row = log_row(entry(2, stored(1, json), stored(2, json)))

    assert row.action == "flag-edit"


def test_undo_says_what_comes_back_of_each_record() -> None:
    on, off = b'{"defaultVariant":"on"}', b'{"defaultVariant":"off"}'
    edit = entry(2, stored(1, on), stored(2, off))
    killed = entry(3, None, stored(3, b"{}", NOW_MS + 9_000), kind="kill", name="tag:a")
    both = [edit, replace(killed, op_id="op2")]

    assert plan_undo([edit], "op2", NOW_MS).diff == ("default off -> on",)
    assert plan_undo(both, "op2", NOW_MS).diff == (
        "flag:a: off -> on",
        "tag:a: KILLED -> on",
    )
