"""flagd files are read flag by flag and written byte for byte."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.errors import FlagError
from failsoft.flags.importers.flagd import (
    hash_frozen,
    read_flagd,
    unhashed,
    write_flagd,
)

GOOD = {"state": "ENABLED", "variants": {"on": True, "off": False}}
SPLIT = {"fractional": [["on", 5], ["off", 95]]}


def file_of(*flags: str) -> bytes:
    return b'{\n"flags": {' + ",\n".join(flags).encode() + b"}}"


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
        st.sampled_from([None, 1, 4]),
        max_size=6,
    )
)
def test_a_round_trip_keeps_every_byte_of_a_document(indents: dict[str, Any]) -> None:
    flags = {key: json.dumps(GOOD, indent=i).encode() for key, i in indents.items()}
    evaluators = {"dach": b'{ "in":[{"var":"country"} , ["DE"]] }'}

    found = read_flagd(write_flagd(flags, evaluators))

    assert (found.flags, found.evaluators, found.bad) == (flags, evaluators, {})


def test_each_bad_flag_is_told_with_line_path_and_nearest_name() -> None:
    good = json.dumps(GOOD)
    wrong = good[:-1] + ',"targeting":{"if":[{"inn":[1,2]},"on"]}}'
    deep = good[:-1] + ',"targeting":' + '{"!":[' * 2000 + "1" + "]}" * 2000 + "}"

    found = read_flagd(
        file_of(f'"a":{good}', f'"b":{wrong}', f'"c":{deep}', f'"a":{good}'), "f.json"
    )

    assert found.flags == {}
    assert found.bad["b"] == (
        "f.json line 3: flag:b targeting.if[0].inn: operator 'inn' is not known; "
        "did you mean in?"
    )
    assert found.bad["c"].startswith("f.json line 4: flag:c: is nested too deep")
    assert found.bad["a"] == "f.json line 5: flag:a: stands in the file twice"


def test_the_array_form_is_read_without_its_keys() -> None:
    raw = b'{"flags":[{"key":"a","state":"ENABLED","variants":{"on":true}}]}'

    found = read_flagd(raw)

    assert found.flags == {"a": b'{"state":"ENABLED","variants":{"on":true}}'}


def test_metadata_of_the_set_stands_below_that_of_a_flag() -> None:
    own = json.dumps({**GOOD, "metadata": {"x.owner": "pay"}}).encode()
    raw = b'{"metadata":{"x.owner":"shop","team":"t"},"flags":{"a":' + own + b"}}"

    metadata = read_flagd(raw).parsed["a"].metadata

    assert metadata == {"x.owner": "pay", "team": "t"}


def test_a_rollout_gets_the_hash_version_it_did_not_say() -> None:
    document = msgspec.json.encode({**GOOD, "targeting": SPLIT})
    flag = read_flagd(write_flagd({"a": document}, {})).parsed["a"]
    assert unhashed(flag)

    frozen = hash_frozen(document, 2)

    assert frozen == document[:-1] + b',"metadata":{"x.hash":2}}'
    assert (
        hash_frozen(b'{"metadata": {"o":1}}', 3) == b'{"metadata": {"o":1,"x.hash":3}}'
    )


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"[]", "f.json: line 1: expected {"),
        (b"{}", "f.json: has no flags"),
        (b'{"flags":\n{"a" {}}}', "f.json: line 2: expected a colon"),
        (b'{"flags":[{}]}', "f.json: line 1: a flag of the array has no key"),
        (b'{"flags":{},"$evaluators":{"e":[}}', "f.json: line 1: expected"),
    ],
)
def test_a_file_that_is_none_is_told_with_its_line(raw: bytes, said: str) -> None:
    with pytest.raises(FlagError) as caught:
        read_flagd(raw, "f.json")

    assert str(caught.value).startswith(said)
