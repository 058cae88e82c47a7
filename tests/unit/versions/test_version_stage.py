"""One contract at work on requests, with a frozen clock: who gets what, until when."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from failsoft.consumer import Consumers
from failsoft.controls.records import BrownoutDoc, PinDoc, Record, SunsetDoc, encode_doc
from failsoft.pipeline import Exchange, Headers, Plan, Rejection
from failsoft.routes.models import Models
from failsoft.routes.table import RouteDef
from failsoft.versions import (
    Contract,
    Header,
    PathPrefix,
    Query,
    Version,
    brownout,
    deprecate,
    endpoint_added,
    endpoint_moved,
    gone,
    header,
    query,
    status,
)
from failsoft.versions._chain import compile_contract
from failsoft.versions._model import Source
from failsoft.versions._stage import VersionStage
from failsoft.versions._windows import date_s

ROUTES = ("GET /orders/{id}", "GET /legacy/{id}", "POST /orders/bulk", "GET /new")
OLD, MID, NEW = "2025-01-15", "2025-06-01", "2026-02-01"
WINDOW = "2026-10-01T14:00Z/PT2H"

VERSIONS = (
    Version(
        OLD,
        brownout("old", WINDOW),
        deprecated="2026-02-01",
        sunset="2026-11-01",
        link="https://docs.example/2025",
    ),
    Version(MID, endpoint_added("GET /new"), link="https://docs.example/mid"),
    Version(
        NEW,
        gone("GET /legacy/{id}", link="https://docs.example/moved"),
        deprecate("POST /orders/bulk", since="2026-02-01", sunset="2026-12-01"),
    ),
)


class Answer:
    """What one request came to."""

    def __init__(self, exchange: Exchange, status: int, headers: Headers) -> None:
        self.exchange = exchange
        self.status = status
        self.pairs = [(k.decode(), v.decode()) for k, v in headers]
        self.headers = dict(self.pairs)
        rejection = exchange.rejection
        self.problem = json.loads(rejection.body + b"}") if rejection else {}


class Api:
    """A stage with a clock at hand, and the plans of its routes."""

    def __init__(
        self, contract: Contract, date: str = "2026-03-01", dice: float = 0.0
    ) -> None:
        self.now_s = float(date_s(date))
        self.consumers = Consumers(("x-app",))
        models = Models(routes={}, names={}, document={})
        self.stage = VersionStage(
            contract,
            compile_contract(contract, models),
            models,
            consumers=self.consumers,
            now_ms=lambda: self.now_s * 1000,
            dice=lambda: dice,
        )
        self.take()

    def take(self, *records: Record) -> None:
        """Put controls in force."""
        self.stage.take(records)
        self.plans = {}
        for key in ROUTES:
            self.plans[key] = Plan(key, "critical", None)
            self.stage.dress(RouteDef(key), self.plans[key])

    def ask(
        self,
        version: str | None = None,
        route: str = ROUTES[0],
        *,
        headers: Headers | None = None,
        answer: tuple[int, Headers] = (200, []),
        **scope: Any,
    ) -> Answer:
        """Send a request, as the middleware does it."""
        method, _, path = route.partition(" ")
        asked = list(headers or [])
        if version is not None:
            asked.append((b"x-api-version", version.encode()))
        request = {
            "method": method,
            "path": path,
            "root_path": "",
            "query_string": b"",
            "headers": asked,
            **scope,
        }
        resolved = self.stage.resolve(request)
        runtime: Any = SimpleNamespace(snapshot=None, consumers=self.consumers)
        exchange = Exchange(request, runtime, 0)
        exchange.resolved, exchange.version = resolved, resolved.version
        plan = self.plans[route]
        assert plan.by_version is not None
        exchange.plan = plan.by_version.get(resolved.version) or plan
        code, sent = answer[0], list(answer[1])
        for hook in exchange.plan.admit:
            if (rejection := hook(exchange)) is not None:
                exchange.rejection = rejection
                code, sent = rejection.status, list(rejection.headers)
                break
        if exchange.plan.start is not None:
            code = exchange.plan.start(exchange, code, sent)
        return Answer(exchange, code, sent)


def api(**options: Any) -> Api:
    made = {key: options.pop(key) for key in ("date", "dice") if key in options}
    return Api(Contract(VERSIONS, **options), **made)


def control(kind: str, name: str, doc: Any, until_ms: int = 0) -> Record:
    return Record(kind, name, 1, 1, until_ms, encode_doc(doc))


def pin(consumer: str, version: str) -> Record:
    return control("pin", consumer, PinDoc("ana", "slow", version))


# --- what answers say ---------------------------------------------------------------


def test_an_old_version_is_told_its_end_in_exact_headers() -> None:
    found = api().ask("2025-03-03")

    assert found.exchange.version == OLD
    assert found.pairs == [
        ("x-api-version", OLD),
        ("deprecation", "@1769904000"),
        ("sunset", "Sun, 01 Nov 2026 00:00:00 GMT"),
        ("link", '<https://docs.example/2025>; rel="deprecation"'),
        ("link", '<https://docs.example/2025>; rel="sunset"'),
        ("link", '<https://docs.example/mid>; rel="successor-version"'),
        ("vary", "X-API-Version"),
    ]


def test_a_version_that_stays_says_its_name_alone() -> None:
    assert api().ask(NEW).pairs == [("x-api-version", NEW), ("vary", "X-API-Version")]


def test_a_deprecated_route_adds_its_dates_the_earlier_ones_hold() -> None:
    found = api()

    old = found.ask(OLD, "POST /orders/bulk").headers
    new = found.ask(NEW, "POST /orders/bulk").headers

    assert old["sunset"] == "Sun, 01 Nov 2026 00:00:00 GMT"
    assert new["sunset"] == "Tue, 01 Dec 2026 00:00:00 GMT"
    assert new["deprecation"] == "@1769904000"


def test_supported_versions_are_announced_as_of_now() -> None:
    found = api(announce_supported=True, date="2026-01-31")

    before = found.ask(NEW).headers
    found.now_s = float(date_s("2026-02-01"))
    after = found.ask(NEW).headers
    found.now_s = float(date_s("2026-11-01"))
    then = found.ask("bad").headers

    assert before["api-supported-versions"] == f"{OLD}, {MID}, {NEW}"
    assert "api-deprecated-versions" not in before
    assert after["api-supported-versions"] == f"{MID}, {NEW}"
    assert after["api-deprecated-versions"] == OLD
    assert then["api-supported-versions"] == f"{MID}, {NEW}"
    assert "api-deprecated-versions" not in then


def test_the_applications_own_sunset_wins_and_is_counted() -> None:
    found = api()

    answer = found.ask(OLD, answer=(200, [(b"sunset", b"never")]))

    assert ("sunset", "never") in answer.pairs
    assert [k for k, _ in answer.pairs].count("sunset") == 1
    assert found.stage.counts == {"own header sunset": 1}


def test_every_answer_is_counted_by_version_route_and_caller() -> None:
    found = api()
    caller = [(b"x-app", b"ios-3")]

    found.ask(OLD, headers=caller)
    found.ask(OLD, headers=caller)
    found.ask(None, "GET /new", headers=[])
    found.ask("bad")

    assert found.stage.usage.take() == {
        (OLD, "GET /orders/{id}", "ios-3"): 2,
        (OLD, "GET /new", "(anonymous)"): 1,
        ("(invalid)", "GET /orders/{id}", "(anonymous)"): 1,
    }


# --- refusals -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "options", "status", "slug"),
    [
        ("nonsense", {}, 400, "version-invalid"),
        ("2026-03-05", {}, 400, "version-unknown"),
        ("2024-01-01", {}, 410, "version-retired"),
        (None, {"default": "required"}, 400, "version-required"),
        (OLD, {"date": "2026-11-01"}, 410, "version-retired"),
    ],
)
def test_a_version_that_cannot_be_served_is_a_problem(
    asked: str | None, options: dict[str, Any], status: int, slug: str
) -> None:
    found = api(**options).ask(asked)

    assert found.status == status
    assert found.problem["type"] == f"urn:failsoft:problem:{slug}"
    assert found.problem["current"] == NEW
    assert found.problem["supported"][-1] == NEW
    assert found.headers["cache-control"] == "no-store"
    assert found.headers["vary"] == "X-API-Version"


def test_a_bad_value_stands_in_requested_alone_and_escaped() -> None:
    evil = '"}<script>\\' + "x" * 100

    found = api().ask(evil)

    assert found.exchange.rejection is not None
    assert found.problem["requested"] == evil[:64]
    assert found.exchange.rejection.body.count(b"script") == 1
    assert not any("script" in value for _, value in found.pairs)
    assert found.exchange.version == "(invalid)"


def test_a_conflict_names_both_sources() -> None:
    read: list[Source] = [Header("X-API-Version"), Query("version")]

    found = api(read=read).ask(OLD, query_string=b"version=" + NEW.encode())

    assert (found.status, found.problem["title"]) == (
        400,
        "The request names several API versions",
    )
    assert "header X-API-Version and query version" in found.problem["detail"]


def test_the_same_sunset_is_410_from_its_instant_on() -> None:
    found = api(date="2026-11-01")
    found.now_s -= 0.001

    before = found.ask(OLD).status
    found.now_s += 0.001
    after = found.ask(OLD)

    assert (before, after.status) == (200, 410)
    assert after.problem["link"] == "https://docs.example/2025"
    assert after.problem["requested"] == OLD
    assert after.headers["sunset"] == "Sun, 01 Nov 2026 00:00:00 GMT"


def test_after_serve_an_old_version_is_served_past_its_sunset() -> None:
    served = Version(OLD, sunset="2026-01-01", after="serve")
    found = Api(Contract([served, Version(NEW)]))

    answer = found.ask(OLD)

    assert answer.status == 200
    assert answer.headers["sunset"] == "Thu, 01 Jan 2026 00:00:00 GMT"


def test_operators_move_a_sunset() -> None:
    found = api(date="2026-11-15")
    found.take(control("version", OLD, SunsetDoc("ana", "big client", "2026-12-31")))

    answer = found.ask(OLD)

    assert answer.status == 200
    assert answer.headers["sunset"] == "Thu, 31 Dec 2026 00:00:00 GMT"
    assert found.stage.bad == ()


def test_a_route_is_gone_from_its_version_on_and_absent_before_it_was_added() -> None:
    found = api()

    gone_by = [found.ask(v, "GET /legacy/{id}").status for v in (OLD, MID, NEW)]
    added_by = [found.ask(v, "GET /new").status for v in (OLD, MID, NEW)]

    assert gone_by == [200, 200, 410]
    assert added_by == [404, 200, 200]
    problem = found.ask(NEW, "GET /legacy/{id}").problem
    assert problem["type"] == "urn:failsoft:problem:endpoint-gone"
    assert problem["link"] == "https://docs.example/moved"


def test_a_deprecated_route_is_gone_past_its_own_sunset_in_every_version() -> None:
    found = api(date="2026-12-01")

    statuses = [found.ask(v, "POST /orders/bulk").status for v in (MID, NEW)]

    assert statuses == [410, 410]


def test_refusals_come_in_order_retired_gone_absent_brownout() -> None:
    everywhere = BrownoutDoc("ana", "all", routes=("* *",))
    found = api(date="2026-11-01")
    found.take(control("brownout", "all", everywhere))

    slugs = [
        found.ask(version, route).problem["type"].rpartition(":")[2]
        for version, route in (
            (OLD, "GET /new"),
            (NEW, "GET /legacy/{id}"),
            (MID, "GET /new"),
        )
    ]

    assert slugs == ["version-retired", "endpoint-gone", "brownout"]


# --- brownouts ----------------------------------------------------------------------


def test_a_brownout_refuses_its_version_within_its_window() -> None:
    found = api(date="2026-10-01")
    start_s = found.now_s + 14 * 3600

    seen = []
    for at in (start_s - 1, start_s, start_s + 7199, start_s + 7200):
        found.now_s = at
        seen.append((found.ask(OLD).status, found.ask(MID).status))

    assert seen == [(200, 200), (503, 200), (503, 200), (200, 200)]
    found.now_s = start_s + 7000.5
    assert found.ask(OLD).headers["retry-after"] == "200"


def test_a_clock_that_is_put_back_closes_the_window_again() -> None:
    found = api(date="2026-10-01")
    found.now_s += 15 * 3600

    during = found.ask(OLD).status
    found.now_s -= 2 * 3600

    assert (during, found.ask(OLD).status) == (503, 200)


def test_operators_brown_out_by_consumer_and_stop_it() -> None:
    found = api()
    doc = BrownoutDoc("ana", "try", routes=("GET /orders*",), only=("web",), status=429)
    found.take(control("brownout", "mine", doc, int(found.now_s * 1000) + 60_000))

    hit = found.ask(NEW, headers=[(b"x-app", b"web")])
    spared = found.ask(NEW, headers=[(b"x-app", b"ios")])
    found.take()

    assert (hit.status, hit.headers["retry-after"]) == (429, "60")
    assert spared.status == 200
    assert found.ask(NEW, headers=[(b"x-app", b"web")]).status == 200


# --- pins and defaults --------------------------------------------------------------


@pytest.mark.parametrize(
    ("default", "version"), [("oldest", OLD), ("newest", NEW), (MID, MID)]
)
def test_who_names_no_version_gets_the_default(default: str, version: str) -> None:
    assert api(default=default).ask().exchange.version == version


def test_a_pin_of_operators_beats_the_declared_one_and_a_request_beats_both() -> None:
    found = api(default="newest", pins={"acct_42": OLD})
    caller = [(b"x-app", b"acct_42")]

    declared = found.ask(headers=caller)
    found.take(pin("acct_42", MID))
    controlled = found.ask(headers=caller).exchange.version
    asked = found.ask(NEW, headers=caller).exchange.version

    assert (declared.exchange.version, controlled, asked) == (OLD, MID, NEW)
    assert declared.headers["vary"] == "X-API-Version, X-App"
    assert found.ask().exchange.version == NEW


def test_a_pin_to_an_unknown_version_is_told_and_left_out() -> None:
    found = api()
    found.take(pin("a", "1999-01-01"), Record("pin", "b", 1, 1, 0, b"broken"))

    assert sorted(found.stage.bad) == ["pin:a", "pin:b"]
    assert found.ask(headers=[(b"x-app", b"a")]).exchange.version == OLD


# --- what is not versioned ----------------------------------------------------------


@pytest.mark.parametrize(
    "scope",
    [
        {"path": "/_failsoft/status"},
        {"path": "/hooks/github"},
        {"method": "OPTIONS", "headers": [(b"access-control-request-method", b"PUT")]},
    ],
)
def test_what_is_not_versioned_is_left_alone(scope: dict[str, Any]) -> None:
    found = api(exclude=["/hooks/*"], default="required").ask(**scope)

    assert (found.status, found.pairs) == (200, [])
    assert found.exchange.version == ""


def test_a_contract_may_apply_to_some_paths() -> None:
    found = api(applies_to=["/api/*"])

    assert found.ask(path="/api/x").exchange.version == OLD
    assert found.ask(path="/other").exchange.version == ""


# --- paths --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "root_path", "app_root", "became"),
    [
        ("/v2/a", "", "", ("/v2/a", "/v2")),
        ("/api/v2/a", "/api", "", ("/api/v2/a", "/api/v2")),
        ("/v2/a", "/api", "", ("/a", "/api")),
        ("/v2/a", "", "/api", ("/a", "")),
        ("/api/v2/a", "", "/api", ("/api/a", "")),
        ("/v2", "", "/api", ("/", "")),
        ("/v9/a", "", "", ("/v9/a", "")),
    ],
)
def test_a_prefix_is_hidden_from_the_application(
    path: str, root_path: str, app_root: str, became: tuple[str, str]
) -> None:
    contract = Contract(
        [Version("1"), Version("2")], scheme="number", read=[PathPrefix()]
    )
    models = Models(routes={}, names={}, document={})
    stage = VersionStage(
        contract,
        compile_contract(contract, models),
        models,
        consumers=Consumers(),
        now_ms=float,
        app_root=app_root,
    )
    scope = {"method": "GET", "path": path, "root_path": root_path, "headers": []}

    version = stage.resolve(scope).version

    assert (scope["path"], scope["root_path"]) == became
    assert version == ("1" if "9" in path else "2")


def test_a_prefix_stays_where_the_application_routes_by_it() -> None:
    read = [PathPrefix(strip=False)]
    contract = Contract([Version("1"), Version("2")], scheme="number", read=read)
    found = Api(contract)

    answer = found.ask(path="/v2/orders")

    assert answer.exchange.version == "2"
    assert answer.exchange.scope["path"] == "/v2/orders"


def test_a_moved_route_is_reached_under_its_old_path_by_old_versions_alone() -> None:
    moved = endpoint_moved(was="GET /order/{no}/of/{who}", now="GET /orders/{id}")
    found = Api(Contract([Version("2025-01-15"), Version(NEW, moved)]))

    old = found.ask(OLD, path="/order/7/of/ana").exchange
    new = found.ask(NEW, path="/order/7/of/ana").exchange

    assert old.scope["path"] == "/orders/7"
    assert old.resolved.original["path"] == "/order/7/of/ana"
    assert new.scope["path"] == "/order/7/of/ana"


@pytest.mark.parametrize("root", ["", "/shop"])
def test_the_root_of_a_version_may_have_moved(root: str) -> None:
    """Without a segment after the prefix the path is empty, or cut to a slash."""
    versions = [Version(OLD), Version(NEW, endpoint_moved(was="GET /", now="GET /new"))]
    found = Api(Contract(versions, read=[PathPrefix("v")]))

    for path in (f"/v{OLD}", f"/v{OLD}/"):
        scope = found.ask(None, "GET /new", path=path, root_path=root).exchange.scope

        below = scope["path"].removeprefix(scope["root_path"])
        assert below == "/new"


def test_headers_queries_and_statuses_are_edited_the_originals_kept() -> None:
    route = "GET /orders/{id}"
    ops = (
        header(route, was="X-Who", now="X-Actor"),
        query(route, was="sort", now="order", map={"new": "-at"}),
        status(route, was=200, now=202),
    )
    found = Api(Contract([Version(OLD), Version(NEW, *ops)]))

    answer = found.ask(
        OLD,
        headers=[(b"x-who", b"ana")],
        query_string=b"sort=new",
        answer=(202, [(b"x-actor", b"bob")]),
    )

    scope, original = answer.exchange.scope, answer.exchange.resolved.original
    assert (b"x-actor", b"ana") in scope["headers"]
    assert scope["query_string"] == b"order=-at"
    assert original["query_string"] == b"sort=new"
    assert original["headers"][0] == (b"x-who", b"ana")
    assert (answer.status, answer.headers["x-who"]) == (200, "bob")
    assert found.ask(NEW, answer=(202, [])).status == 202


def test_versions_that_see_a_route_alike_share_its_plan() -> None:
    found = api()

    orders = found.plans["GET /orders/{id}"].by_version
    legacy = found.plans["GET /legacy/{id}"].by_version

    assert orders is not None
    assert legacy is not None
    assert orders.get(OLD) is orders.get(NEW)
    assert legacy.get(OLD) is legacy.get(MID)
    assert legacy.get(MID) is not legacy.get(NEW)


def test_a_kill_comes_before_the_refusal_of_a_version() -> None:
    found = api()
    plan = Plan(
        ROUTES[0], "critical", None, (lambda _: Rejection("kill", 503, (), b""),)
    )
    found.stage.dress(RouteDef(ROUTES[0]), plan)
    found.plans[ROUTES[0]] = plan

    assert plan.by_version is not None
    refused = plan.by_version.get("(invalid)")
    assert refused is not None
    assert refused.admit[0] is plan.admit[0]


def test_a_changed_route_announces_versions_as_of_now_too() -> None:
    ops = (header("GET /orders/{id}", was="X-Who", now="X-Actor"),)
    versions = [Version(OLD, sunset="2026-11-01"), Version(NEW, *ops)]
    found = Api(Contract(versions, announce_supported=True), date="2026-10-31")

    before = found.ask(OLD).headers["api-supported-versions"]
    bulk = found.ask(OLD, "POST /orders/bulk").headers["api-supported-versions"]
    found.now_s = float(date_s("2026-11-01"))
    after = [found.ask(OLD, route).headers for route in ROUTES]

    assert (before, bulk) == (f"{OLD}, {NEW}", f"{OLD}, {NEW}")
    assert {one["api-supported-versions"] for one in after} == {NEW}


def test_a_deprecated_route_announces_versions_as_of_now_too() -> None:
    found = api(announce_supported=True, date="2026-10-31")

    before = found.ask(NEW, "POST /orders/bulk").headers
    found.now_s = float(date_s("2026-11-01"))
    after = found.ask(NEW, "POST /orders/bulk").headers

    assert before["api-deprecated-versions"] == OLD
    assert "api-deprecated-versions" not in after


def test_a_problem_never_offers_a_version_that_has_ended() -> None:
    found = api(date="2026-10-31")

    before = found.ask("bad").problem["supported"]
    found.now_s = float(date_s("2026-11-01"))
    after = found.ask("bad").problem["supported"]

    assert (before, after) == ([OLD, MID, NEW], [MID, NEW])


def test_the_status_of_a_refusal_is_the_one_its_body_says() -> None:
    ops = (status("GET /new", was=400, now=404), endpoint_added("GET /new"))
    found = Api(Contract([Version(OLD), Version(NEW, *ops)]))

    refused = found.ask(OLD, "GET /new")

    assert (refused.status, refused.problem["status"]) == (404, 404)
