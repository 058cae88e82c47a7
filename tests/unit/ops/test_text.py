"""What a hostile string may not do to a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.ops.text import csv_cell, safe


@given(st.one_of(st.text(), st.binary()), st.integers(16, 60))
def test_safe_text_is_short_visible_and_stays_the_same(
    value: str | bytes, n: int
) -> None:
    shown = safe(value, n)

    assert len(shown) <= n
    assert safe(shown, n) == shown
    categories = {unicodedata.category(c) for c in shown}
    assert not categories & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(alphabet="a>\u0338\u0301\u0327\u202e\u1100\u1161", max_size=40))
def test_safe_text_stays_the_same_when_marks_meet_escapes(value: str) -> None:
    once = safe(value)

    assert safe(once) == once


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\x1b]0;owned\x07b", "a\u241b]0;owned\u2407b"),
        ("two\nlines\tapart\x7f", "two\u23celines apart\u2421"),
        ("\u202eevil", "<202E>evil"),
        ("zero\u200bwidth\ufeff", "zero<200B>width<FEFF>"),
        ("c1\x9b31m", "c1<009B>31m"),
        ("tag\U000e0041", "tag<E0041>"),
        ("\u3164", "<3164>"),
        ("\ud800", "\ufffd"),
        ("\u0301a\u0301\u0302\u0303\u0304", "\u25cc\u0301\u00e1\u0302\u0303"),
        (b"GET /\xff\xe2\x82\xac", "GET /\\xff\u20ac"),
        (None, ""),
        (12, "12"),
    ],
)
def test_each_kind_of_trap_has_a_visible_form(raw: object, shown: str) -> None:
    assert safe(raw) == shown


def test_a_cut_text_says_how_much_is_missing() -> None:
    shown = safe("x" * 10_000, 200)

    kept, tail = shown.split("...(+")
    assert len(kept) + int(tail.rstrip(")").replace(",", "")) == 10_000
    assert len(shown) == 200


def test_ascii_only_keeps_the_shape_of_bars() -> None:
    assert safe("\u2581\u2582\u2588 caf\u00e9", ascii_only=True) == "_.# caf?"


def test_a_spreadsheet_sees_no_formula() -> None:
    assert csv_cell("=cmd|' /C calc'!A0") == "'=cmd|' /C calc'!A0"
    assert csv_cell("GET /x") == "GET /x"
