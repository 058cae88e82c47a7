"""What looking at bodies may cost, and the corners of handlings and repairs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asgi.conftest import Guard
from asgi.drive import drive, http_scope
from asgi.test_tolerance import body_of, qty, rows, send, shop, tallies
from failsoft import Failsoft
from failsoft.pipeline import Exchange
from failsoft.tolerance._requests import RequestWork

pytestmark = pytest.mark.anyio


async def opened(guard: Guard, **settings: Any) -> Failsoft:
    guarded = await guard(shop(), **settings)
    await guarded.runtime.learn(guarded.app)
    guarded.runtime.planner.compile_gates()
    return guarded


async def test_unknown_enum_members_are_named_only_where_asked(guard: Guard) -> None:
    asked = {"enum_values": ["POST /paints", "tag:shop"]}
    guarded = await opened(guard, tolerance=asked)
    quiet = await opened(guard)

    for hue in [*(f"hue-{n}" for n in range(12)), "no token", "x" * 33, "red"]:
        body = json.dumps({"hues": [hue, 7], "by": {"k": hue}}).encode()
        await send(guarded, body, "/paints")
        await send(quiet, body, "/paints")

    named, unnamed = await everything(guarded), await everything(quiet)
    assert {got for path, got in named if path == "/hues/*"} >= {
        *(f"str=hue-{n}" for n in range(8)),
        "str",
    }
    assert not {got for _, got in named if "hue-9" in got or "token" in got}
    assert not {got for _, got in unnamed if "=" in got}


async def everything(guarded: Failsoft) -> set[tuple[str, str]]:
    await rows(guarded)
    found = await guarded.runtime.store.drift()
    return {(row.entry.path, row.entry.got) for row in found.rows}


async def test_of_long_bodies_a_sample_is_looked_at(guard: Guard) -> None:
    none = await opened(guard, contracts={"gate_sample": 0})
    every = await opened(guard, contracts={"gate_sample": 1})
    long = body_of(note="x" * 20_000, colour="red")
    longer = body_of(note="x" * (1 << 20), colour="red")

    for guarded in (none, every):
        await send(guarded, long)
        await send(guarded, longer)

    assert ("/colour", "unknown") not in await rows(none)
    assert (await tallies(none))["skipped:size"] == 2
    assert (await rows(every))["/colour", "unknown"].count == 1
    assert (await tallies(every))["skipped:size"] == 1


async def test_answers_of_any_length_are_bounded_alike(guard: Guard) -> None:
    guarded = await opened(guard, contracts={"gate_full_max": "1B", "gate_sample": 0})

    await drive(guarded, http_scope("GET", "/bypass"))

    assert await rows(guarded) == {}
    assert (await tallies(guarded))["skipped:size"] == 1


async def test_slow_walks_are_limited_by_route_and_process(guard: Guard) -> None:
    guarded = await opened(guard, contracts={"route_walks_per_s": 0})

    await send(guarded, body_of('"x"', colour="red"))
    await send(guarded, body_of(), **{"content-type": "text/plain"})
    await drive(guarded, http_scope("GET", "/bypass"))

    assert await rows(guarded) == {}
    assert (await tallies(guarded))["unlisted"] >= 4


async def test_a_tolerance_is_applied_beyond_the_limits(guard: Guard) -> None:
    limits = {"route_walks_per_s": 0, "gate_full_max": "1B", "gate_sample": 0}
    guarded = await opened(guard, contracts=limits, tolerance=qty())

    assert (await send(guarded, body_of('"3"'))).status == 200


async def test_long_lists_of_differences_are_cut_and_counted(guard: Guard) -> None:
    guarded = await opened(guard)
    items = [{"sku": {f"k{n}": 1}, f"k{n}x": n} for n in range(300)]

    await send(guarded, json.dumps({"customer": "a", "items": items}).encode())
    await send(guarded, body_of("1", **{f"p{n}x": n for n in range(300)}))

    assert (await tallies(guarded))["truncated"] == 1
    assert len(guarded.runtime.ledger) < 200


async def test_two_candidates_are_reported_and_not_guessed(guard: Guard) -> None:
    alias = qty(path="/customer", kind="alias", **{"from": "buyer"})
    guarded = await opened(guard, tolerance=alias)

    answer = await send(guarded, body_of('"1"', buyer="bob"))

    assert answer.status == 422
    assert (await rows(guarded))["/customer", "ambiguous"].count == 1


async def test_duplicates_are_never_written_anew(guard: Guard) -> None:
    guarded = await opened(guard, tolerance=qty())
    twice = body_of('"3"').replace(b"{", b'{"customer": "bob", ', 1)

    assert (await send(guarded, twice)).status == 422


async def test_a_merge_patch_is_judged_as_one(guard: Guard) -> None:
    guarded = await opened(
        guard, tolerance={**qty(route="* /orders"), "handling": "warn"}
    )
    merge = {"content-type": "application/merge-patch+json"}

    patch = await send(guarded, b'{"items": [{"qty": "3"}]}', method="PATCH")
    await send(guarded, b'{"note": null}', **merge)  # its gate is not compiled yet
    guarded.runtime.planner.compile_gates()
    merged = await send(guarded, b'{"customer": 7}', **merge)
    pointers = await send(
        guarded, b'{"a": 1}', **{"content-type": "application/json-patch+json"}
    )

    assert patch.headers["failsoft-notice"] == 'coerced;path="/items/*/qty"'
    assert merged.headers["failsoft-notice"] == 'type;path="/customer"'
    assert "failsoft-notice" not in pointers.headers


async def test_off_for_one_consumer_is_off_for_that_one(guard: Guard) -> None:
    rules = [{"consumer": "probe-*", "handling": "off"}]
    guarded = await opened(guard, tolerance={"handlings": rules, **qty()})
    probe = {"user-agent": "probe/1.0"}

    await send(guarded, body_of('"x"'), **probe)
    await send(guarded, body_of(), **{"content-type": "text/plain"}, **probe)
    await send(guarded, body_of('"x"'), "/raw-orders", **probe)

    assert await rows(guarded) == {}


async def test_off_for_all_costs_nothing(guard: Guard) -> None:
    guarded = await opened(guard, tolerance={"handling": "off"})

    # But for the route that says otherwise of itself.
    plans = [p for p in guarded.runtime.snapshot.plans if p.key != "POST /tags"]
    assert all(plan.body is None and plan.answer is None for plan in plans)


async def test_consumers_without_an_exception_are_watched(guard: Guard) -> None:
    guarded = await opened(guard, tolerance=qty(consumer="ios-3"))

    await send(guarded, body_of('"3"'), **{"user-agent": "web/1.0"})

    entry = (await rows(guarded))["/items/*/qty", "coerced"].entry
    assert entry.consumer == "web-1"


async def test_a_fault_of_ours_lets_the_body_pass(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: RequestWork, exchange: Exchange) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(RequestWork, "_reads", broken)
    guarded = await opened(guard, tolerance=qty())

    answer = await send(guarded, body_of())
    other = await send(guarded, body_of(), **{"content-type": "text/plain"})

    assert (answer.status, other.status) == (200, 422)
    assert guarded.runtime.own_errors == 2
