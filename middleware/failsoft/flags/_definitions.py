"""What developers declare of flags: in code, in settings, in files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from failsoft.controls.records import Record
from failsoft.settings import FlagDeclaration, FlagSettings

__all__ = ["IN_CODE", "NO_FILES", "FileLayer", "FlagDefinitions", "refers"]

# Every `failsoft.Flag` of this process, by key.  Read when a key is first served,
# so that declaring one needs neither a runtime nor a loop.
IN_CODE: dict[str, FlagDeclaration] = {}


@dataclass(frozen=True, slots=True)
class FileLayer:
    """Flags and evaluators of all flags files, checked.

    digests: sha8 of each flag's document.  referring: keys of flags that are good
    or bad by what others hold.  faults: what cannot be used, each with file, line
    and path in the document.
    """

    records: Mapping[str, Record] = field(default_factory=dict)
    evaluators: Mapping[str, bytes] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    referring: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


NO_FILES = FileLayer()


def refers(json: bytes) -> bool:
    """Whether a document may be good or bad by what others hold."""
    return b'"$ref"' in json or b'"$flag"' in json


@dataclass(frozen=True, slots=True)
class FlagDefinitions:
    """The layers below the controls, and what holds for keys that none knows."""

    settings: FlagSettings = field(default_factory=FlagSettings)
    files: FileLayer = NO_FILES

    def declares(self, key: str) -> bool:
        """Whether developers said anywhere that this flag exists."""
        return (
            key in IN_CODE or key in self.settings.declare or key in self.files.records
        )

    def fail_of(self, key: str) -> str:
        """Return the fail policy that code demands, "" if none."""
        for declared in (IN_CODE.get(key), self.settings.declare.get(key)):
            if declared is not None and declared.fail:
                return declared.fail
        return ""
