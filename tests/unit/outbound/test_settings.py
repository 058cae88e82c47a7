"""`[dependency.<name>]`: what may be said of a call, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from failsoft.errors import DefinitionError
from failsoft.settings import DependencySettings, load_settings
from failsoft.settings._dependency import BreakerSettings

TOML = """
[dependency.stripe]
hosts = ["api.stripe.com"]
timeout = "2s"
slow = "800ms"
retries = 2
internal = false
quota_reserve = 0.3
breaker = { calls = 5, fail = 0.25, slow = 0.9, in_row = 4, silent = "1s", \
open = "2s", open_most = "30s", permits = [1, 2], step = "5s", calm = "1m" }
"""


def test_a_dependency_is_declared_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "failsoft.toml").write_text(TOML)

    declared = load_settings({}, {}, tmp_path).dependencies["stripe"]

    assert declared == DependencySettings(
        hosts=("api.stripe.com",),
        timeout_s=2.0,
        slow_s=0.8,
        retries=2,
        quota_reserve=0.3,
        breaker=BreakerSettings(5, 0.25, 0.9, 4, 1.0, 2.0, 30.0, (1, 2), 5.0, 60.0),
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"timeout": "0s"}, 'dependency.x.timeout = "0s" is out of range'),
        ({"retries": 4}, "dependency.x.retries = 4 must be a whole number from 0 to 3"),
        ({"retris": 1}, "dependency.x.retris is not known; did you mean retries?"),
        ({"breaker": {"fail": 2}}, "dependency.x.breaker.fail = 2 is no share"),
        ({"breaker": {"permits": []}}, "must be a list of 1 to 5 steps"),
        ({"quota_reserve": 3}, "dependency.x.quota_reserve = 3 is no number in range"),
    ],
)
def test_a_mistake_is_told_with_its_key_and_its_cure(
    given: dict[str, object], told: str, tmp_path: Path
) -> None:
    with pytest.raises(DefinitionError) as caught:
        load_settings({"dependency": {"x": given}}, {}, tmp_path)

    assert told in str(caught.value)
