"""Views that hold flags, without any store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from failsoft.controls.records import KillDoc, ModeDoc, encode_doc
from failsoft.ops.controlrows import control_rows, evaluators_of
from failsoft.ops.views import FleetView, Link
from failsoft.store.protocols import ControlSet
from failsoft.telemetry import Definitions, FlagDef, ModeDef

T0 = 1_800_000_000_000


def split_of(*arms: tuple[str, int]) -> dict[str, Any]:
    """The targeting of a rollout."""
    return {"fractional": [list(arm) for arm in arms]}


def document(**members: Any) -> bytes:
    """A boolean flag's document, off for all."""
    plain = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "off",
    }
    return msgspec.json.encode(plain | members)


def stored_set(**records: bytes) -> ControlSet:
    """A control set; `flag/a=json`, revisions from 1 on."""
    found = {}
    for rev, (name, json) in enumerate(records.items(), 1):
        kind, _, key = name.partition("/")
        found[kind, key] = b"%d %d 0 " % (rev, T0) + json
    return ControlSet(len(found), "e" * 32, "0-0", T0, found)


def definitions_of(*flags: FlagDef, modes: tuple[ModeDef, ...] = ()) -> Definitions:
    """What a release declares."""
    known = tuple((flag.key, flag.default) for flag in flags)
    return Definitions(flags=known, flagdefs=flags, modes=modes)


def view_of(
    records: Mapping[str, bytes], definitions: Definitions | None = None
) -> FleetView:
    """The view of a control set."""
    stored = stored_set(**records)
    return FleetView(
        seq=1,
        env="shop",
        link=Link("up"),
        received=0.0,
        server_ms=T0,
        controls=control_rows(stored.records, (), definitions or Definitions(), T0),
        evaluators=evaluators_of(stored.records, definitions or Definitions()),
    )


def kill(**more: Any) -> bytes:
    """A kill's document."""
    return encode_doc(KillDoc("ana", "INC-1", **more))


def mode() -> bytes:
    """An activation's document."""
    return encode_doc(ModeDoc("ana", "INC-1"))
