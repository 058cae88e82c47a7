"""The guard against creeping cost: calls per request, exact in every run.

Times are too noisy to gate on; the number of calls that failsoft adds is not.  A
rise needs a reason in the commit that raises the number here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "bench" / "call_count.py"
# Watched: the body is compared with its model.
WATCHED = "fastapi-post, watched"
WITHOUT_SDK = {"starlette": 42, "fastapi-get": 45, "fastapi-post": 42, WATCHED: 74}
WITH_SDK = {"starlette": 51, "fastapi-get": 54, "fastapi-post": 51, WATCHED: 83}


@pytest.mark.parametrize(
    ("options", "agreed"), [((), WITHOUT_SDK), (("--otel",), WITH_SDK)]
)
def test_a_request_costs_no_more_calls_than_agreed(
    options: tuple[str, ...], agreed: dict[str, int]
) -> None:
    command = [sys.executable, str(SCRIPT), *options]
    run = subprocess.run(command, capture_output=True, text=True, check=True)

    added = json.loads(run.stdout)

    assert {name: added[name] <= agreed[name] for name in agreed} == dict.fromkeys(
        agreed, True
    ), added
