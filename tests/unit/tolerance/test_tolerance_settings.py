"""What `[tolerance]` takes, and how it says all that is wrong at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from failsoft.clock import utc_date
from failsoft.errors import DefinitionError
from failsoft.settings import (
    FIELD_OF,
    HandlingRule,
    Settings,
    ToleranceDefinition,
    load_settings,
)
from failsoft.shapes.repair import REPAIRS

SOON = utc_date(time.time() + 30 * 86_400)


def load(text: str, tmp_path: Path, **environ: str) -> Settings:
    (tmp_path / "failsoft.toml").write_text(text)
    return load_settings({}, environ, tmp_path)


def allow(**fields: Any) -> dict[str, Any]:
    found = {
        "name": "old-ios-qty",
        "path": "/items/*/qty",
        "kind": "string_to_number",
        "until": SOON,
        "reason": "app 3.x",
        "owner": "mobile",
    } | fields
    return {"tolerance": {"allow": [found]}}


def test_the_documented_lines_are_read(tmp_path: Path) -> None:
    settings = load(
        f"""
        [tolerance]
        handling = "observe"
        handlings = [{{ consumer = "ios-3", handling = "warn" }}]
        prefer = "both"
        enum_values = ["POST /orders"]
        [[tolerance.allow]]
        name = "old-ios-qty"
        route = "POST /orders"
        consumer = "ios-3"
        path = "/items/*/qty"
        kind = "string_to_number"
        until = {SOON}
        reason = "app 3.x until December"
        owner = "mobile"
        [routes."POST /pay"]
        handling = "strict"
        """,
        tmp_path,
        FAILSOFT_TOLERANCE_STRICT_KINDS="unknown,type",
    )

    found = settings.tolerance
    assert settings.routes["POST /pay"].handling == "strict"
    assert found.handlings == (HandlingRule("warn", consumer="ios-3"),)
    assert found.strict_kinds == ("unknown", "type")
    assert found.enum_values == ("POST /orders",)
    assert found.allow == (
        ToleranceDefinition(
            *("old-ios-qty", "/items/*/qty", "string_to_number", SOON),
            *("app 3.x until December", "mobile", "POST /orders", "ios-3"),
        ),
    )


def test_what_a_kind_needs_becomes_its_value(tmp_path: Path) -> None:
    settings = load_settings(allow(kind="alias", **{"from": "count"}), {}, tmp_path)

    assert settings.tolerance.allow[0].value == "count"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "string_to_numbr"}, "did you mean string_to_number?"),
        ({"until": "2999-01-01"}, "is too far away; write 20"),
        ({"until": "soon"}, "is no date"),
        ({"path": "items"}, "is no path in a body"),
        ({"name": "a b"}, "is no name of a tolerance"),
        ({"kind": "alias"}, "of kind alias has none of its fields; give it from"),
        ({"to": "x"}, "has to; drop to"),
        ({"route": "/orders"}, 'write "* /orders"'),
        ({"unitl": "x"}, "unitl is not known; did you mean until?"),
    ],
)
def test_a_wrong_tolerance_is_refused_with_what_to_write(
    fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(DefinitionError) as refused:
        load_settings(allow(**fields), {}, tmp_path)

    assert len(refused.value.findings) == 1
    assert said in refused.value.findings[0]
    assert "tolerance.allow.0" in refused.value.findings[0]


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    text = """
    [tolerance]
    handling = "lenient"
    handlings = [{ route = "POST /x" }, 7]
    strict_kinds = ["unknwn"]
    allow = [{ name = "a" }]
    [routes."POST /pay"]
    handling = "stric"
    """

    with pytest.raises(DefinitionError) as refused:
        load(text, tmp_path)

    said = "\n".join(refused.value.findings)
    assert len(refused.value.findings) == 6
    for words in (
        "tolerance.handling",
        "has no handling",
        "did you mean unknown?",
        "has no path and no kind and no until and no reason and no owner",
        "did you mean strict?",
    ):
        assert words in said


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    doubled = {"tolerance": {"allow": allow()["tolerance"]["allow"] * 2}}

    with pytest.raises(DefinitionError, match="two of the name 'old-ios-qty'"):
        load_settings(doubled, {}, tmp_path)


def test_settings_and_repairs_know_the_same_kinds() -> None:
    assert tuple(FIELD_OF) == REPAIRS
