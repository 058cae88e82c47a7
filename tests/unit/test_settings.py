import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.errors import DefinitionError
from failsoft.settings import (
    FlagDeclaration,
    RoutePolicy,
    Settings,
    Shed,
    StaticAnswer,
    load_settings,
    parse_span_s,
)
from failsoft.settings._readers import mask_text

NOWHERE = Path("/nonexistent")


def load(
    toml: str = "",
    environ: Mapping[str, str] | None = None,
    cwd: Path = NOWHERE,
    **arguments: Any,
) -> Settings:
    if toml:
        (cwd / "failsoft.toml").write_text(toml)
    return load_settings(arguments, environ or {}, cwd)


def findings(*args: Any, **arguments: Any) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        load(*args, **arguments)
    return caught.value.findings


# --- sources ---------------------------------------------------------------


def test_without_any_source_the_defaults_serve_the_memory_store() -> None:
    settings = load()

    assert settings == Settings()
    assert settings.store.url == ""
    assert settings.store.env == "default"


def test_arguments_win_over_environment_and_file(tmp_path: Path) -> None:
    toml = '[store]\nenv = "from-file"\nbeat = "1s"\nblock = "3s"\n'
    environ = {"FAILSOFT_ENV": "from-environment", "FAILSOFT_STORE_BEAT": "900ms"}

    settings = load(toml, environ, tmp_path, env="from-arguments")

    assert settings.store.env == "from-arguments"
    assert settings.store.beat_s == pytest.approx(0.9)
    assert settings.store.block_s == 3.0


def test_an_argument_of_none_and_an_empty_variable_are_not_given() -> None:
    settings = load(environ={"FAILSOFT_ENV": ""}, redis_url=None, config=None)

    assert settings == Settings()


def test_one_key_or_a_whole_section_can_be_an_argument() -> None:
    arguments: dict[str, Any] = {"store.beat": 0.5, "telemetry": {"app": "shop"}}

    settings = load(**arguments)

    assert settings.store.beat_s == 0.5
    assert settings.telemetry.app == "shop"


def test_the_file_is_the_one_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('[store]\nenv = "other"\n')

    by_variable = load("[store]\n", {"FAILSOFT_CONFIG": "other.toml"}, tmp_path)
    by_argument = load("[store]\n", cwd=tmp_path, config=tmp_path / "other.toml")

    assert by_variable.store.env == by_argument.store.env == "other"


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    (finding,) = findings(cwd=tmp_path, config="gone.toml")

    assert "gone.toml: cannot be read (No such file or directory)" in finding


def test_named_entries_of_two_sources_are_joined(tmp_path: Path) -> None:
    toml = '[routes."GET /a"]\ntags = ["file"]\n[flags.declare.a]\ndefault = 1\n'

    settings = load(
        toml,
        cwd=tmp_path,
        routes={"GET /b": {"bypass": True}},
        flags={"declare": {"b": {"default": 2}}},
    )

    assert settings.routes == {
        "GET /a": RoutePolicy(tags=("file",)),
        "GET /b": RoutePolicy(bypass=True),
    }
    assert set(settings.flags.declare) == {"a", "b"}


def test_paths_of_the_store_start_from_the_settings_file(tmp_path: Path) -> None:
    toml = '[store]\nstate_dir = "state"\nbootstrap = "/etc/controls.lkg"\n'
    environ = {"HOME": str(tmp_path), "FAILSOFT_STORE_STATE_DIR": "/var/lib/shop"}

    by_file = load(toml, cwd=tmp_path).store
    by_variable = load(toml, environ, tmp_path).store

    assert by_file.state_dir == str(tmp_path / "state")
    assert by_variable.state_dir == "/var/lib/shop"
    assert by_file.bootstrap == "/etc/controls.lkg"


def test_variables_of_other_parts_are_left_alone() -> None:
    others = "CONFIG APP CONTEXT TUI_CONFIG NO_APT REQUIRE_REDIS TEST_REDIS_URL DEMO_X"
    environ = {f"FAILSOFT_{name}": "" for name in others.split()} | {"HOME": "/"}

    assert load(environ=environ) == Settings()


# --- what the file can say -------------------------------------------------

