"""The ledger: counts without values, bounded whatever is sent to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.shapes.findings import Finding
from failsoft.store.drift import Counted
from failsoft.tolerance._ledger import Ledger, safe_path


def ledger(now_s: list[float] | None = None) -> Ledger:
    times = now_s if now_s is not None else [1.0]
    return Ledger(lambda: times[0] * 1000)


def add(
    held: Ledger, *findings: Finding, route: str = "POST /a", who: str = ""
) -> None:
    held.add(route, "request", "", findings, who, "")


def counts(held: Ledger) -> dict[str, int]:
    return {one.entry.path: one.count for one in held.take(10_000).counted}


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("", ""),
        ("/items/*/qty", "/items/*/qty"),
        ("/x/1a2b3c4d-1a2b-1a2b-1a2b-1a2b3c4d5e6f", "/x/{*}"),
        ("/ann@example.com/age", "/{*}/age"),
        ("/+49 171 5550100", "/{*}"),
        ("/2026-01-31", "/{*}"),
        ("/deadbeefdeadbeef", "/{*}"),
        ("/decade", "/decade"),
        ("/a\r\nb\u2028\ud800", "/a??b??"),
        ("/" + "k" * 99, "/" + "k" * 64),
    ],
)
def test_keys_that_look_like_data_collapse(path: str, kept: str) -> None:
    assert safe_path(path) == kept


def test_equal_findings_are_one_entry_with_a_count() -> None:
    held = ledger()
    add(held, Finding("/a", "type", "integer", "str"))
    add(held, Finding("/a", "type", "integer", "str"), Finding("/b", "null"))

    assert counts(held) == {"/a": 2, "/b": 1}
    assert not held.take(500)


def test_beyond_64_unknown_names_of_one_parent_are_one_entry() -> None:
    held = ledger()

    for number in range(1_000):
        add(held, Finding(f"/meta/k{number}x", "unknown"))

    found = counts(held)
    assert len(found) == 65
    assert found["/meta/{*}"] == 1_000 - 64


def test_a_flood_stays_within_the_caps_and_is_counted() -> None:
    held = ledger()

    for number in range(700):
        add(held, Finding(f"/p{number}x/q", "type"))
    for route in range(30):
        found = [Finding(f"/p{n}x", "type") for n in range(100)]
        add(held, *found, route=f"GET /{route}")

    taken = held.take(10_000)
    of_one = [one for one in taken.counted if one.entry.route == "POST /a"]
    assert (len(of_one), len(held)) == (512, 2_000)
    assert taken.tallies == {"overflow": 700 - 512 + 3_000 - (2_000 - 512)}


def test_beyond_32_consumers_of_a_place_the_rest_is_other() -> None:
    held = ledger()

    for number in range(50):
        add(held, Finding("/a", "type"), who=f"c{number}")

    consumers = [one.entry.consumer for one in held.take(500).counted]
    assert len(consumers) == 33
    assert "(other)" in consumers


def test_what_could_not_be_sent_is_counted_on() -> None:
    held = ledger()
    add(held, Finding("/a", "type"))
    held.tally("skipped:size", 2)

    taken = held.take(500)
    add(held, Finding("/a", "type"))
    held.give_back(taken)

    again = held.take(500)
    assert [one.count for one in again.counted] == [2]
    assert again.tallies == {"skipped:size": 2}


def test_parts_of_500_are_taken_one_after_the_other() -> None:
    held = ledger()
    add(held, *(Finding(f"/p{n}x", "type") for n in range(501)))

    parts = [len(held.take(500).counted) for _ in range(3)]

    assert parts == [500, 1, 0]


def test_what_was_sent_and_not_seen_for_an_hour_makes_room() -> None:
    now = [0.0]
    held = ledger(now)
    add(held, *(Finding(f"/p{n}x", "type") for n in range(512)))
    held.take(500)
    now[0] = 4_000.0
    held.forget()
    unsent = len(held)
    held.take(500)
    held.forget()

    add(held, Finding("/new", "type"), who="c")

    assert (unsent, len(held)) == (12, 1)
    assert counts(held) == {"/new": 1}


def test_caps_count_what_stays() -> None:
    now = [0.0]
    held = ledger(now)
    add(held, Finding("/old", "type"))
    held.take(500)
    now[0] = 4_000.0
    add(held, *(Finding(f"/k{n}x", "unknown") for n in range(64)), who="c")
    held.forget()

    add(held, Finding("/more", "unknown"), who="c")

    assert "/{*}" in counts(held)


def test_words_are_bounded_too() -> None:
    held = ledger()

    for number in range(1_000):
        held.tally(f"repaired:{number}")

    tallies = held.take(1).tallies
    assert len(tallies) == 257
    assert tallies["(other)"] == 744


@given(st.lists(st.tuples(st.text(max_size=300), st.text(max_size=20)), max_size=40))
def test_whatever_is_found_can_be_told(found: list[tuple[str, str]]) -> None:
    """The law: no path makes it raise, and each entry can be written as UTF-8."""
    held = ledger()

    add(
        held,
        *(Finding(f"/{path}", "unknown", got) for path, got in found),
        who="\ud800",
    )

    taken = held.take(10_000)
    assert sum(one.count for one in taken.counted) == len(found)
    assert all(map(is_writable, taken.counted))


def is_writable(one: Counted) -> bool:
    entry = one.entry
    words = (entry.path, entry.expected, entry.consumer)
    return all(word.encode().isascii() or word.encode() for word in words if word)


def test_consumers_of_what_got_no_entry_are_not_kept() -> None:
    held = ledger()
    add(held, *(Finding(f"/p{n}x", "type") for n in range(512)))

    for number in range(100):
        add(held, Finding("/late", "type"), who=f"c{number}")

    assert len(held) == 512
    assert held.take(600).tallies == {"overflow": 100}


def test_parents_are_bounded_like_entries() -> None:
    held = ledger()

    add(held, *(Finding(f"/p{n}x/name", "unknown") for n in range(2_001)))

    assert "overflow" in held.take(5_000).tallies
    assert len(held) == 512


def test_nothing_is_forgotten_before_its_hour() -> None:
    held = ledger()
    add(held, Finding("/a", "type"))
    held.take(500)

    held.forget()

    assert len(held) == 1
