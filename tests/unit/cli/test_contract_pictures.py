"""What the verbs on versions and drift print of strings that somebody else wrote."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.cli._brownout import _list as brownouts
from failsoft.cli._drift import _list as drift
from failsoft.cli._drift import _show as drift_entry
from failsoft.cli._ledgers import Picture
from failsoft.cli._tolerance import _list as tolerances
from failsoft.cli._tolerance import _suggest as suggest
from failsoft.cli._versions import _impact as impact
from failsoft.cli._versions import _list as versions
from failsoft.ops.views import FleetView
from unit.ops.contractfleet import look

EVIL = "\x1b[2J\u202e\n"


def test_each_picture_shows_hostile_strings_harmless() -> None:
    view = hostile()
    assert view.versions is not None
    assert view.drift is not None
    version, entry = view.versions.versions[-1].id, view.drift.rows[0].id

    shown: list[Picture] = [
        versions(view),
        impact(view, version),
        brownouts(view),
        drift(view),
        drift_entry(view, entry),
        tolerances(view),
        suggest(view),
    ]

    for _, text in shown:
        assert not set("\x1b\u202e") & set(text)


def hostile() -> FleetView:
    """Return the fake view with a hostile end on every text of its rows."""
    view, _ = look()
    return msgspec.structs.replace(
        view, versions=tainted(view.versions), drift=tainted(view.drift)
    )


KEPT = ("state", "direction", "dependency", "source", "suggests", "kind", "severity")


def tainted(value: Any) -> Any:
    """Return rows with every text that a store tells made hostile."""
    if isinstance(value, tuple):
        return tuple(map(tainted, value))
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.asdict(value).items()
        changed = {k: v if k in KEPT else tainted(v) for k, v in fields}
        return msgspec.structs.replace(value, **changed)
    return f"{value}{EVIL}" if isinstance(value, str) and value else value


@pytest.mark.parametrize(
    "picture",
    [versions, brownouts, drift, tolerances, suggest],
    ids=["versions", "brownouts", "drift", "tolerances", "suggest"],
)
def test_what_was_not_read_is_told_as_nothing(picture: object) -> None:
    view, _ = look(ledgers=False)

    assert callable(picture)
    fields, text = picture(view)

    assert text
    assert isinstance(fields, dict)