EVERYTHING = """
[store]
url = "rediss://app:secret@redis.internal:6380/2"
env = "shop-prod"
require = true
rewind = "accept"
block = "1s"
beat = "500ms"
stale_after = "3s"
start_deadline = "0s"
[flags.declare."checkout.new-pricing"]
default = false
owner = "pay"
expires = 2027-01-31
[tracing]
request_id = true
traceresponse = false
[telemetry]
app = "shop"
release = "1.2.3"
[routes."POST /orders"]
criticality = "critical_plus"
tags = ["revenue"]
bypass = false
[mode.calm]
title = "Some features are resting"
severity = "major"
routes = ["GET /search*", "tag:search"]
public = false
actions = [
  { read_only = true }, { maintenance = "back at 8" }, { banner = "calm" },
  { shed = { class = "sheddable" } }, { shed = { share = 0.25 } },
  { static = { body = "[]", media_type = "application/json", status = 203 } },
  { disable = ["a", "b"] },
]
[modes]
never = ["tag:auth", "POST /webhooks/*"]
"""


def test_every_key_can_be_said_in_the_file(tmp_path: Path) -> None:
    settings = load(EVERYTHING, cwd=tmp_path)

    assert settings.store.url.startswith("rediss://app:secret@")
    assert settings.store.start_deadline_s == 0.0
    assert settings.flags.declare["checkout.new-pricing"] == FlagDeclaration(
        default=False, owner="pay", expires="2027-01-31"
    )
    assert settings.tracing.request_id
    assert settings.telemetry.release == "1.2.3"
    assert settings.routes["POST /orders"].criticality == "critical_plus"
    assert settings.never == ("tag:auth", "POST /webhooks/*")


def examples_of(page: str) -> list[str]:
    """Return the settings that a page shows."""
    text = (Path(__file__).parents[2] / page).read_text()
    return re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


PAGES = (
    "README.md",
    *(f"middleware/{name}.md" for name in ("RESILIENCE", "CONTRACTS")),
)
SHOWN = [
    pytest.param(example, id=f"{page} {n}")
    for page in PAGES
    for n, example in enumerate(examples_of(page))
]


@pytest.mark.parametrize("example", SHOWN)
def test_the_examples_of_the_pages_can_be_used(example: str, tmp_path: Path) -> None:
    settings = load(example, cwd=tmp_path)

    assert settings != load()


def test_the_actions_of_a_mode_keep_their_order_and_have_checked_values(
    tmp_path: Path,
) -> None:
    mode = load(EVERYTHING, cwd=tmp_path).modes["calm"]

    assert mode.actions == (
        ("read_only", True),
        ("maintenance", "back at 8"),
        ("banner", "calm"),
        ("shed", Shed(1.0, "sheddable")),
        ("shed", Shed(0.25, None)),
        ("static", StaticAnswer(b"[]", "application/json", 203)),
        ("disable", ("a", "b")),
    )
    assert mode.severity == "major"
    assert not mode.public


def test_a_static_answer_can_be_a_file_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "sorry.html").write_bytes(b"<p>sorry</p>")
    toml = '[mode.m]\ntitle = "t"\nactions = [{ static = { file = "sorry.html" } }]'

    mode = load(toml, cwd=tmp_path).modes["m"]

    assert mode.actions[0][1].body == b"<p>sorry</p>"


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load(EVERYTHING, cwd=tmp_path)

    with pytest.raises(TypeError):
        settings.routes["GET /x"] = RoutePolicy()  # type: ignore[index]
    with pytest.raises(AttributeError):
        settings.store.url = ""  # type: ignore[misc]


