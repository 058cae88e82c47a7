"""Headers of versioned answers: stamps, merged lists, entity tags, renamed ones."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.versions._headers import (
    Stamp,
    add_tag,
    edit_query,
    rename_headers,
    strip_tags,
)

Pairs = list[tuple[bytes, bytes]]
ECHO = (b"x-api-version", b"2025-01-15")
DEPRECATION = (b"deprecation", b"@1769904000")
LINK = (b"link", b'<https://x>; rel="deprecation"')
VARY = (b"vary", b"X-API-Version, Accept")


def stamped(headers: Pairs, *, expose: bool = True) -> tuple[Pairs, Counter[str]]:
    counts: Counter[str] = Counter()
    lines = (ECHO, DEPRECATION, LINK)
    Stamp.of(lines, ("X-API-Version", "Accept"), expose=expose).put(headers, counts)
    return headers, counts


def test_an_answer_gets_all_lines() -> None:
    found, counts = stamped([(b"content-type", b"text/plain"), (b"link", b"<a>")])

    assert found[2:] == [ECHO, DEPRECATION, LINK, VARY]
    assert not counts


@pytest.mark.parametrize("name", [b"deprecation", b"Deprecation"])
def test_the_applications_own_header_wins_and_is_counted(name: bytes) -> None:
    own = (name, b"@1")

    found, counts = stamped([own])

    assert found == [own, ECHO, LINK, VARY]
    assert counts == {"own header deprecation": 1}


@pytest.mark.parametrize(
    ("sent", "merged"),
    [
        (b"Origin", b"Origin, X-API-Version, Accept"),
        (b"accept,Origin", b"accept,Origin, X-API-Version"),
        (b"*", b"*"),
        (b"", b"X-API-Version, Accept"),
    ],
)
def test_vary_is_merged_never_replaced(sent: bytes, merged: bytes) -> None:
    found, counts = stamped([(b"vary", sent)])

    assert found == [(b"vary", merged), ECHO, DEPRECATION, LINK]
    assert not counts


def test_scripts_may_read_our_headers_where_they_may_read_any() -> None:
    name = b"access-control-expose-headers"

    found, _ = stamped([(name, b"X-Total")])
    kept, _ = stamped([(name, b"X-Total")], expose=False)

    assert found[0] == (name, b"X-Total, X-API-Version, Deprecation, Link")
    assert kept[0] == (name, b"X-Total")


@pytest.mark.parametrize(
    ("sent", "marked"),
    [
        (b'"abc"', b'"abc-fs.12345678"'),
        (b'W/"abc"', b'W/"abc-fs.12345678"'),
        (b'""', b'"-fs.12345678"'),
        (b"broken", b"broken"),
        (b'"', b'"'),
    ],
)
def test_an_entity_tag_is_marked_inside_its_quotes(sent: bytes, marked: bytes) -> None:
    headers = [(b"ETag", sent)]

    add_tag(headers, b"-fs.12345678")

    assert headers == [(b"ETag", marked)]


def test_conditions_lose_the_mark_of_their_version_alone() -> None:
    value = b'W/"a-fs.12345678", "b-fs.87654321", "c"'
    headers = [(b"if-none-match", value), (b"if-match", b"*"), (b"x", value)]

    strip_tags(headers, b"-fs.12345678")

    assert headers[0] == (b"if-none-match", b'W/"a", "b-fs.87654321", "c"')
    assert headers[1:] == [(b"if-match", b"*"), (b"x", value)]


@given(st.text(alphabet=st.characters(codec="latin-1", exclude_characters='"')))
def test_a_marked_tag_comes_back_as_it_was(text: str) -> None:
    tag = b'"' + text.encode("latin-1") + b'"'
    headers = [(b"etag", tag)]

    add_tag(headers, b"-fs.12345678")
    asked = [(b"if-none-match", headers[0][1])]
    strip_tags(asked, b"-fs.12345678")

    assert asked[0][1] == tag


def test_headers_are_renamed_in_the_list_itself() -> None:
    headers = [(b"X-Old", b"1"), (b"x-other", b"2")]

    rename_headers(headers, {b"x-old": b"x-new"})

    assert headers == [(b"x-new", b"1"), (b"x-other", b"2")]


def test_parameters_are_renamed_and_their_texts_mapped() -> None:
    query = b"sort=new%20first&page=2&%73ort=z&flag&sort"

    found = edit_query(query, {"sort": "order by"}, {"order by": {"new first": "-at"}})

    assert found == b"order+by=-at&page=2&order+by=z&flag&order+by"


@given(st.binary(max_size=200))
def test_a_query_that_holds_none_of_the_names_keeps_its_bytes(query: bytes) -> None:
    assert edit_query(query, {"no such name": "x"}, {"x": {"a": "b"}}) == query
