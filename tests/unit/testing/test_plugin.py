"""The pytest plugin in suites of users: each runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STRICT = """
import pytest, failsoft
KNOWN = failsoft.Flag("known", default=False)

@pytest.mark.failsoft(strict=True)
def test_known(): assert KNOWN() is False

@pytest.mark.failsoft(strict=True)
def test_typo():
    try: failsoft.flag("knwon", False)
    except Exception: pass

def test_lenient(): failsoft.flag("knwon", False)
"""

FIXTURE = """
import failsoft
def test_set(failsoft_flags):
    failsoft_flags.set("a", True)
    assert failsoft.flag("a", False) is True
def test_reset(failsoft_flags):
    assert failsoft.flag("a", False) is False
"""

LOADED = """
import sys
def test_what_is_loaded():
    ours = [name for name in sys.modules if name.startswith("failsoft")]
    assert sorted(ours) == ["failsoft", "failsoft.testing", "failsoft.testing.plugin"]
    assert not {"starlette", "redis", "msgspec"} & set(sys.modules)
"""


def run(folder: Path, test: str, *options: str) -> str:
    (folder / "test_it.py").write_text(test)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    only = ("-p", "no:anyio", "-p", "no:hypothesispytest", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", "-q", *only, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_a_strict_test_fails_on_a_flag_that_is_declared_nowhere(tmp_path: Path) -> None:
    report = run(tmp_path, STRICT)

    assert "1 failed, 2 passed" in report
    assert "asked for flags that are declared nowhere: knwon" in report


def test_what_a_test_sets_ends_with_it(tmp_path: Path) -> None:
    assert "2 passed" in run(tmp_path, FIXTURE)


def test_the_plugin_loads_nothing_until_it_is_used(tmp_path: Path) -> None:
    assert "1 passed" in run(tmp_path, LOADED)


def test_the_plugin_can_be_switched_off(tmp_path: Path) -> None:
    report = run(tmp_path, FIXTURE, "-p", "no:failsoft")

    assert "fixture 'failsoft_flags' not found" in report
