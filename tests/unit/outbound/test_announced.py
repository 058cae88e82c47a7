"""What third parties' headers announce, and when operators are told."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.outbound._announced import (
    ANNOUNCING,
    PeerNote,
    Said,
    alerts_of,
    merged,
    read_note,
    read_said,
)

PLACE = ("stripe", "GET /v1/charges/{id}")
DAY_S = 86_400


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("@1688169599", 1_688_169_599),
        ("@1688169599;reason=old", 1_688_169_599),
        ("1688169599", 1_688_169_599),
        ("Fri, 30 Jun 2023 23:59:59 GMT", 1_688_169_599),
        ("2023-06-30T23:59:59Z", 1_688_169_599),
        ("2023-07-01", 1_688_169_600),
        ("true", 0),
        ("?1", 0),
        ("soon", 0),
        ("Fri, 30 Jun 2023 23:59:59 -9999999999999999999999999", 0),
        ("Fri, 30 Jun 2023 23:59:59 +99999999999999", 0),
        ("0001-01-01", 0),
    ],
)
def test_a_deprecation_is_read_in_all_its_spellings(text: str, at: int) -> None:
    said = read_said([(b"deprecation", text.encode())])

    assert said is not None
    assert said.is_deprecated
    assert said.deprecated_at == at


@pytest.mark.parametrize("text", ["false", "?0", ""])
def test_what_is_not_deprecated_announces_nothing(text: str) -> None:
    assert read_said([(b"deprecation", text.encode())]) is None


def test_only_links_of_a_lifecycle_are_kept_and_without_their_query() -> None:
    link = b'<https://x.test/a?key=1>; rel="sunset deprecation", <https://x.test/p>; '
    link += b'rel=next, <https://x.test/v2#top>; title="a; b"; rel="successor-version"'

    said = read_said([(b"link", link)])

    assert said is not None
    assert said.links == (
        ("sunset", "https://x.test/a"),
        ("deprecation", "https://x.test/a"),
        ("successor-version", "https://x.test/v2"),
    )


def test_a_page_of_a_list_announces_nothing() -> None:
    assert read_said([(b"link", b'<https://x.test/p?page=2>; rel="next"')]) is None


def test_sunset_warning_and_deprecated_versions_are_kept() -> None:
    said = read_said(
        [
            (b"sunset", b"Sat, 31 Oct 2026 23:59:59 GMT"),
            (b"warning", b'199 - "no", 299 - "use v2\xff"'),
            (b"api-deprecated-versions", b"1.0, 1.1,,"),
        ],
        "2026-01-01",
    )

    assert said is not None
    assert (said.sunset_at, said.warning) == (1_793_491_199, "use v2?")
    assert (said.versions, said.version) == (("1.0", "1.1"), "2026-01-01")


@given(
    st.lists(st.tuples(st.sampled_from(sorted(ANNOUNCING)), st.binary(max_size=300))),
    st.text(max_size=100),
)
def test_whatever_a_server_sends_is_read_or_left_out(
    pairs: list[tuple[bytes, bytes]], version: str
) -> None:
    said = read_said(pairs, version)

    assert said is None or str(said).isprintable()


def test_what_an_answer_does_not_say_stays() -> None:
    first = merged(PLACE, None, Said(True, 5, 9, version="1"), 1000)

    note = merged(PLACE, first, Said(version="2"), 2000)

    assert (note.is_deprecated, note.sunset_at, note.first_ms) == (True, 9, 1000)
    assert (note.version, note.was, note.last_ms) == ("2", "1", 2000)


def noted(days: float) -> PeerNote:
    return merged(PLACE, None, Said(sunset_at=int(days * DAY_S)), 0)


@pytest.mark.parametrize(
    ("days", "bound"),
    [(30.5, ""), (30, "30"), (7, "7"), (1.1, "7"), (0.9, "1"), (-1, "0")],
)
def test_a_sunset_is_told_at_30_7_and_1_days_and_once_it_has_passed(
    days: float, bound: str
) -> None:
    note = noted(100)

    told = alerts_of(note, note, (100 - days) * DAY_S)

    assert [alert.mark.rpartition("|")[2] for alert in told] == (
        [bound] if bound else []
    )


def test_another_version_and_a_new_deprecation_are_told() -> None:
    held = merged(PLACE, None, Said(version="1"), 0)
    note = merged(PLACE, held, Said(is_deprecated=True, version="2"), 1)

    told = alerts_of(held, note, 0)

    assert [alert.kind for alert in told] == [
        "dependency.version",
        "dependency.deprecated",
    ]
    assert told[0].text == "answers as version 2, before 1"
    assert alerts_of(note, note, 0) == []


def test_a_note_whose_instant_no_calendar_has_is_left_alone() -> None:
    note = PeerNote(dependency="pay", operation="*", sunset_at=10**18)

    assert read_note(msgspec.msgpack.encode(note)) is None


def test_a_note_of_another_release_is_left_alone() -> None:
    assert read_note(b"\xc1") is None
    assert read_note(b"\x92\x02\xa6stripe") == PeerNote(v=2, dependency="stripe")
