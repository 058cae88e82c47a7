"""Follow the flags files: read at the start, read again when they changed.

A file that cannot be used keeps its last good version, and is told in the log and in
the node's heartbeat; it never fails a request.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from failsoft.errors import FlagError
from failsoft.flags._definitions import NO_FILES
from failsoft.flags._files import FlagFile, join_files, read_document

__all__ = ["FlagFiles"]

_log = logging.getLogger("failsoft")
_EVERY_S = 2.0
_SETTLE_S = 0.2  # unchanged for so long: whoever writes the file has ended
_MAX_BYTES = 16 * 1024 * 1024
_MAX_TOLD = 20

_Stamp = tuple[int, int, int]


class FlagFiles:
    """The flags files of one process.  layer: what they hold, always usable.

    Blocks on the file system: `look` belongs into a thread.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.layer = NO_FILES
        self._paths = [Path(path) for path in paths]
        self._taken: dict[Path, _Stamp | None] = {}
        self._pending: dict[Path, _Stamp | None] = {}
        self._good: dict[Path, FlagFile] = {}
        self._broken: dict[Path, str] = {}
        for path in self._paths:
            self._take(path, _stamp(path))
        self._join()

    @property
    def pause_s(self) -> float:
        """Seconds until the next look is due."""
        return _SETTLE_S if self._pending else _EVERY_S

    def look(self) -> bool:
        """Take files that changed and are still the same a moment later.

        Whether `layer` is another one now.
        """
        changed = False
        for path in self._paths:
            stamp = _stamp(path)
            if stamp == self._taken[path]:
                self._pending.pop(path, None)
            elif path in self._pending and self._pending[path] == stamp:
                del self._pending[path]
                self._take(path, stamp)
                changed = True
            else:
                self._pending[path] = stamp
        if changed:
            self._join()
        return changed

    def _take(self, path: Path, stamp: _Stamp | None) -> None:
        self._taken[path] = stamp
        try:
            self._good[path] = read_document(path.name, _read(path))
        except FlagError as error:
            self._broken[path] = str(error)
        except OSError as error:
            todo = "create it, or correct flags.files"
            self._broken[path] = f"{path}: cannot be read ({error.strerror}); {todo}"
        else:
            self._broken.pop(path, None)

    def _join(self) -> None:
        good = [self._good[path] for path in self._paths if path in self._good]
        layer = join_files(good, self.layer)
        faults = (*self._broken.values(), *layer.faults)
        for fault in [f for f in faults if f not in self.layer.faults][:_MAX_TOLD]:
            _log.error("flags: %s", fault)
        self.layer = replace(layer, faults=faults)


def _stamp(path: Path) -> _Stamp | None:
    """Return what differs when a file was written, None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> bytes:
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise FlagError(f"has {size} bytes, the limit is {_MAX_BYTES}", where=path.name)
    return path.read_bytes()