# --- findings --------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "finding"),
    [
        ("[store]\nbeat = 1", 'store.beat = 1 has no unit; write "1s"'),
        ('[store]\nbeat = "1"', 'store.beat = "1" has no unit; write "1s"'),
        (
            '[store]\nbeat = "-2s"',
            'store.beat = "-2s" is no span of time; '
            'write it like "250ms", "30s", "5m" or "7d"',
        ),
        (
            '[store]\nbeat = "1h"',
            'store.beat = "1h" is out of range; choose a span from 100ms to 2s',
        ),
        ("[store]\nstael_after = 1", "store.stael_after is not known; did you mean"),
        ("[stoer]\n", "stoer is not known; did you mean store?"),
        ("[zebra]\n", "zebra is not known; known: "),
        ("store = 1", "store = 1 must be a table; put its keys below [store]"),
        (
            '[store]\nrewind = "hodl"',
            'store.rewind = "hodl" must be one of hold, accept; did you mean hold?',
        ),
        (
            '[store]\nenv = "Shop Prod"',
            'store.env = "Shop Prod" is no name of an environment; '
            'write it in a-z, 0-9 and -, at most 63, such as "shop-prod"',
        ),
        (
            "[contracts]\nbody_max = 8",
            'contracts.body_max = 8 has no unit; write "8KiB", or with B or MiB',
        ),
        ('[contracts]\nbody_max = "1B"', "out of range; choose a size from 1KiB"),
        ('[contracts]\nbody_max = "8MB"', 'is no size; write it like "512B"'),
        ("[contracts]\ngate_sample = 2", "in range; write a number from 0 to 1"),
        ('[contracts]\nsigned_headers = ["a b"]', "holds 'a b', which is no header"),
        ('[store]\nrequire = "yes"', 'store.require = "yes" must be true or false'),
        ('[telemetry]\napp = " "', 'telemetry.app = " " must be text that is not'),
        ('[telemetry]\napp = "a\\nb"', "holds control characters"),
        ('[modes]\nnever = "tag:a"', 'must be a list; write ["tag:a"]'),
        (
            '[routes."post /x"]',
            "routes.\"post /x\" holds 'post /x', which is no METHOD /path; "
            'write "POST /x"',
        ),
        ('[routes."/x"]', 'write "* /x"'),
        ("[routes.orders]\nbypass = 1", "routes.orders.bypass = 1 must be true or"),
        ('[routes."GET /"]\ntags = ["a b"]', "holds the tag 'a b'"),
        ('[routes."GET /"]\ncriticality = "sheddible"', "did you mean sheddable?"),
        ("[flags.declare.a]", "flags.declare.a has no default; add default = false"),
        ("[flags.declare.a]\ndefault = [1]", "is no value of a flag"),
        ('[flags.declare.a]\ndefault = 1\nexpires = "2027-02-30"', "is no date"),
        ("[mode.m]", "mode.m has no title and no actions; add title ="),
        ('[mode.m]\ntitle = "t"\nactions = []', "must be a list of actions"),
    ],
)
def test_a_bad_value_is_answered_with_where_what_and_what_to_do(
    toml: str, finding: str, tmp_path: Path
) -> None:
    found = findings(toml, cwd=tmp_path)

    assert any(f"failsoft.toml: {finding}" in line or finding in line for line in found)
    assert all(line.startswith("failsoft.toml: ") for line in found)


@pytest.mark.parametrize(
    ("action", "finding"),
    [
        ("{ read_only = false }", "read_only = false does nothing"),
        ("{ readonly = true }", "readonly is not known; did you mean read_only?"),
        ("{ shed = {} }", "says neither share nor class"),
        ("{ shed = { share = 1.5 } }", "shed.share = 1.5 is no share"),
        ("{ shed = { share = 0 } }", "shed.share = 0 is no share"),
        ("{ shed = { class = 'low' } }", "must be one of critical_plus"),
        ("{ static = { status = 200 } }", "must have either body or file"),
        ("{ static = { body = 'x', status = 99 } }", "is no final HTTP status"),
        ("{ static = { body = 1 } }", "static.body = 1 must be text"),
        ("{ static = { file = 'gone' } }", "cannot be read (No such file"),
        ("{ maintenance = '' }", 'maintenance = "" must be text'),
        ("{ disable = 'a' }", 'must be a list; write ["a"]'),
    ],
)
def test_a_bad_action_is_answered_too(
    action: str, finding: str, tmp_path: Path
) -> None:
    toml = f'[mode.m]\ntitle = "t"\nactions = [{action}]'

    (found,) = findings(toml, cwd=tmp_path)

    assert found.startswith("failsoft.toml: mode.m.actions")
    assert finding in found


def test_a_static_answer_is_bounded() -> None:
    static = {"static": {"body": "x" * 65_537}}

    (found,) = findings(mode={"m": {"title": "t", "actions": [static]}})

    assert "is 65537 bytes long; keep it within 64 KiB" in found


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    (found,) = findings('[store]\nenv = "a\n', cwd=tmp_path)

    assert "failsoft.toml: is no valid TOML" in found
    assert "line 2" in found


def test_a_file_that_is_no_text_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "failsoft.toml").write_bytes(b"\xff\xfe")

    (found,) = findings(cwd=tmp_path)

    assert "is no valid TOML" in found


