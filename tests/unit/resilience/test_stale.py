"""What is kept of good answers: within bounds, for whom, and how it is sent again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failsoft.resilience._stale import Shelf, key_of, replay

NS = 1_000_000_000
PLAIN: Any = {"headers": [], "method": "GET", "path": "/a", "query_string": b""}


def scope(**headers: str) -> Any:
    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return {**PLAIN, "headers": pairs}


def key(number: int) -> tuple[str, str, bytes, bytes, bytes]:
    return "GET /a", f"/a/{number}", b"", b"", b""


def keep(shelf: Shelf, number: int, size: int = 0, **headers: str) -> None:
    pairs = scope(**headers)["headers"]
    shelf.keep(key(number), PLAIN, pairs, b"x" * size, 0)


def test_the_least_used_goes_first() -> None:
    shelf = Shelf(10_000, 4_000)
    for number in range(3):
        keep(shelf, number, 500)
    shelf.find(key(0), PLAIN, 60, 0)

    keep(shelf, 3, 1000)

    kept = [n for n in range(4) if shelf.find(key(n), PLAIN, 60, 0)]
    assert kept == [0, 2, 3]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3000), st.integers(0, 40))))
def test_it_never_holds_more_than_it_may(writes: list[tuple[int, int, int]]) -> None:
    shelf = Shelf(2_000, 10_000)

    for number, size, language in writes:
        asked = scope(accept_language=str(language))
        vary = [(b"Vary", b"Accept-Language")] if language % 2 else []
        shelf.keep(key(number), asked, vary, b"x" * size, 0)

    assert 0 <= shelf.held_bytes <= 10_000
    shelf.clear()
    assert (len(shelf), shelf.held_bytes) == (0, 0)


def test_variants_of_one_answer_are_bounded() -> None:
    shelf = Shelf(1000, 1_000_000)

    for language in range(40):
        asked = scope(accept_language=str(language))
        shelf.keep(key(1), asked, [(b"vary", b"accept-language")], b"", 0)

    held = [
        n for n in range(40) if shelf.find(key(1), scope(accept_language=str(n)), 9, 0)
    ]
    assert held == list(range(24, 40))


def test_answers_that_do_not_always_vary_are_kept_side_by_side() -> None:
    shelf = Shelf(1000, 10_000)
    alone, browser = scope(), scope(origin="https://a.test")

    for number in range(4):
        asked, vary = (browser, [(b"vary", b"Origin")]) if number % 2 else (alone, [])
        shelf.keep(key(1), asked, vary, b"%d" % number, 0)
    for name in range(40):
        shelf.keep(key(2), alone, [(b"vary", b"x-%d" % name)], b"", 0)

    assert [shelf.find(key(1), s, 9, 0).body for s in (alone, browser)] == [b"2", b"3"]  # type: ignore[union-attr]
    assert shelf.find(key(1), scope(origin="https://b.test"), 9, 0) is None
    assert shelf.find(key(2), alone, 9, 0)


def test_too_old_is_not_found() -> None:
    shelf = Shelf(1000, 10_000)
    keep(shelf, 1)

    assert shelf.find(key(1), PLAIN, 5, 5 * NS)
    assert shelf.find(key(1), PLAIN, 5, 5 * NS + 1) is None


@pytest.mark.parametrize(
    ("headers", "age", "status"),
    [
        ({}, b"100", b"failsoft; hit; ttl=-100"),
        ({"cache_control": "max-age=60"}, b"100", b"failsoft; hit; ttl=-40"),
        (
            {"cache_control": "public, s-maxage=200", "age": "7"},
            b"107",
            b"failsoft; hit; ttl=93",
        ),
        ({"age": "soon"}, b"100", b"failsoft; hit; ttl=-100"),
    ],
)
def test_it_says_how_old_it_is(
    headers: dict[str, str], age: bytes, status: bytes
) -> None:
    shelf = Shelf(1000, 10_000)
    keep(shelf, 1, 0, **headers)
    kept = shelf.find(key(1), PLAIN, 1000, 100 * NS)
    assert kept is not None

    said = dict(replay(kept, PLAIN, 100 * NS)[1])

    assert (said[b"age"], said[b"cache-status"]) == (age, status)


def test_what_belongs_to_one_answer_is_not_sent_again() -> None:
    shelf = Shelf(1000, 10_000)
    keep(shelf, 1, content_length="9", x_request_id="1", connection="close", etag='"1"')
    kept = shelf.find(key(1), PLAIN, 1000, 0)
    assert kept is not None

    names = {name for name, _ in replay(kept, PLAIN, 0)[1]}

    assert names == {b"etag", b"age", b"cache-status"}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ('"1"', 304),
        ('W/"1"', 304),
        ('"0", "1"', 304),
        ("*", 304),
        ('"2"', 200),
        ("", 200),
    ],
)
def test_who_has_it_already_is_told_so(said: str, status: int) -> None:
    shelf = Shelf(1000, 10_000)
    keep(shelf, 1, etag='"1"', content_type="text/plain")
    kept = shelf.find(key(1), PLAIN, 1000, 0)
    assert kept is not None

    found, headers, _ = replay(kept, scope(if_none_match=said), 0)

    assert found == status
    assert (b"content-type" in dict(headers)) is (status == 200)


def asked(**headers: str) -> Any:
    plan = SimpleNamespace(key="GET /a")
    return SimpleNamespace(scope=scope(**headers), plan=plan)


def test_only_answers_to_get_have_a_place() -> None:
    post = asked()
    post.scope["method"] = "POST"

    assert key_of(post, (), by_consumer=False) is None


def test_hosts_share_nothing() -> None:
    hosts = ["a.test", "A.test", "b.test"]

    keys = {key_of(asked(host=host), (), by_consumer=False) for host in hosts}

    assert len(keys) == 2


def test_credentials_belong_to_one_caller() -> None:
    said = [
        {},
        {"authorization": "a"},
        {"authorization": "b"},
        {"cookie": "a"},
        {"x_api_key": "a"},
        {"user_agent": "ShopApp/1"},
        {"x_app": "shop"},
    ]

    shared = [key_of(asked(**h), (), by_consumer=False) is not None for h in said]
    own = [key_of(asked(**h), (b"x-app",), by_consumer=True) for h in said]

    assert shared == [True, False, False, False, False, True, True]
    assert [key is not None for key in own] == [
        False, True, True, True, True, False, True,
    ]  # fmt: skip
    assert len(set(own)) == 6
