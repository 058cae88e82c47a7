"""Growing a share only adds users; whatever moves others is told as a rebucket."""

from __future__ import annotations

import pytest

from failsoft.flags._model import Flag
from failsoft.flags._moves import moved, rebuckets
from failsoft.flags._parse import parse_flag

HEAD = '"state":"ENABLED","variants":{"on":true,"off":false,"blue":true}'


def split(arms: str, version: int = 3) -> Flag:
    rule = f'"targeting":{{"fractional":{arms}}},"metadata":{{"x.hash":{version}}}'
    return parse_flag("shop.pay", f"{{{HEAD},{rule}}}".encode())


def test_growing_and_shrinking_a_share_is_no_rebucket() -> None:
    small, large = split('[["on",10],["off",90]]'), split('[["on",2500],["off",7500]]')

    assert rebuckets(small, large) == rebuckets(large, small) == ""
    assert moved(small, large) == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize(
    ("after", "why", "share"),
    [
        (split('[["off",90],["on",10]]'), "order of variants on, off -> off, on", 0.2),
        (split('[["on",10],["off",90]]', 2), "x.hash 3 -> 2", 0.18),
        (split('[{"var":"mail"},["on",10],["off",90]]'), "another bucket", 1.0),
    ],
)
def test_other_order_hash_or_bucket_is_a_rebucket(
    after: Flag, why: str, share: float
) -> None:
    before = split('[["on",10],["off",90]]')

    assert rebuckets(before, after) == why
    assert moved(before, after) == pytest.approx(share, abs=0.02)


def test_a_split_that_comes_goes_or_gets_an_arm_at_its_end_is_none() -> None:
    plain = parse_flag("shop.pay", f'{{{HEAD},"defaultVariant":"off"}}'.encode())
    one, more = split('[["on",1],["off",1]]'), split('[["on",1],["off",1],["blue",1]]')

    assert [rebuckets(*pair) for pair in ((plain, one), (one, plain), (one, more))] == [
        "",
        "",
        "",
    ]
