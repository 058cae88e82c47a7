"""What is copied of an answer, when it is judged, and what is left out."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.outbound._announced import Said
from failsoft.outbound._contract import Contract
from failsoft.outbound._tap import Asked, inflated
from unit.outbound.seen import Seen, Watched

GOOD = b'{"id": "1", "amount": 5}'
BAD = b'{"id": "1", "amount": "5", "new": 1}'
FOUND = [("/new", "unknown", "int"), ("/amount", "type", "str:int")]


def body_of(size: int) -> bytes:
    return json.dumps({"id": "1", "amount": "5", "note": "n" * size}).encode()


@pytest.fixture
def watched() -> Watched:
    found = Watched()
    found.answer(GOOD)  # loads the contract, compiles the shape
    return found


def test_the_first_answer_is_judged_once_its_contract_is_loaded() -> None:
    watched = Watched()
    copy = watched.begin()
    assert copy is not None
    copy.add(BAD[:9])
    copy.add(BAD[9:])
    copy.end()
    assert watched.seen.findings == []

    watched.work()

    assert watched.seen.findings == FOUND


def test_a_known_answer_is_judged_at_its_end(watched: Watched) -> None:
    assert watched.answer(BAD) == FOUND
    assert watched.answer(GOOD) == []
    assert watched.answer(b'{"id": "1", "amount": 5.0, "note": null}') == []
    assert watched.jobs == []


def test_what_is_only_ever_sent_is_not_missed(watched: Watched) -> None:
    assert watched.answer(b'{"amount": 5}') == [("/id", "missing", "absent")]


def test_undeclared_statuses_and_media_types_are_found(watched: Watched) -> None:
    html = {"Content-Type": "Text/HTML; charset=utf-8"}

    assert watched.answer(b"", status=418) == [("", "status", "418")]
    assert watched.answer(b"", status=503) == []
    assert watched.answer(b"", status=304) == []
    assert watched.answer(b"<p>", headers=html) == [("", "media_type", "text/html")]
    assert watched.answer(b"", method="HEAD") == []


def test_an_unknown_path_is_counted_only(watched: Watched) -> None:
    assert watched.answer(b"{}", path="/other") == []
    assert watched.seen.skipped == ["operation"]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br"])
def test_encodings_nobody_here_reads_are_counted(
    watched: Watched, encoding: str
) -> None:
    assert watched.begin(headers={"Content-Encoding": encoding}) is None
    assert watched.seen.skipped == ["encoding"]


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(BAD)),
        ("x-gzip", gzip.compress(BAD) + gzip.compress(b"which httpx leaves")),
        ("deflate", zlib.compress(BAD)),
        ("deflate", zlib.compress(BAD, wbits=-15)),
        ("identity", BAD),
    ],
    ids=["gzip", "two-parts", "zlib", "raw-deflate", "identity"],  # bytes hold a time
)
def test_packed_bodies_are_judged_as_the_caller_sees_them(
    watched: Watched, encoding: str, packed: bytes
) -> None:
    assert watched.answer(packed, headers={"Content-Encoding": encoding}) == FOUND


def test_a_bomb_is_not_inflated(watched: Watched) -> None:
    bomb = gzip.compress(b"0" * 50_000_000)

    assert watched.answer(bomb, headers={"Content-Encoding": "gzip"}) == []
    assert watched.seen.skipped == ["size"]


@given(st.binary(max_size=2000), st.sampled_from(["gzip", "deflate", ""]))
def test_inflating_gives_what_was_packed(body: bytes, encoding: str) -> None:
    packs: dict[str, Any] = {"gzip": gzip.compress, "deflate": zlib.compress}
    packed = packs.get(encoding, bytes)(body)

    found = inflated(packed, encoding, 2000)

    assert found == body or (found is None and len(body) > 100 * len(packed))


def test_a_broken_stream_is_no_fault_of_ours(watched: Watched) -> None:
    assert watched.answer(b"no gzip", headers={"Content-Encoding": "gzip"}) == []
    assert (watched.seen.faults, watched.seen.skipped) == ([], ["encoding"])


def test_two_lines_of_encodings_are_two_encodings(watched: Watched) -> None:
    raw = [(b"content-type", b"application/json"), (b"content-encoding", b"br")]
    raw.append((b"content-encoding", b"gzip"))

    assert watched.tap.begin(watched.seen, Asked("GET", "x", "/"), 404, raw) is None
    watched.begin()
    asked = Asked("GET", "x.test", "/charges/1")
    assert watched.tap.begin(watched.seen, asked, 200, raw) is None
    assert watched.seen.skipped == ["operation", "encoding"]


def test_chunks_without_bytes_are_not_kept(watched: Watched) -> None:
    copy = watched.begin()
    assert copy is not None
    tracemalloc.start()
    for _ in range(100_000):
        copy.add(b"")

    assert tracemalloc.get_traced_memory()[0] < 100_000
    tracemalloc.stop()


def test_of_large_bodies_a_tenth_is_judged_and_later() -> None:
    large = body_of(100_000)
    few, most = Watched(dice=lambda: 0.05), Watched(dice=lambda: 0.5)

    assert few.answer(large) == [("/amount", "type", "str:int")]
    assert most.answer(large) == []
    assert most.seen.skipped == ["size"]


def test_a_body_that_inflates_to_a_large_one_is_sampled_as_such() -> None:
    packed = gzip.compress(body_of(100_000) + b" " * 900)
    gzipped = {"Content-Encoding": "gzip"}
    few, most = Watched(dice=lambda: 0.05), Watched(dice=lambda: 0.5)
    noisy = gzip.compress(
        json.dumps(
            {"id": "1", "amount": "5", "note": str([n * n for n in range(9000)])}
        ).encode()
    )

    assert few.answer(noisy, headers=gzipped) == [("/amount", "type", "str:int")]
    assert most.answer(noisy, headers=gzipped) == []
    assert few.answer(packed, headers=gzipped) == []  # 100 times and more


def test_no_more_than_256_kib_are_copied() -> None:
    watched = Watched(dice=lambda: 0.0)
    watched.answer(GOOD)

    assert watched.answer(body_of(300_000)) == []
    assert watched.begin(headers={"Content-Length": "300000"}) is None
    assert watched.seen.skipped == ["size", "size"]


def test_a_body_the_caller_leaves_is_not_judged(watched: Watched) -> None:
    copy = watched.begin()
    assert copy is not None
    copy.add(BAD[:10])

    copy.close()
    copy.end()

    assert watched.seen.findings == []
    assert watched.seen.skipped == ["unread"]


def test_a_body_read_to_its_end_is_not_left(watched: Watched) -> None:
    copy = watched.begin()
    assert copy is not None
    copy.end()

    copy.close()

    assert watched.seen.skipped == []
    assert watched.seen.findings == [("", "missing", "absent")]


def test_members_of_enums_are_named_where_settings_say_so() -> None:
    watched = Watched(Seen(enum_values=True))

    assert watched.answer(b'{"id": "1", "amount": "5"}') == [
        ("/amount", "type", "named:str:int")
    ]


def test_walks_beyond_their_limit_are_counted(watched: Watched) -> None:
    watched.seen.walks = 1

    assert watched.answer(BAD) == FOUND
    assert watched.answer(BAD) == []
    assert watched.seen.skipped == ["unlisted"]


def test_without_room_the_next_call_tries_again() -> None:
    watched = Watched()
    watched.room = 0
    assert watched.begin() is None

    watched.room = 100

    assert watched.answer(BAD) == FOUND


def test_work_without_room_is_counted() -> None:
    watched = Watched()
    copy = watched.begin()
    assert copy is not None
    watched.room = 0

    copy.end()

    assert watched.seen.skipped == ["busy"]


def test_announcements_are_noted_by_operation_also_without_a_contract() -> None:
    headers = {"Deprecation": "@5", "API-Version": "v2", "Link": "<x>; rel=next"}
    with_one = Watched(Seen(version_header="api-version"))
    without = Watched(Seen(version_header="api-version"), Contract())

    with_one.answer(GOOD, headers=headers)
    without.answer(GOOD, headers=headers)

    said = Said(is_deprecated=True, deprecated_at=5, version="v2")
    assert with_one.seen.notes == [("GET /charges/{id}", said)]
    assert without.seen.notes == [("*", said)]
    assert without.seen.skipped == []


def test_a_contract_that_cannot_be_loaded_is_told_once() -> None:
    class Broken(Watched):
        def load(self, declared: object) -> Contract:
            raise ValueError("no such file")

    watched = Broken()
    watched.answer(BAD)
    watched.answer(BAD)

    assert watched.seen.faults == ["watching pay: no such file"]
    assert watched.seen.findings == []
