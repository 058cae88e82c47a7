"""The OpenFeature specification's own scenarios, against failsoft's provider."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from provider.features import FOLDER, name_of, run, scenarios, tags_of
from provider.world import World

importlib.import_module("provider.steps")

pytestmark = pytest.mark.anyio

# Tags of what does not apply, and why.
NOT_OURS = {
    "@reason-codes-cached": "every call is answered from the snapshot, none by a cache"
}


def parameters() -> list[Any]:
    found = []
    for scenario in scenarios():
        reasons = [NOT_OURS[tag] for tag in tags_of(scenario) & NOT_OURS.keys()]
        marks = [pytest.mark.skip(f"does not apply: {why}") for why in reasons]
        found.append(pytest.param(scenario, id=name_of(scenario), marks=marks))
    return found


@pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason="the OpenFeature feature files are not here (../shared/testkit/openfeature)",
)
@pytest.mark.parametrize("scenario", parameters())
async def test_the_scenario_holds(scenario: dict[str, Any]) -> None:
    world = World()

    try:
        await run(scenario, world)
    finally:
        await world.end()
