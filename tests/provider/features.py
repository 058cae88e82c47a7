"""Reads the OpenFeature specification's feature files and runs their steps."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from gherkin.parser import Parser
from gherkin.pickles.compiler import Compiler

FOLDER = Path(__file__).parents[3] / "shared" / "testkit" / "openfeature"
Step = Callable[..., Awaitable[None] | None]
Table = list[list[str]]

_STEPS: list[tuple[re.Pattern[str], Step]] = []


def step(text: str) -> Callable[[Step], Step]:
    """Register a step; `{}` stands for any text, quotes inside it escaped."""
    pattern = re.escape(text).replace(r"\{\}", "(.*)")

    def register(function: Step) -> Step:
        _STEPS.append((re.compile(pattern), function))
        # The most literal one wins, whatever order they are written in.
        _STEPS.sort(key=lambda known: len(known[0].pattern), reverse=True)
        return function

    return register


def scenarios() -> Iterator[dict[str, Any]]:
    """Every scenario, one for each row of examples; `file` is where it stands."""
    for path in sorted(FOLDER.glob("*.feature")):
        document: Any = Parser().parse(path.read_text())
        document["uri"] = path.name
        yield from map(dict, Compiler().compile(document))


def name_of(scenario: dict[str, Any]) -> str:
    line = scenario["location"]["line"]
    return f"{scenario['uri']}:{line} {scenario['name']}"


def tags_of(scenario: dict[str, Any]) -> set[str]:
    return {tag["name"] for tag in scenario["tags"]}


async def run(scenario: dict[str, Any], world: Any) -> None:
    """Run the steps in order; a step nobody knows is an error."""
    for each in scenario["steps"]:
        function, words = _find(each["text"])
        table = _table(each)
        done = function(world, *words, *([table] if table else []))
        if inspect.isawaitable(done):
            await done


def _find(text: str) -> tuple[Step, list[str]]:
    for pattern, function in _STEPS:
        found = pattern.fullmatch(text)
        if found:
            return function, [w.replace('\\"', '"') for w in found.groups()]
    raise LookupError(f"no step is called {text!r}")


def _table(each: dict[str, Any]) -> Table:
    rows = each.get("argument", {}).get("dataTable", {}).get("rows", [])
    return [[cell["value"] for cell in row["cells"]] for row in rows]
