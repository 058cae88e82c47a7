"""Every failure has its exit status; every answer is one line of ASCII."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from failsoft import errors
from failsoft.cli import run
from failsoft.cli._answers import ack_line, answer, exit_code, fail, plain, table
from failsoft.ops.views import AckState, ControlRow


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.FailsoftError("x"), 1),
        (errors.Throttled("x"), 1),
        (errors.Invalid("for", "x"), 2),
        (errors.TargetGone("route:x"), 2),
        (errors.DefinitionError(["x"]), 2),
        (errors.MissingExtraError("top", "Textual", "tui"), 2),
        (errors.StoreRefused("name too long", where="kill/x"), 2),
        (
            errors.StoreConflict("flag/x", current=None, revision=2, expected=1),
            4,
        ),
        (errors.StoreRefused("read-only", where="Redis at redis://h"), 5),
        (errors.ReadOnly("x"), 5),
        (errors.NotArmed("x"), 5),
        (errors.StoreUnavailable("x"), 6),
        (errors.StoreRewound("x"), 6),
        (errors.Stale(3.0), 6),
        (errors.NeedsConfirm(2, "type 47"), 7),
    ],
)
def test_each_error_has_its_exit_status(error: errors.FailsoftError, code: int) -> None:
    assert exit_code(error) == code


def test_a_failure_is_a_line_and_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.StoreConflict(
        "flag/x\x1b[2J", current=b"1", revision=2, expected=1, actor="bob", diff="on"
    )

    code = fail(error, as_json=True)

    out, err = capsys.readouterr()
    assert code == 4
    assert "\x1b" not in err
    told = json.loads(out)
    assert (told["ok"], told["code"], told["actor"]) == (False, "store-conflict", "bob")


def test_an_object_is_ascii_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    answer({"text": "caf\u00e9 \u202e\n"})

    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1


def test_documents_are_shown_as_what_they_say() -> None:
    row = ControlRow(
        *("flag:x", "flag", "on", "off", 100.0, None, 0, "ana", 1, "why", 3, True),
        doc=b'{"state":"ENABLED"}',
    )

    assert plain(row)["doc"] == {"state": "ENABLED"}
    assert plain({"doc": b"\xff{"}) == {"doc": "\\xff{"}


def test_tables_cannot_be_broken_by_their_cells() -> None:
    drawn = table(("A", "B"), [("x\ny", "z"), ("long", "\x1b[31m")])

    assert drawn.splitlines() == ["A     B", "x\u23cey   z", "long  \u241b[31m"]


def test_an_answer_names_each_node_and_never_says_applied_too_early() -> None:
    acks = (
        AckState("n1", "w1", "enforces", 34),
        AckState("n2", "w2", "silent", None, "12s"),
        AckState("n3", "w3", "gone"),
    )

    line = ack_line(8413, acks)

    assert line == (
        "written rev 8,413: w1 34ms  w2 SILENT 12s  w3 GONE  1 of 2 nodes enforce it"
    )
    assert ack_line(1, acks[:1]) == "applied rev 1: w1 34ms  1 of 1 nodes enforce it"
    assert "no live node" in ack_line(1, ())


@pytest.mark.parametrize(
    ("words", "code"), [("flags", 2), ("flags --help", 0), ("mode -h", 0)]
)
def test_verbs_of_one_group_are_listed(
    words: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == code

    listed = capsys.readouterr().out
    assert f"  {words.split()[0]} list" in listed
    assert "kills" not in listed


def test_options_come_after_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json", "status"]) == 2
    assert "comes after a verb" in capsys.readouterr().err


def test_a_verb_without_its_extra_says_what_to_install() -> None:
    """In a process of its own, where Textual counts as not installed."""
    program = (
        "import sys; sys.modules['textual'] = None; from failsoft.cli import run; "
        "sys.exit(run(['top', '--redis', 'redis://127.0.0.1:1']))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "failsoft top needs Textual: pip install 'failsoft[tui]'" in done.stderr


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("failsoft ")
