"""The last-known-good file: what it keeps, what it refuses, where it lies."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest

from failsoft.controls.held import Held
from failsoft.controls.lastgood import (
    Keeper,
    Saved,
    Shelf,
    decode_file,
    encode_file,
    find_shelf,
    read_file,
)
from failsoft.controls.records import Record
from failsoft.controls.watcher import Watcher
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import Call, Change

ODD = [
    Record("kill", "route:POST /orders", 7, 1000, 9000, b'{"who":"ana"}'),
    Record("flag", "ünï", 8, 1000, 0, b'{ "state":\n\r\n "ENABLED" }'),
    Record("flag", "broken", 9, 1000, 0, b"\xff\x00\n"),
]


def saved(rev: int = 9, epoch: str = "e1", env: str = "shop") -> Saved:
    held = Held(rev, epoch, "5-1", op_id="op9", lineage=("e0",))
    for record in ODD:
        held.put(record)
    held.unknown["new"] = 2
    return Saved(env, held, saved_at=123.5, wall_offset_ms=-40.25)


def test_what_is_written_is_read_byte_for_byte() -> None:
    assert decode_file(encode_file(saved()), "shop") == saved()


@pytest.mark.parametrize("at", range(0, len(encode_file(saved())), 7))
def test_a_file_with_one_wrong_byte_is_refused(at: int) -> None:
    content = bytearray(encode_file(saved()))
    content[at] ^= 1

    with pytest.raises(ValueError, match=r"header|checksum|bytes|format|environment"):
        decode_file(bytes(content), "shop")


def test_a_cut_file_and_one_of_another_environment_are_refused() -> None:
    content = encode_file(saved())

    with pytest.raises(ValueError, match="bytes of records, not"):
        decode_file(content[:-3], "shop")
    with pytest.raises(ValueError, match="of environment 'shop', not 'bank'"):
        decode_file(content, "bank")


def test_a_broken_file_gives_way_to_the_one_before_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.write(saved(rev=9))
    shelf.write(saved(rev=10))
    shelf.path.write_bytes(shelf.path.read_bytes()[:-1])

    found, faults = shelf.read("shop")

    assert found is not None
    assert found.held.rev == 9
    assert [str(shelf.path) in fault for fault in faults] == [True]


def test_a_broken_file_never_replaces_the_one_before_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.write(saved(rev=9))
    shelf.write(saved(rev=10))
    shelf.path.write_bytes(b"broken")

    shelf.write(saved(rev=11))

    assert read_file(tmp_path / "control.lkg.1", "shop").held.rev == 9


def test_a_file_as_new_as_ours_is_left_alone(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)

    written = [shelf.write(saved(rev=rev)) for rev in (9, 9, 8, 10)]

    assert written == [True, False, False, True]
    assert shelf.write(saved(rev=1, epoch="e2"))


def test_a_set_is_as_old_as_its_newest_proof(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.write(saved())
    os.utime(shelf.path, (1, 1))
    before, _ = shelf.read("shop")

    shelf.prove("e1", 9)
    after, _ = shelf.read("shop")

    assert before is not None
    assert after is not None
    assert before.saved_at == 123.5
    assert after.age_s < 60


def test_another_set_is_not_proven(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.write(saved())
    os.utime(shelf.path, (1, 1))

    shelf.prove("e1", 10)

    assert shelf.path.stat().st_mtime == 1


def test_without_locks_the_newest_file_of_any_process_is_read(tmp_path: Path) -> None:
    for pid in range(12):
        other = tmp_path / f"control.{pid}.lkg"
        other.write_bytes(encode_file(saved(rev=pid)))
        os.utime(other, (pid, pid))
    shelf = Shelf(tmp_path, has_locks=False)
    before, _ = shelf.read("shop")

    shelf.write(saved(rev=99))
    after, _ = shelf.read("shop")

    assert before is not None
    assert after is not None
    assert (before.held.rev, after.held.rev) == (11, 99)
    assert shelf.path == tmp_path / f"control.{os.getpid()}.lkg"
    assert len(list(tmp_path.iterdir())) == 8


def test_nobody_writes_while_another_process_does(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with open(tmp_path / "control.lkg.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(BlockingIOError):
            shelf.write(saved())

    assert shelf.write(saved())


def test_a_write_that_failed_leaves_one_piece_and_the_file_before(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path)
    shelf.write(saved(9))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # as on a full disk
    try:
        with pytest.raises(OSError, match="File too large"):
            shelf.write(saved(10))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)

    names = {"control.lkg", "control.lkg.lock", "control.lkg.tmp"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert shelf.read("shop") == (replace(saved(9), saved_at=ANY), [])


@pytest.mark.anyio
async def test_a_file_that_was_taken_away_is_written_again(tmp_path: Path) -> None:
    store = MemoryStore("shop")
    store.local = False
    watcher = Watcher(
        store, node_id="n1", heartbeat=lambda: b"", on_change=lambda _: None
    )
    faults: list[str] = []
    shelf = Shelf(tmp_path / "shop")
    keeper = Keeper(
        shelf, watcher, lambda what, error: faults.append(f"{what} {error}")
    )
    watcher.on_change = keeper.note
    kill = Change("kill", "route:GET /x", "put", json=b"{}")
    await store.apply(Call("op1", "ana", "a test", (kill,)))
    watcher.start()
    assert await watcher.first_sync(5)
    await keeper.finish()

    shutil.rmtree(shelf.folder)
    keeper._act()()  # what its thread does each five seconds
    await keeper.finish()

    await watcher.stop()
    kept, _ = shelf.read("shop")
    assert faults == []
    assert kept is not None
    assert list(kept.held.records) == [("kill", "route:GET /x")]


@pytest.mark.anyio
async def test_what_was_accepted_replaces_a_later_revision(tmp_path: Path) -> None:
    store = MemoryStore("shop")
    store.local = False
    kill = Change("kill", "route:GET /x", "put", json=b"{}")
    await store.apply(Call("op1", "ana", "a test", (kill,)))
    lost = Held(100, (await store.load()).epoch, "9-1")
    shelf = Shelf(tmp_path)
    shelf.write(Saved("shop", lost, saved_at=123.5))
    watcher = Watcher(
        store,
        node_id="n1",
        heartbeat=lambda: b"",
        on_change=lambda _: None,
        rewind="accept",
        good=lost,
    )
    keeper = Keeper(shelf, watcher, lambda *_: None)
    watcher.on_change = keeper.note
    watcher.start()
    assert await watcher.first_sync(5)

    await keeper.finish()

    await watcher.stop()
    kept, _ = shelf.read("shop")
    assert kept is not None
    assert kept.held.rev == 1


def test_only_this_user_may_read_what_is_written(tmp_path: Path) -> None:
    shelf, _ = find_shelf("", "shop", {"XDG_STATE_HOME": str(tmp_path / "state")})

    assert shelf is not None
    shelf.write(saved())
    assert stat.S_IMODE(shelf.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(shelf.folder.stat().st_mode) == 0o700


def test_the_first_folder_that_can_be_written_is_used(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    home = {"HOME": str(tmp_path)}

    set_, _ = find_shelf(str(tmp_path / "set"), "shop", home)
    fallen, faults = find_shelf(str(blocked), "shop", home)

    assert set_ == Shelf(tmp_path / "set" / "shop")
    assert fallen == Shelf(tmp_path / ".local/state/failsoft/shop")
    assert [str(blocked) in fault for fault in faults] == [True]


def test_without_any_folder_a_private_one_in_the_temporary_directory_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shelf, _ = find_shelf("", "shop", {})

    assert shelf is not None
    assert shelf.is_temporary
    assert stat.S_IMODE(shelf.folder.parent.stat().st_mode) == 0o700


def test_a_folder_others_can_write_to_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    planted = tmp_path / f"failsoft-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)

    shelf, faults = find_shelf("", "shop", {})

    assert shelf is None
    assert ["only" in fault for fault in faults] == [True]
