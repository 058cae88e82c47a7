from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from failsoft.errors import DefinitionError
from failsoft.settings import load_settings


def load(tmp_path: Path, environ: dict[str, str] | None = None, **given: Any) -> Any:
    return load_settings(given, environ or {}, tmp_path)


def test_shedding_is_on_and_nobody_is_trusted_unless_said(tmp_path: Path) -> None:
    settings = load(tmp_path)

    assert settings.shed.handling == "on"
    assert (settings.shed.target_s, settings.shed.interval_s) == (0.03, 0.1)
    assert settings.shed.max_inflight == 1000
    assert settings.criticality.trusted_peers == ()


def test_it_is_set_by_file_environment_and_arguments(tmp_path: Path) -> None:
    (tmp_path / "failsoft.toml").write_text(
        '[shed]\nhandling = "observe"\ntarget = "50ms"\n'
        '[criticality]\ntrusted_peers = ["10.0.0.0/8", "2001:db8::1"]\n'
    )

    found = load(tmp_path, {"FAILSOFT_SHED_MAX_INFLIGHT": "64"}, shed={"interval": 0.2})

    assert found.shed.handling == "observe"
    assert (found.shed.target_s, found.shed.interval_s) == (0.05, 0.2)
    assert found.shed.max_inflight == 64
    networks = ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128")
    assert found.criticality.trusted_peers == networks


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"shed": {"max_inflight": 0}}, "shed.max_inflight = 0"),
        ({"shed": {"max_inflight": True}}, "shed.max_inflight = true"),
        ({"shed": {"target": "3s"}}, "shed.target"),
        ({"shed": {"handling": "of"}}, "did you mean off?"),
        ({"shed": {"max_inflght": 9}}, "did you mean max_inflight?"),
        ({"criticality": {"trusted_peers": ["10.0.0.1/8"]}}, "host bits"),
        ({"criticality": {"trusted_peers": ["proxy"]}}, "'proxy'"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, given: dict[str, Any], named: str
) -> None:
    with pytest.raises(DefinitionError, match=r"(?s).*") as raised:
        load(tmp_path, **given)

    assert named in str(raised.value)
