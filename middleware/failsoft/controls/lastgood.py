"""The last-known-good file: what a node serves after a restart without its store.

The same format bootstraps a first start (`failsoft store export` writes it).  First
line: a JSON header that ends with a checksum over all the rest; then one record a
line.  Reading is synchronous, at the start; writing happens in a thread.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from failsoft import clock
from failsoft.controls.held import Held, Key
from failsoft.controls.records import Record
from failsoft.controls.watcher import ControlState, Watcher

fcntl: Any = None
with contextlib.suppress(ImportError):  # not on every platform
    import fcntl

__all__ = [
    "Keeper",
    "Saved",
    "Shelf",
    "decode_file",
    "encode_file",
    "find_shelf",
    "read_file",
]

_FORMAT = 1
_NAME = "control.lkg"
_SEAL = b',"sha256":"'
_LOCK_TRIES, _LOCK_PAUSE_S = 50, 0.02
_KEPT_FILES = 8  # of processes that are gone, where each has its own
_EVERY_S = 5.0
_URGENT = ("kill", "mode", "breaker")  # written at once: a node may die at any moment


@dataclass(frozen=True, slots=True)
class Saved:
    """A set of controls as a file holds it.

    saved_at: Unix seconds of this host's wall clock when the set was last proven
    current.  wall_offset_ms: store time minus wall time, then.  store: where that was,
    without user and password, "" when not known.
    """

    env: str
    held: Held
    saved_at: float
    wall_offset_ms: float = 0.0
    store: str = ""

    @property
    def age_s(self) -> float:
        """Seconds since the set was proven current; 0 when clocks went back."""
        return max(0.0, clock.unix() - self.saved_at)


class _Header(msgspec.Struct):
    format: int
    env: str
    epoch: str
    rev: int
    last_id: str
    saved_at: float
    wall_offset_ms: float
    bytes: int
    unknown: dict[str, int] = {}
    op_id: str = ""
    lineage: tuple[str, ...] = ()
    total: int = 0
    store: str = ""


class _Line(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    kind: str
    name: str
    rev: int
    at_ms: int
    until_ms: int
    json: str
    base64: str = ""  # of a document that is no text, which other hands may write


_read_lines = msgspec.json.Decoder(_Line).decode_lines


def encode_file(saved: Saved) -> bytes:
    """Return the content of a file; O(records), for threads and command lines."""
    held = saved.held
    body = b"".join(_line(record) for record in held.records.values())
    header = _Header(
        _FORMAT,
        saved.env,
        held.epoch,
        held.rev,
        held.last_id,
        saved.saved_at,
        saved.wall_offset_ms,
        len(body),
        dict(held.unknown),
        held.op_id,
        held.lineage,
        held.total,
        saved.store,
    )
    head = msgspec.json.encode(header)[:-1]
    return head + _SEAL + _digest(head, body) + b'"}\n' + body


def _line(record: Record) -> bytes:
    head = record.kind, record.name, record.rev, record.at_ms, record.until_ms
    try:
        line = _Line(*head, record.json.decode())
    except UnicodeDecodeError:
        line = _Line(*head, "", base64.b64encode(record.json).decode())
    return msgspec.json.encode(line) + b"\n"


def _digest(head: bytes, body: bytes) -> bytes:
    return hashlib.sha256(head + b"\n" + body).hexdigest().encode()


def decode_file(raw: bytes, env: str, *, is_ours: bool = False) -> Saved:
    """Return what a file holds; ValueError says what is wrong with it.

    env: the environment it must be of.  is_ours: written on this host, so that its
    word on the set's digest is taken, which saves hashing each record.
    """
    header, body = _opened(raw, env)
    try:
        records = [_record(line) for line in _read_lines(body)]
    except msgspec.DecodeError as error:
        raise ValueError(f"one of its lines is no record: {error}") from None
    held = _held(header, records, is_ours)
    return Saved(env, held, header.saved_at, header.wall_offset_ms, header.store)


def _opened(raw: bytes, env: str) -> tuple[_Header, bytes]:
    """Return header and records of a file whose checksum is right."""
    first, _, body = raw.partition(b"\n")
    head, _, digest = first.rpartition(_SEAL)
    try:
        header = msgspec.json.decode(head + b"}", type=_Header)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"its first line is no header: {error}") from None
    if header.format != _FORMAT:
        raise ValueError(f"its format is {header.format}, this release reads {_FORMAT}")
    if len(body) != header.bytes:
        raise ValueError(f"it has {len(body)} bytes of records, not {header.bytes}")
    if digest != _digest(head, body) + b'"}':
        raise ValueError("its checksum is wrong")
    if header.env != env:
        raise ValueError(f"it is of environment {header.env!r}, not {env!r}")
    return header, body


def _held(header: _Header, records: list[Record], is_ours: bool) -> Held:
    held = Held(header.rev, header.epoch, header.last_id)
    held.unknown, held.op_id = Counter(header.unknown), header.op_id
    held.lineage = header.lineage
    if not is_ours:
        for record in records:
            held.put(record)
        return held
    held.records = {(record.kind, record.name): record for record in records}
    held.ending = {(r.kind, r.name): r.until_ms for r in records if r.until_ms}
    held.total = header.total
    return held


def _record(line: _Line) -> Record:
    json = base64.b64decode(line.base64) if line.base64 else line.json.encode()
    return Record(line.kind, line.name, line.rev, line.at_ms, line.until_ms, json)


def read_file(path: Path, env: str) -> Saved:
    """Read one file; OSError, or ValueError that names the file and what to do."""
    try:
        return decode_file(path.read_bytes(), env, is_ours=True)
    except ValueError as error:
        raise ValueError(f"{path} is not used: {error}") from None


# --- where files lie ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shelf:
    """The folder that keeps an environment's file on this host.

    is_temporary: it may be lost when the host restarts.  has_locks: processes can
    keep each other from writing; else each has a file of its own.
    """

    folder: Path
    is_temporary: bool = False
    has_locks: bool = fcntl is not None

    @property
    def path(self) -> Path:
        """The file this process writes."""
        name = _NAME if self.has_locks else f"control.{os.getpid()}.lkg"
        return self.folder / name

    def read(self, env: str) -> tuple[Saved | None, list[str]]:
        """Return the newest set that can be used, and what was wrong with others."""
        faults: list[str] = []
        for path in self._candidates():
            try:
                saved = read_file(path, env)
                proven_at = max(saved.saved_at, path.stat().st_mtime)
                return replace(saved, saved_at=proven_at), faults
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                faults.append(str(error))
        return None, faults

    def _candidates(self) -> list[Path]:
        if self.has_locks:
            return [self.path, _previous(self.path)]
        return sorted(self.folder.glob("control.*.lkg*"), key=_mtime, reverse=True)

    def write(self, saved: Saved, *, always: bool = False) -> bool:
        """Write the set unless one at least as new lies there; blocks, some 10 ms.

        always: also over one of the same revision.  Returns False when
        nothing was written.  Raises OSError.
        """
        path = self.path
        if not self.is_temporary:  # there, it may be somebody else's by now
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path):
            lying = _lying(path, saved.env)
            if lying is not None and not (always or _is_newer(saved.held, lying)):
                return False
            _replace(path, encode_file(saved), keep=lying is not None)
        self._forget_others()
        return True

    def prove(self, epoch: str, rev: int) -> bool:
        """Note that the set in the file is current now; no effect on another set.

        False when there is no file.
        """
        try:
            lying = _read_header(self.path)
            if (lying.epoch, lying.rev) == (epoch, rev):
                os.utime(self.path)
        except (OSError, ValueError):
            return False
        return True

    def _forget_others(self) -> None:
        if not self.has_locks:
            for path in self._candidates()[_KEPT_FILES:]:
                path.unlink(missing_ok=True)


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _lying(path: Path, env: str) -> _Header | None:
    try:
        return _opened(path.read_bytes(), env)[0]
    except (OSError, ValueError):
        return None


def _read_header(path: Path) -> _Header:
    with path.open("rb") as file:
        head = file.readline(100_000).rpartition(_SEAL)[0]
    try:
        return msgspec.json.decode(head + b"}", type=_Header)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def _is_newer(ours: Held, lying: _Header) -> bool:
    return ours.epoch != lying.epoch or ours.rev > lying.rev


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep the host's other processes from writing; OSError after a second."""
    if fcntl is None:
        yield
        return
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for tries_left in reversed(range(_LOCK_TRIES)):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not tries_left:
                    raise
                time.sleep(_LOCK_PAUSE_S)
        yield
    finally:
        # Said, not left to close: a child forked meanwhile holds a copy.
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def _replace(path: Path, content: bytes, *, keep: bool) -> None:
    # One name for all processes, which the lock keeps apart: whoever is killed, or
    # fills the disk, leaves one behind and no more.
    fresh = path.with_name(f"{path.name}.tmp")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(file, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    if keep:
        _keep_previous(path)
    os.replace(fresh, path)
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _keep_previous(path: Path) -> None:
    # A second name, not a move: readers always find a file at the first one.
    link = path.with_name(f"{path.name}.link")
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
        os.replace(link, _previous(path))
    except OSError:  # a file system without links
        os.replace(path, _previous(path))


def find_shelf(
    setting: str, env: str, environ: Mapping[str, str]
) -> tuple[Shelf | None, list[str]]:
    """Return the first folder that can be written, and why those before cannot.

    Order: the setting, XDG_STATE_HOME, ~/.local/state, a folder of this user only
    in the temporary directory.  Folders are made where they are missing.
    """
    places = [Path(setting)] if setting else []
    if environ.get("XDG_STATE_HOME", "").startswith("/"):
        places.append(Path(environ["XDG_STATE_HOME"], "failsoft"))
    if environ.get("HOME", "").startswith("/"):
        places.append(Path(environ["HOME"], ".local", "state", "failsoft"))
    faults: list[str] = []
    for place in places:
        try:
            return Shelf(_writable(place / env)), faults
        except OSError as error:
            faults.append(f"{place / env}: {error.strerror or error}")
    user = os.getuid() if hasattr(os, "getuid") else environ.get("USERNAME", "user")
    temporary = Path(tempfile.gettempdir(), f"failsoft-{user}")
    try:
        _own(temporary)
        return Shelf(_writable(temporary / env), is_temporary=True), faults
    except OSError as error:
        faults.append(f"{temporary}: {error.strerror or error}")
        return None, faults


def _writable(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError("may not be written")
    return folder


def _own(folder: Path) -> None:
    """Make sure nobody else can lay a file there: everyone may write around it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid"):
        found = folder.lstat()
        is_ours = found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode)
        if not is_ours or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError("is not a folder of this user only")


# --- who writes ----------------------------------------------------------------


class Keeper:
    """Writes what one node enforces: within 100 ms of a kill, else each 5 s at most.

    failed: takes what was tried and the error, as often as it happens.  place: where
    the store is, for `Saved`.
    """

    def __init__(
        self,
        shelf: Shelf,
        watcher: Watcher,
        failed: Callable[[str, BaseException], None],
        place: str = "",
    ) -> None:
        self._shelf = shelf
        self._place = place
        self._watcher = watcher
        self._failed = failed
        self._seen: Mapping[Key, Record] | None = None
        self._acts: list[Record] = []
        self._is_due = False
        self._urgent = asyncio.Event()
        self._busy: asyncio.Task[object] | None = None

    def note(self, state: ControlState) -> None:
        """Take what is enforced now; on the loop, some 0.3 ms at 10,000 records."""
        watcher = self._watcher
        is_proven = watcher.is_synced and not watcher.store.local
        if not is_proven or state.records is self._seen:
            return
        acts = [record for key, record in state.records.items() if key[0] in _URGENT]
        if acts != self._acts or self._seen is None:
            self._urgent.set()
        self._seen, self._acts, self._is_due = state.records, acts, True

    async def run(self) -> None:
        """Write what changed, or say that the file is current, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    await self._urgent.wait()
            self._urgent.clear()
            self._busy = asyncio.create_task(asyncio.to_thread(self._act()))
            await asyncio.shield(self._busy)

    async def finish(self) -> None:
        """Write what is still to be written; `run` has been cancelled."""
        if self._busy is not None:
            await asyncio.wait({self._busy})  # its thread goes on
        if self._is_due:
            write = self._act()
            try:
                await asyncio.to_thread(write)
            except RuntimeError:  # the interpreter ends: it has no threads any more
                write()

    def _act(self) -> Callable[[], object]:
        """Return what the thread shall do, on copies of what the loop may change."""
        watcher = self._watcher
        held, age_s = watcher.kept(), watcher.clock.age_s()
        if held is None:
            return bool
        if not self._is_due:
            prove = partial(self._prove, held.epoch, held.rev)
            return prove if age_s < _EVERY_S else bool
        self._is_due = False
        env, offset_ms = watcher.store.env, watcher.clock.wall_offset_ms
        saved = Saved(env, held, clock.unix() - age_s, offset_ms, self._place)
        # What was accepted may stand at a lower revision than what lies there.
        is_back = watcher.current.state == "rewound" or watcher.rewind == "accept"
        return partial(self._write, saved, is_back)

    def _prove(self, epoch: str, rev: int) -> None:
        if not self._shelf.prove(epoch, rev):
            self._is_due = True  # somebody took it away

    def _write(self, saved: Saved, always: bool) -> None:
        try:
            self._shelf.write(saved, always=always)
        except OSError as error:
            self._is_due = True  # again in five seconds
            self._failed(f"last-known-good file {self._shelf.path}", error)
