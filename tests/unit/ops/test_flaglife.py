from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.flags._parse import parse_flag
from failsoft.ops.flaglife import FlagLife, constant_variant, flag_life
from failsoft.ops.views import ControlRow
from failsoft.store.flagcounts import Evaluations
from failsoft.telemetry import Definitions, FlagDef

DAY_MS = 86_400_000
NOW_MS = 1_798_761_600_000  # 2027-01-01 00:00 UTC
BOOLEAN = {"on": True, "off": False}


def document(**fields: Any) -> bytes:
    whole = {"state": "ENABLED", "variants": BOOLEAN, "defaultVariant": "off"}
    return msgspec.json.encode(whole | fields)


def row(key: str, doc: bytes = b"", *, days: float = 0, kind: str = "flag") -> Any:
    return ControlRow(
        target=f"flag:{key}",
        kind=kind,
        now="",
        default="",
        rollout=None,
        rps=None,
        until_ms=0,
        by="ana",
        at_ms=int(NOW_MS - days * DAY_MS) if doc or kind == "kill" else 0,
        why="",
        rev=1,
        active=kind == "kill",
        doc=doc,
    )


def life_of(*rows: Any, seen_days: float | None = 0, since_days: float = 60) -> Any:
    seen = {} if seen_days is None else {"k": int(NOW_MS - seen_days * DAY_MS)}
    since_ms = int(NOW_MS - since_days * DAY_MS)
    lives = flag_life(Evaluations(NOW_MS, since_ms, {}, seen), rows, Definitions())
    (life,) = (life for life in lives if life.key == "k")
    return life


def reasons(life: FlagLife) -> list[str]:
    return [reason.text for reason in life.stale]


SHARE = {"fractional": [["on", 10], ["off", 90]]}
ALL = {"fractional": [["on", 100], ["off", 0]]}


def test_evaluations_are_told_by_flag_and_variant_most_first() -> None:
    counts = {"k": {"off": 2, "on": 7}, "(other)": {"": 1}}

    known = Evaluations(NOW_MS, 1, counts, {"k": NOW_MS})
    (life,) = flag_life(known, [], Definitions())

    assert life == FlagLife("k", (("on", 7), ("off", 2)), NOW_MS)


@pytest.mark.parametrize(
    ("date", "told"),
    [("2026-12-31", ["expired 2026-12-31"]), ("2027-01-01", []), ("", [])],
)
def test_a_flag_is_stale_the_day_after_it_expires(date: str, told: list[str]) -> None:
    doc = document(targeting=SHARE, metadata={"x.expires": date})

    assert reasons(life_of(row("k", doc))) == told


def test_what_the_code_declares_dates_and_owns_a_flag_without_an_edit() -> None:
    declared = FlagDef("k", "code", "false", owner="pay", expires="2026-12-31")

    (life,) = flag_life(
        Evaluations(NOW_MS), [row("k")], Definitions(flagdefs=(declared,))
    )

    assert (life.owner, reasons(life)) == ("pay", ["expired 2026-12-31"])


@pytest.mark.parametrize(
    ("fields", "days", "told"),
    [
        ({}, 31, ["off for everybody for 31d"]),
        ({}, 29, []),
        ({"targeting": ALL}, 30, ["on for everybody for 30d"]),
        ({"targeting": SHARE}, 300, []),
        ({"state": "DISABLED"}, 40, ["(default) for everybody for 40d"]),
    ],
)
def test_one_variant_for_all_during_30_days_is_stale(
    fields: dict[str, Any], days: int, told: list[str]
) -> None:
    assert reasons(life_of(row("k", document(**fields), days=days))) == told


def test_a_flag_killed_for_30_days_is_stale() -> None:
    edit = row("k", document(targeting=SHARE))
    kill = row("*", days=30, kind="kill")

    assert reasons(life_of(edit, kill)) == ["killed for 30d"]


@pytest.mark.parametrize(
    ("seen_days", "since_days", "told"),
    [
        (13, 60, []),
        (14, 60, ["not evaluated for 14d"]),
        (None, 20, ["never evaluated for 20d"]),
        (None, 10, []),
    ],
)
def test_a_flag_not_evaluated_for_14_days_is_stale(
    seen_days: float | None, since_days: float, told: list[str]
) -> None:
    life = life_of(row("k"), seen_days=seen_days, since_days=since_days)

    assert reasons(life) == told


def test_a_flag_made_yesterday_is_not_called_unused() -> None:
    edit = row("k", document(targeting=SHARE), days=1)

    assert reasons(life_of(edit, seen_days=None)) == []


def test_a_rule_serves_no_constant_variant() -> None:
    rule = {"if": [{"var": "x"}, "on", "off"]}

    assert constant_variant(parse_flag("k", document(targeting=rule))) is None


def test_an_unreadable_document_is_no_reason() -> None:
    assert life_of(row("k", b"{", days=90)).stale == ()
