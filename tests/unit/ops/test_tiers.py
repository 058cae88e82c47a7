"""How strong a confirmation is asked for."""

from __future__ import annotations

import msgspec
import pytest

from failsoft.ops.tiers import Facts, tier_of

SMALL = Facts(share=0.02, routes=1)


@pytest.mark.parametrize(
    ("changed", "tier"),
    [
        ({}, 1),
        ({"share": 0.10}, 2),
        ({"share": 0.50}, 2),
        ({"share": 0.51}, 3),
        ({"share": None}, 2),
        ({"routes": 6}, 2),
        ({"critical_plus": True}, 2),
        ({"bare_star": True}, 3),
        ({"ends": False}, 3),
        ({"ends": False, "needs_end": False}, 1),
        ({"lifts_other": "bob"}, 2),
        ({"harmless": True, "share": 0.9}, 0),
        ({"data_age": 3.1}, 2),
        ({"silent": 1}, 2),
        ({"cannot": 1}, 2),
        ({"share": 0.2, "silent": 1, "data_age": 9.0}, 3),
        ({"share": 0.9, "silent": 1}, 3),
        ({"harmless": True, "silent": 1}, 0),
    ],
)
def test_the_tier_follows_from_the_facts(changed: dict[str, object], tier: int) -> None:
    assert tier_of(msgspec.structs.replace(SMALL, **changed))[0] == tier


def test_the_reason_names_what_raised_it() -> None:
    facts = msgspec.structs.replace(SMALL, critical_plus=True, silent=2)

    assert tier_of(facts) == (
        3,
        "covers a critical_plus route; 2 of the nodes silent",
    )
