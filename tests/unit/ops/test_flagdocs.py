"""Documents of boolean flags survive edits; others are left alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.errors import Invalid
from failsoft.ops.command import FlagEdit
from failsoft.ops.flagdocs import edited, flag_now


def document(json: bytes) -> dict[str, Any]:
    return msgspec.json.decode(json, type=dict[str, Any])


def test_switching_a_flag_on_writes_a_plain_document() -> None:
    made = edited(b"", "false", FlagEdit("flag:a", enabled=True))

    assert document(made) == {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "on",
    }
    assert flag_now(made) == ("on", 100.0)


@given(st.integers(0, 10_000))
def test_a_rollout_says_the_share_it_was_given(hundredths: int) -> None:
    percent = hundredths / 100

    made = edited(b"", "false", FlagEdit("flag:a", rollout=percent))

    doc = document(made)
    (on, share), (off, rest) = doc["targeting"]["fractional"]
    assert (on, off, doc["defaultVariant"]) == ("on", "off", "off")
    assert share / (share + rest) == pytest.approx(percent / 100)
    assert isinstance(share, int)
    assert doc["metadata"] == {"x.hash": 3}
    assert flag_now(made) == (f"{percent:g}%", percent)


def test_an_edit_keeps_names_hash_and_keys_it_does_not_know() -> None:
    before = msgspec.json.encode(
        {
            "state": "DISABLED",
            "variants": {"yes": True, "no": False},
            "defaultVariant": "no",
            "metadata": {"x.hash": 2, "x.owner": "pay"},
            "future": [1, 2],
        }
    )

    doc = document(edited(before, "false", FlagEdit("flag:a", rollout=5)))

    assert doc["targeting"] == {"fractional": [["yes", 5], ["no", 95]]}
    assert doc["metadata"] == {"x.hash": 2, "x.owner": "pay"}
    assert (doc["state"], doc["future"]) == ("ENABLED", [1, 2])


def test_off_for_all_drops_the_rollout() -> None:
    rollout = edited(b"", "false", FlagEdit("flag:a", rollout=5))

    made = edited(rollout, "false", FlagEdit("flag:a", enabled=False))

    assert "targeting" not in document(made)
    assert flag_now(made) == ("off", 0.0)


@pytest.mark.parametrize(
    ("json", "coded", "edit"),
    [
        (b"", '"blue"', FlagEdit("flag:a", enabled=True)),
        (b'{"variants":{"a":1,"b":2}}', "", FlagEdit("flag:a", enabled=True)),
        (b"not json", "false", FlagEdit("flag:a", enabled=True)),
        (b"", "false", FlagEdit("flag:a")),
        (b"", "false", FlagEdit("flag:a", enabled=True, rollout=3)),
        (b"", "false", FlagEdit("flag:a", rollout=100.5)),
        (b"", "false", FlagEdit("flag:a", rollout=1.005)),
        (b"", "false", FlagEdit("flag:a", rollout=float("nan"))),
    ],
)
def test_what_is_not_a_boolean_edit_is_refused(
    json: bytes, coded: str, edit: FlagEdit
) -> None:
    with pytest.raises(Invalid):
        edited(json, coded, edit)


@pytest.mark.parametrize(
    ("json", "shown"),
    [
        (b"{", ("unreadable", None)),
        (b'{"state":"DISABLED","defaultVariant":"on"}', ("disabled", None)),
        (b'{"variants":{"a":"x","b":"y"},"defaultVariant":"a"}', ("a", None)),
        (b'{"targeting":{"if":[true,"on"]}}', ("rules", None)),
        (b'{"targeting":{"fractional":[["on",1],["odd",1]]}}', ("rules", None)),
        (b'{"variants":[1],"defaultVariant":null}', ("None", None)),
    ],
)
def test_foreign_documents_are_named_not_guessed(
    json: bytes, shown: tuple[str, None]
) -> None:
    assert flag_now(json) == shown
