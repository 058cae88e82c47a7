from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.tracing import format_response, parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_traceparent_is_taken_apart() -> None:
    header = f"00-{TRACE}-{SPAN}-01".encode()

    assert parse_traceparent(header) == (int(TRACE, 16), int(SPAN, 16), 1)


def test_a_newer_version_may_carry_more_after_a_dash() -> None:
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-01-what-else".encode()) is not None


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}_{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.x",
        f"00-{TRACE[:-1]}é-{SPAN}-01",
    ],
)
def test_a_malformed_traceparent_is_refused(header: str) -> None:
    """Source: W3C Trace Context, 3.2.2 and 4.3."""
    assert parse_traceparent(header.encode()) is None


@given(st.binary(max_size=80))
def test_no_bytes_make_it_raise(header: bytes) -> None:
    parsed = parse_traceparent(header)

    assert parsed is None or parsed[0] > 0


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_what_goes_out_can_be_read_back(trace: int, span: int, flags: int) -> None:
    assert parse_traceparent(format_response(trace, span, flags)) == (
        trace,
        span,
        flags,
    )
