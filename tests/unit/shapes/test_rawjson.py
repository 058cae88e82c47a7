"""Surgery keeps bytes; what it decodes keeps digits."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec import Raw

from failsoft.shapes.rawjson import (
    UNREADABLE,
    close,
    open_list,
    open_object,
    read,
    scalar,
    text_of,
    write,
)

_BIG = str(2**70)
_LONG = "0.1234567890123456789012345"


@pytest.mark.parametrize("number", ["1e400", _BIG, _LONG, "-0", "1.10", "1E5", "-1e-9"])
def test_an_untouched_number_keeps_its_spelling(number: str) -> None:
    body = b'{"n":%s,"s":"\\u00e9\\/","x":1}' % number.encode()
    members = open_object(Raw(body))
    assert members is not None

    del members["x"]

    assert close(members) == b'{"n":%s,"s":"\\u00e9\\/"}' % number.encode()


@pytest.mark.parametrize("number", ["1e400", _BIG, _LONG, "1.5", "1e-400", "12"])
def test_a_decoded_number_keeps_its_value(number: str) -> None:
    value = read(Raw(b"[%s]" % number.encode()))

    assert Decimal(text_of(write(value))[1:-1]) == Decimal(number)


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'{"a":' * 100_000,
        b'{"\xff":1}',
        b'{"a":1}x',
        b'{"a":01}',
    ],
)
def test_what_is_no_json_is_refused_in_a_known_way(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        read(Raw(body))


def test_of_duplicate_keys_the_last_one_counts() -> None:
    assert close(open_object(Raw(b'{"a":1,"a": 2}'))) == b'{"a":2}'


def test_only_objects_and_arrays_open() -> None:
    assert open_object(Raw(b' {"a":1}')) is not None
    assert open_list(Raw(b"\n[1]")) is not None
    assert open_object(Raw(b"[1]")) is None
    assert open_list(Raw(b'"x"')) is None
    assert open_object(7) is None
    assert open_list("x") is None
    assert open_object(Raw(b"")) is None


def test_an_opened_part_stays_the_same_object() -> None:
    members, items = {"a": 1}, [1]

    assert open_object(members) is members
    assert open_list(items) is items


def test_a_container_is_no_scalar() -> None:
    raw = Raw(b'{"a":1}')

    assert scalar(raw) is raw
    assert scalar(Raw(b'"x"')) == "x"
    assert scalar("x") == "x"
    assert read({"a": Raw(b"1")}) == {"a": 1}