def test_all_sources_are_answered_at_once(tmp_path: Path) -> None:
    environ = {
        "FAILSOFT_STORE_BEAT": "5",
        "FAILSOFT_REDS_URL": "redis://:pa55@x",
        "FAILSOFT_TRACING_REQUEST_ID": "yes",
    }

    found = findings("[stoer]\n", environ, tmp_path, redis="x", env="A")

    assert found == [
        "failsoft.toml: stoer is not known; did you mean store?",
        "environment: FAILSOFT_REDS_URL is not known; did you mean FAILSOFT_REDIS_URL?",
        'environment: FAILSOFT_STORE_BEAT = "5" has no unit; '
        "write FAILSOFT_STORE_BEAT=5s",
        'environment: FAILSOFT_TRACING_REQUEST_ID = "yes" must be true or false; '
        "write one of these without quotes",
        "arguments: redis is not known; did you mean redis_url?",
        'arguments: store.env = "A" is no name of an environment; '
        'write it in a-z, 0-9 and -, at most 63, such as "a"',
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        {"store": {"beat": 2.0, "stale_after": 1.5}},
        {
            "mode": {
                "m": {"title": "t", "routes": ["tag:a"], "actions": [{"banner": "b"}]}
            },
            "modes": {"never": ["tag:a"]},
        },
    ],
)
def test_settings_that_contradict_each_other_are_a_finding(
    arguments: dict[str, Any],
) -> None:
    (found,) = findings(**arguments)

    assert found.startswith("settings: ")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("FALSE", False), ("0", False)]
)
def test_the_environment_spells_booleans_as_text(text: str, value: bool) -> None:
    settings = load(environ={"FAILSOFT_TRACING_REQUEST_ID": text})

    assert settings.tracing.request_id is value


def test_the_environment_separates_lists_by_commas() -> None:
    settings = load(environ={"FAILSOFT_MODES_NEVER": "tag:a, tag:b"})

    assert settings.never == ("tag:a", "tag:b")


# --- URLs and secrets ------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/0",
        "rediss://app:p%40ss@redis.internal:6380/2?ssl_cert_reqs=required",
        "redis://[::1]:6379",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_a_good_url_is_taken_as_it_is(url: str) -> None:
    assert load(redis_url=url).store.url == url


@pytest.mark.parametrize(
    ("url", "finding"),
    [
        ("localhost:6379", "has no scheme; write redis://host:6379/0"),
        ("http://localhost:6379", "has the unknown scheme http://; known: redis"),
        ("reddis://localhost", "has the unknown scheme reddis://; did you mean redis"),
        ("redis://", "names no host and port"),
        ("redis://h:99999", "names no host and port"),
        ("redis://h:6379/first", "has the database 'first'"),
        ("unix://run/redis.sock", "names no socket"),
    ],
)
def test_a_bad_url_is_a_finding(url: str, finding: str) -> None:
    (found,) = findings(redis_url=url)

    assert finding in found


@pytest.mark.parametrize(
    "url",
    [
        "app:hunter2@host",
        "redis://app:hunter2@host:port/0",
        "redis://app:hu@nter2/hunter2@host:port",
        "redis://:hunter2",
        "amqp://app:hunter2@host?password=hunter2",
        "http://host?PASSWORD=hunter2",
    ],
)
def test_a_password_never_reaches_a_finding(url: str) -> None:
    assert "hunter2" not in "\n".join(findings(redis_url=url))


@given(st.text(min_size=1))
def test_masking_removes_any_password(password: str) -> None:
    masked = mask_text(f"redis://u:{password}@h:1/0?db=1&password=pa55")

    assert masked == "redis://u:***@h:1/0?db=1&password=***"


def test_a_kill_does_not_last_longer_unsaid_than_it_may(tmp_path: Path) -> None:
    good = load('[kill]\nmax_ttl = "2h"', {"FAILSOFT_KILL_DEFAULT_TTL": "5m"}, tmp_path)

    assert (good.kill.default_ttl_s, good.kill.max_ttl_s) == (300.0, 7200.0)
    with pytest.raises(DefinitionError, match=r"is longer than kill\.max_ttl = 600s"):
        load('[kill]\nmax_ttl = "10m"', cwd=tmp_path)


# --- spans -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("5m", 300), ("1.5h", 5400), ("7d", 604_800)],
)
def test_a_span_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_span_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 s", "1w", "1e3s", "٣s"])
def test_anything_else_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        parse_span_s(text)
