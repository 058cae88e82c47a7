"""Fields of kills: what is refused, what is kept, what a release allows."""

from __future__ import annotations

import msgspec
import pytest

from failsoft.controls.records import KillDoc
from failsoft.errors import Invalid
from failsoft.ops.command import NEVER, Extend, Kill, Unkill
from failsoft.ops.plans import plan_of
from failsoft.ops.preview import preview
from failsoft.ops.sources.source import Batch
from failsoft.ops.verbs import parse_line
from failsoft.ops.views import Link
from failsoft.telemetry import Flight, RouteTick, encode
from flagdoc import FlagDoc
from unit.ops.merged import DEFINITIONS, T0, Fleet, beat, stored

HOUR_MS = 3_600_000
KILLED = stored(4, T0 + HOUR_MS, KillDoc("ana", "x", group="INC-1"))
SHORT = msgspec.structs.replace(DEFINITIONS, kill_default_s=60.0, kill_most_s=600.0)


def fleet(record: bytes = KILLED) -> Fleet:
    made = Fleet()
    made.controls = {("kill", "route:POST /pay"): record}
    return made


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (Kill("route:/pay"), "must be route:METHOD /path; did you mean route:* /pay"),
        (Kill("route:post /pay"), "did you mean route:POST /pay"),
        (Kill("route:POST pay"), "did you mean route:POST /pay"),
        (Kill("route:POST /pay", variant="on"), "is for flag: targets"),
        (Kill("flag:new", public="sorry"), "is for route: and tag: targets"),
        (Kill("route:POST /pay", status=200), "200 must be 400 to 599"),
        (Kill("route:POST /pay", for_s=31 * 86_400), "must be 10 s to 30 d"),
        (
            Kill("consumer:x"),
            "kind 'consumer' must be one of route, tag, flag, dependency",
        ),
    ],
)
def test_a_field_that_no_node_could_use_is_refused(command: Kill, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        plan_of(command, fleet().second(), DEFINITIONS)

    assert text in str(caught.value)


@pytest.mark.parametrize("target", ["route:* /pay", "route:*pay", "route:P?ST /pa*"])
def test_globs_of_method_and_path_are_targets(target: str) -> None:
    plan = plan_of(Kill(target), fleet().second(), DEFINITIONS)

    assert plan.warnings == ()


def test_a_kill_lasts_as_long_as_the_release_says_and_no_longer() -> None:
    view = fleet().second()

    plan = plan_of(Kill("route:GET /cheap"), view, SHORT)

    assert (plan.until, plan.until_s) == ("+60000", 60.0)
    for command in (
        Kill("route:GET /cheap", for_s=601),
        Extend("route:POST /pay", 601),
    ):
        with pytest.raises(Invalid, match=r"10 s to 10m00s, kill.max_ttl"):
            plan_of(command, view, SHORT)


def test_a_kill_without_an_end_stays_possible_and_asks_for_most() -> None:
    made = fleet()

    dry = preview(
        Kill("route:GET /cheap", for_s=NEVER), made.second(), SHORT, 1.0, code="12"
    )

    assert (dry.until_s, dry.tier, dry.code) == (None, 3, "shop-prod")


def test_releases_that_disagree_allow_what_both_allow() -> None:
    made = Fleet()
    made.nodes = {"n1": beat("n1"), "n2": beat("n2", defs="d2")}
    made.second()

    made.merge.begin(
        Batch(Link("up"), False, made.merge.observed, definitions={"d2": encode(SHORT)})
    )

    found = made.merge.definitions
    assert (found.kill_default_s, found.kill_most_s) == (60.0, 600.0)
    assert {key for key, _, _ in found.routes} == {k for k, _, _ in DEFINITIONS.routes}


def test_a_kill_set_again_keeps_the_start_of_one_that_never_said_it() -> None:
    plan = plan_of(Kill("route:POST /pay"), fleet().second(), DEFINITIONS)

    doc = msgspec.json.decode(plan.change("bob", "mine").json, type=KillDoc)
    assert doc.since_ms == T0


def test_a_kill_without_an_end_is_named_in_every_status() -> None:
    made = fleet(stored(4, 0, KillDoc("ana", "x")))

    view = made.second()

    assert "kill route:POST /pay by ana has no end" in [n.text for n in view.notices]


def test_a_variant_that_the_flag_has_not_is_told() -> None:
    made = fleet()
    doc = FlagDoc(variants={"on": True, "off": False}, defaultVariant="on")
    made.controls = {("flag", "new"): stored(2, 0, doc)}
    view = made.second()

    good = plan_of(Kill("flag:n*", variant="off"), view, DEFINITIONS)
    bad = plan_of(Kill("flag:n*", variant="control"), view, DEFINITIONS)

    assert good.warnings == ()
    assert bad.warnings[0].startswith("no variant control in new")


def test_lifting_compares_with_the_revision_that_was_named() -> None:
    view = fleet().second()

    seen = plan_of(Unkill("route:POST /pay"), view, DEFINITIONS)
    named = plan_of(Unkill("route:POST /pay", if_rev=3), view, DEFINITIONS)

    assert (seen.if_rev, named.if_rev) == (4, 3)


def test_a_flags_preview_names_routes_only_where_it_was_seen() -> None:
    made = fleet()
    made.flights = (
        Flight("f1", "g", "POST /pay", "n1", T0, 500, 9, flags=(("new", "on"),)),
    )
    view = made.run(2, RouteTick("POST /pay", 9))

    seen = preview(Kill("flag:new"), view, DEFINITIONS, 1.0)
    other = preview(Kill("flag:older", force=True), view, DEFINITIONS, 1.0)

    assert (seen.routes, seen.seen_on) == ((), ("POST /pay",))
    assert other.seen_on == ()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("unkill", "takes a target or --group"),
        ("unkill route:GET\\ /x --group INC-1", "and not both"),
        ("unkill --group INC-1 --if-rev 3", "compares one kill"),
        ("kill flag:x --status 500", "is for routes"),
        ("frobnicate", "'frobnicate' is not known"),
    ],
)
def test_words_that_do_not_go_together_are_refused(line: str, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_line(line).command()

    assert text in str(caught.value)
    assert "did you mean" not in str(caught.value)
