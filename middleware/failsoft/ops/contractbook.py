"""What is read of versions and drift between two views, and when it is joined anew.

Pure.  Joining walks 30 days of counters, so it waits for a new read, a changed
control or another release; what ends by time ends with the next read, 5 s later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from failsoft.ops.contractrows import DriftView, VersionsView
from failsoft.ops.driftviews import drift_view
from failsoft.ops.peerviews import peer_rows
from failsoft.ops.sources.ledgers import Ledgers
from failsoft.ops.versionviews import UsageBook, versions_view
from failsoft.ops.views import ControlRow
from failsoft.telemetry import Definitions

__all__ = ["ContractBook", "joined_contract"]


class ContractBook:
    """The newest read, and the pictures made of it."""

    def __init__(self) -> None:
        self.usage = UsageBook()
        self._ledgers: Ledgers | None = None
        self._fresh = False
        self._made_of: tuple[object, ...] = ()
        self._versions: VersionsView | None = None
        self._drift: DriftView | None = None

    def take(self, ledgers: Ledgers) -> None:
        """Take a read of the wanted sections; what is not wanted stays as it was.

        Counted by `views`, which may run in a thread.
        """
        last = self._ledgers or ledgers
        self._ledgers = Ledgers(
            ledgers.now_ms,
            last.usage if ledgers.usage is None else ledgers.usage,
            last.drift if ledgers.drift is None else ledgers.drift,
            last.notes if ledgers.notes is None else ledgers.notes,
        )
        self._fresh = ledgers.usage is not None

    def views(
        self,
        controls: tuple[ControlRow, ...],
        definitions: Definitions,
        now_ms: int,
    ) -> tuple[VersionsView | None, DriftView | None]:
        """Return both pictures, None for what was never read."""
        read = self._ledgers
        if read is None:
            return None, None
        if self._fresh and read.usage is not None:
            self._fresh = False
            self.usage.take(read.usage, read.now_ms)
        # By identity: the merge makes new ones when they change, and only then.
        made_of = (read, controls, definitions)
        if len(self._made_of) != len(made_of) or any(
            old is not new for old, new in zip(self._made_of, made_of, strict=True)
        ):
            self._made_of = made_of
            self._versions = self._drift = None
            if read.usage is not None:
                self._versions = versions_view(
                    self.usage, controls, definitions, now_ms
                )
            if read.drift is not None:
                peers = peer_rows(read.notes or {}, now_ms)
                self._drift = drift_view(read.drift, peers, controls, definitions)
        return self._versions, self._drift


def joined_contract(parts: Sequence[Definitions]) -> dict[str, Any]:
    """Return the contract of several releases, oldest first, as fields.

    A later release wins by name.  Versions stand in the order of the newest release
    that has any; those that it dropped come before them, as they are older.
    """
    versions = {one.id: one for part in parts for one in part.versions}
    newest = next((part.versions for part in reversed(parts) if part.versions), ())
    kept = {one.id for one in newest}
    gone = [one for id_, one in versions.items() if id_ not in kept]
    return {
        "versions": (*gone, *newest),
        "brownouts": _by_name(one for part in parts for one in part.brownouts),
        "tolerances": _by_name(one for part in parts for one in part.tolerances),
        "pins": tuple({who: v for part in parts for who, v in part.pins}.items()),
        "handlings": tuple(
            dict.fromkeys(one for part in parts for one in part.handlings)
        ),
        "version_default": next(
            (p.version_default for p in reversed(parts) if p.version_default), ""
        ),
    }


def _by_name(found: Iterable[Any]) -> tuple[Any, ...]:
    return tuple({one.name: one for one in found}.values())
