"""Settings of flags: files, fail policies, age limits, undeclared keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from failsoft.errors import DefinitionError
from failsoft.settings import FlagDeclaration, FlagSettings, load_settings


def flags_of(
    tmp_path: Path, text: str = "", environ: dict[str, str] | None = None, **given: Any
) -> FlagSettings:
    (tmp_path / "failsoft.toml").write_text(text)
    return load_settings(given, environ or {}, tmp_path).flags


def test_without_settings_flags_keep_their_last_values_for_an_hour(
    tmp_path: Path,
) -> None:
    assert flags_of(tmp_path) == FlagSettings(
        {}, (), "last_known", 3600, "count", False
    )


def test_files_are_relative_to_the_settings_file(tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "failsoft.toml").write_text('[flags]\nfiles = ["a.json", "/b.json"]')

    found = load_settings({"config": "conf/failsoft.toml"}, {}, tmp_path).flags.files

    assert found == (str(folder / "a.json"), "/b.json")


def test_files_may_lie_below_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ana")

    assert flags_of(tmp_path, flags={"files": ["~/a.json"]}).files == (
        "/home/ana/a.json",
    )


def test_the_environment_sets_them_too(tmp_path: Path) -> None:
    environ = {
        "FAILSOFT_FLAGS_FILES": "a.json,b.json",
        "FAILSOFT_FLAGS_DEFAULT_FAIL": "off",
        "FAILSOFT_FLAGS_MAX_STALE": "10m",
        "FAILSOFT_FLAGS_UNDECLARED": "refuse",
        "FAILSOFT_FLAGS_SPAN_EVENTS": "1",
    }

    found = flags_of(tmp_path, environ=environ)

    files = (str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    assert found == FlagSettings({}, files, "off", 600, "refuse", True)


def test_a_declaration_says_default_policy_owner_and_end(tmp_path: Path) -> None:
    line = '{ default = 7, fail = "refuse", owner = "pay", expires = 2027-01-31 }'

    found = flags_of(tmp_path, f'[flags.declare]\n"k" = {line}').declare

    assert found == {"k": FlagDeclaration(7, "refuse", "pay", "2027-01-31")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('default_fail = "of"', "must be one of last_known, default, off, refuse"),
        ('max_stale = "500ms"', "choose a span from 1s to 30d"),
        ('undeclared = "deny"', "must be one of count, refuse"),
        ('files = "flags.json"', 'must be a list; write ["flags.json"]'),
        ('declare.k = { default = 1, fail = "no" }', "must be one of last_known"),
        ('declare."a b" = { default = 1 }', 'declare."a b" is no key of a flag'),
        ('file = ["a"]', "flags.file is not known; did you mean files?"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_write(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        flags_of(tmp_path, f"[flags]\n{text}")

    assert told in str(caught.value)
