"""What a node goes on with: after a fork, on another loop, after a restart.

Order of truth at a start: the store, what this process or its parent held or the
last-known-good file, whichever is newer, the bootstrap file, definitions, the coded
default.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from failsoft import clock
from failsoft.controls.clock import StoreClock
from failsoft.controls.lastgood import Keeper, Saved, Shelf, find_shelf, read_file
from failsoft.controls.watcher import Watcher
from failsoft.settings import StoreSettings, mask_url

if TYPE_CHECKING:
    from failsoft.controls.held import Held

__all__ = ["Good", "Lifetime"]

_log = logging.getLogger("failsoft")


@dataclass(frozen=True, slots=True)
class Good:
    """A set of controls to begin with.

    source: inherited file bootstrap.  wall_offset_ms: store time minus wall time.
    proven_at: `clock.elapsed` when it was the store's.
    """

    held: Held
    source: str
    wall_offset_ms: float
    proven_at: float

    def restore(self, store_clock: StoreClock) -> None:
        """Let a clock go on from this set's."""
        store_clock.restore(self.wall_offset_ms, clock.elapsed() - self.proven_at)


class Lifetime:
    """Hands the controls of one runtime from each of its starts to the next.

    lastgood: "" where its file is safe, else `temporary` or `none`.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        # Without the user: whose password changed is at the same store.
        self._place = mask_url(settings.url).rpartition("//")[2].rpartition("@")[2]
        self._inherited: Good | None = None
        self._shelf: Shelf | None = None
        self._has_looked = False
        self.lastgood = ""

    def inherit(self, watcher: Watcher) -> None:
        """Take what a watcher holds, before it ends or is left behind."""
        held, told = watcher.kept(), watcher.clock
        if held is not None:
            source = "inherited" if watcher.is_synced else watcher.good_from
            proven_at = clock.elapsed() - told.age_s()
            self._inherited = Good(held, source, told.wall_offset_ms, proven_at)

    def begin(self) -> Good | None:
        """Return the best set there is without the store; reads files, blocks."""
        if not self._settings.url:
            return None  # what memory holds cannot be older than this process
        if not self._has_looked:
            self._has_looked = True
            self._find_shelf()
        return _newer(self._inherited, self._from_file()) or self._from_bootstrap()

    def keeper(
        self, watcher: Watcher, failed: Callable[[str, BaseException], None]
    ) -> Keeper | None:
        """Return the writer of this node's file, None where there is none."""
        if self._shelf is None:
            return None
        return Keeper(self._shelf, watcher, failed, self._place)

    def _find_shelf(self) -> None:
        settings = self._settings
        found = find_shelf(settings.state_dir, settings.env, os.environ)
        self._shelf, faults = found
        if self._shelf is None:
            self.lastgood = "none"
            text = "no folder for last-known-good controls, set store.state_dir: %s"
            _log.warning(text, "; ".join(faults))
        elif self._shelf.is_temporary:
            self.lastgood = "temporary"
            text = "last-known-good controls lie in %s, lost when this host restarts"
            _log.warning(f"{text}; set store.state_dir", self._shelf.folder)
        elif faults and settings.state_dir:
            _log.warning("store.state_dir is not used: %s", "; ".join(faults))

    def _from_file(self) -> Good | None:
        if self._shelf is None:
            return None
        saved, faults = self._shelf.read(self._settings.env)
        for fault in faults:
            _log.warning("%s", fault)
        if saved is None:
            return None
        if saved.store not in ("", self._place):
            # Not refused: by it a store that moved, and lost kills, is found out.
            text = "%s is of the store at %s, not %s; if that is another fleet's, give "
            text += "each its own FAILSOFT_ENV or store.state_dir, and delete the file"
            _log.warning(text, self._shelf.path, saved.store, self._place)
        return _good(saved, "file")

    def _from_bootstrap(self) -> Good | None:
        path = self._settings.bootstrap
        if not path:
            return None
        try:
            saved = read_file(Path(path), self._settings.env)
        except (OSError, ValueError) as error:
            _log.warning("store.bootstrap is not used: %s", error)
            return None
        # Without a revision: whatever history the store has comes after it.
        held = replace(saved.held, rev=0, epoch="", last_id="0-0")
        return _good(replace(saved, held=held), "bootstrap")


def _good(saved: Saved, source: str) -> Good:
    proven_at = clock.elapsed() - saved.age_s
    return Good(saved.held, source, saved.wall_offset_ms, proven_at)


def _newer(ours: Good | None, file: Good | None) -> Good | None:
    """Return the newer set: others write the file while a forked child sleeps."""
    if ours is None or file is None or ours.held.digest == file.held.digest:
        return ours or file
    if ours.held.epoch == file.held.epoch:
        return max(ours, file, key=lambda good: (good.held.rev, good.proven_at))
    is_later = not ours.held.rev or ours.held.epoch in file.held.lineage
    return file if is_later else ours
