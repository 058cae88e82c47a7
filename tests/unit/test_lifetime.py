"""What a node begins with when the store is away, and what it says about that."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from failsoft import clock
from failsoft.controls.held import Held
from failsoft.controls.lastgood import Saved, Shelf, encode_file
from failsoft.controls.records import Record
from failsoft.controls.watcher import Watcher
from failsoft.lifetime import Lifetime
from failsoft.settings import StoreSettings
from failsoft.store.memory import MemoryStore


def settings(folder: Path, bootstrap: str = "") -> StoreSettings:
    return StoreSettings(
        url="redis://127.0.0.1:1/0",
        env="shop",
        state_dir=str(folder),
        bootstrap=bootstrap,
    )


def saved(rev: int, env: str = "shop") -> Saved:
    return Saved(env, Held(rev, "e1", "5-1"), saved_at=1000.0, wall_offset_ms=7.0)


def test_the_file_comes_before_the_bootstrap_file(tmp_path: Path) -> None:
    bootstrap = tmp_path / "bootstrap"
    bootstrap.write_bytes(encode_file(saved(3)))
    life = Lifetime(settings(tmp_path, bootstrap=str(bootstrap)))
    first = life.begin()
    Shelf(tmp_path / "shop").write(saved(9))

    second = life.begin()

    assert first is not None
    assert second is not None
    assert (first.source, first.held.rev) == ("bootstrap", 0)
    assert (second.source, second.held.rev) == ("file", 9)
    assert second.wall_offset_ms == 7.0


def held(rev: int, epoch: str = "e1", *, kill: str = "", old: str = "") -> Held:
    made = Held(rev, epoch, f"{rev}-1", lineage=(old,) if old else ())
    made.put(Record("kill", kill, rev, 1, 0, b"{}"))
    return made


@pytest.mark.parametrize(
    ("ours", "lying", "source"),
    [
        (held(4), held(5, kill="a"), "file"),
        (held(5), held(4, kill="a"), "inherited"),
        (held(5), held(5), "inherited"),
        (held(5), held(1, "e2", kill="a", old="e1"), "file"),
        (held(5), held(9, "e2", kill="a"), "inherited"),
        (Held(), held(1, kill="a"), "file"),
    ],
)
def test_a_child_that_slept_begins_with_what_others_wrote_meanwhile(
    tmp_path: Path, ours: Held, lying: Held, source: str
) -> None:
    life = Lifetime(settings(tmp_path))
    life.begin()
    parent = Watcher(
        MemoryStore("shop"),
        node_id="n1",
        heartbeat=lambda: b"",
        on_change=lambda _: None,
        good=ours,
        good_from="inherited",
    )
    parent.clock.restore(0, age_s=60)
    life.inherit(parent)
    Shelf(tmp_path / "shop").write(Saved("shop", lying, clock.unix() - 30))

    good = life.begin()

    assert good is not None
    assert good.source == source
    if source == "inherited":
        assert 60 <= clock.elapsed() - good.proven_at < 70


def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(tmp_path / "shop")
    shelf.folder.mkdir()
    shelf.path.write_bytes(encode_file(saved(9))[:-1] + b"x")
    missing = str(tmp_path / "nothing")

    good = Lifetime(settings(tmp_path, bootstrap=missing)).begin()

    assert good is None
    assert f"{shelf.path} is not used" in caplog.text
    assert "store.bootstrap is not used" in caplog.text


def test_a_file_of_another_store_holds_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "shop").mkdir()
    Shelf(tmp_path / "shop").write(replace(saved(9), store="127.0.0.1:2/0"))

    good = Lifetime(settings(tmp_path)).begin()

    assert good is not None
    assert good.held.rev == 9
    assert "is of the store at 127.0.0.1:2/0, not 127.0.0.1:1/0" in caplog.text
    caplog.clear()
    Shelf(tmp_path / "shop").write(replace(saved(10), store="127.0.0.1:1/0"))
    Lifetime(settings(tmp_path)).begin()
    assert caplog.text == ""


def test_without_a_store_there_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    Shelf(tmp_path / "default").folder.mkdir()
    Shelf(tmp_path / "default").write(saved(9, env="default"))

    assert Lifetime(StoreSettings(state_dir=str(tmp_path))).begin() is None


def test_a_file_in_the_temporary_directory_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    life = Lifetime(settings(Path("/dev/null/nowhere")))

    life.begin()

    assert life.lastgood == "temporary"
    assert "lost when this host restarts; set store.state_dir" in caplog.text


def test_a_host_that_can_keep_no_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null")
    life = Lifetime(settings(Path("/dev/null/nowhere")))

    good = life.begin()

    assert (good, life.lastgood) == (None, "none")
    assert "set store.state_dir" in caplog.text


def test_a_folder_that_was_set_and_cannot_be_used_is_told(
    state_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    life = Lifetime(settings(Path("/dev/null/nowhere")))

    life.begin()

    assert life.lastgood == ""
    assert "store.state_dir is not used: /dev/null/nowhere/shop" in caplog.text
