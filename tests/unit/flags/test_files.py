"""Flags files: what they may look like, what is told of bad ones, how they reload."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from failsoft.errors import FlagError
from failsoft.flags._definitions import NO_FILES
from failsoft.flags._files import join_files, read_document, sha8
from failsoft.flags._reload import FlagFiles

ON = {"state": "ENABLED", "variants": {"on": True, "off": False}}
BAD = {**ON, "state": "PAUSED"}


def text(flags: Any, **more: Any) -> bytes:
    return json.dumps({"flags": flags, **more}, indent=2).encode()


def test_a_map_and_an_array_give_the_same_flags() -> None:
    by_key = read_document("a", text({"f": ON, "g": ON}))
    in_order = read_document("a", text([{"key": "f", **ON}, {"key": "g", **ON}]))

    assert by_key.flags == in_order.flags
    assert list(by_key.flags) == ["f", "g"]


def test_the_metadata_of_a_set_lies_below_that_of_its_flags() -> None:
    own = {**ON, "metadata": {"x.owner": "pay"}}
    file = read_document("a", text({"f": own}, metadata={"x.owner": "us", "team": "a"}))

    assert json.loads(file.flags["f"])["metadata"] == {"x.owner": "pay", "team": "a"}


@pytest.mark.parametrize("found", [7, {**ON, "metadata": 7}])
def test_metadata_of_a_set_does_not_hide_what_is_no_flag(found: Any) -> None:
    file = read_document("a", text({"f": found}, metadata={"team": "a"}))

    assert "must be an object" in join_files([file]).faults[0]


def test_only_flags_that_changed_are_read_anew() -> None:
    before = join_files([read_document("a", text({"f": ON, "g": ON}))])

    after = join_files([read_document("a", text({"f": ON, "g": {}}))], before)

    assert after.records["f"] is before.records["f"]
    assert len(after.faults) == 1


def test_blanks_make_no_newer_version() -> None:
    wide, narrow = text({"f": ON}), json.dumps({"flags": {"f": ON}}).encode()

    digests = {sha8(read_document("a", raw).flags["f"]) for raw in (wide, narrow)}

    assert len(digests) == 1


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b'{\n "flags": {\n  "f" {}\n}}', "flags.json line 3: is no flagd document"),
        (b"[]", "flags.json line 1: is no flagd document"),
        (b'{"flag": {}}', "missing required field `flags`"),
        (b"\xff", "flags.json line 1: is no flagd document"),
        (b'{"flags":' + b"[" * 100_000, "flags.json"),
        (text([{"key": "f"}, {"key": "f"}]), "flags[1].key: 'f' is there twice"),
        (text([{}]), "flags[0].key: None must be text"),
        (text([{"key": ["f"]}]), "flags[0].key: ['f'] must be text"),
        (b'{"flags": [{"key": "\xff"}]}', "is no flagd document: 'utf-8' codec"),
        (b'{"flags": [{"key": 1e999}]}', "is no flagd document: Number out of"),
        (
            b'{"metadata": {"a": 1}, "flags": {"f": {"state": "\xff"}}}',
            "is no flagd document: 'utf-8' codec",
        ),
    ],
)
def test_what_is_no_document_is_told_with_its_line(raw: bytes, told: str) -> None:
    with pytest.raises(FlagError) as caught:
        read_document("flags.json", raw)

    assert told in str(caught.value)


@pytest.mark.parametrize("flags", [{"f": ON, "g": BAD}, [{"key": "g", **BAD}]])
def test_a_bad_flag_is_told_with_line_and_path_and_keeps_its_last_version(
    flags: Any,
) -> None:
    before = join_files([read_document("flags.json", text({"g": ON}))])
    file = read_document("flags.json", text(flags))

    layer = join_files([file], before)

    (fault,) = layer.faults
    line = int(fault.split()[2].rstrip(":"))
    assert '"g"' in text(flags).decode().splitlines()[line - 1]
    assert "flag:g state: 'PAUSED' must be ENABLED or DISABLED" in fault
    assert layer.records["g"] is before.records["g"]


def test_a_bad_flag_without_a_version_before_is_left_out() -> None:
    layer = join_files([read_document("a", text({"f": ON, "g": BAD}))], NO_FILES)

    assert list(layer.records) == ["f"]


def test_of_two_files_the_later_one_wins() -> None:
    first = read_document("a", text({"f": ON, "g": ON}))
    second = read_document("b", text({"f": {**ON, "defaultVariant": "off"}}))

    layer = join_files([first, second])

    assert json.loads(layer.records["f"].json)["defaultVariant"] == "off"
    assert set(layer.records) == {"f", "g"}


# --- reload ------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "flags.json"
    found.write_bytes(text({"f": ON}))
    return found


def change(path: Path, raw: bytes, at_ns: int = 1) -> None:
    path.write_bytes(raw)
    os.utime(path, ns=(at_ns, at_ns))


def test_a_change_is_taken_once_the_file_rests(path: Path) -> None:
    files = FlagFiles([str(path)])

    assert (files.look(), files.pause_s) == (False, 2.0)
    change(path, text({}), at_ns=1)
    assert (files.look(), files.pause_s) == (False, 0.2)
    change(path, text({"g": ON}), at_ns=2)
    assert (files.look(), files.pause_s) == (False, 0.2)
    assert (files.look(), files.pause_s) == (True, 2.0)
    assert list(files.layer.records) == ["g"]


def test_a_broken_file_keeps_the_last_good_one_and_is_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = FlagFiles([str(path)])
    change(path, b'{"flags": {\n"f": }}')

    looked = [files.look() for _ in range(4)]

    assert looked == [False, True, False, False]
    assert list(files.layer.records) == ["f"]
    (fault,) = files.layer.faults
    assert fault.startswith("flags.json line 2: is no flagd document")
    assert [record.message for record in caplog.records] == [f"flags: {fault}"]


def test_a_file_that_goes_away_keeps_its_flags_and_comes_back(path: Path) -> None:
    files = FlagFiles([str(path)])
    path.unlink()
    files.look()
    files.look()
    without = files.layer
    change(path, text({"g": ON}))
    files.look()
    files.look()

    assert list(without.records) == ["f"]
    assert "cannot be read (No such file or directory); create it" in without.faults[0]
    assert (list(files.layer.records), files.layer.faults) == (["g"], ())


def test_a_file_missing_at_the_start_is_told_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = FlagFiles([str(tmp_path / "nowhere.json")])

    assert files.layer.records == {}
    assert "nowhere.json: cannot be read" in caplog.text


def test_a_file_beyond_the_limit_is_refused_unread(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(17 * 1024 * 1024)

    (fault,) = FlagFiles([str(path)]).layer.faults

    assert fault == "flags.json: has 17825792 bytes, the limit is 16777216"
