"""What users prove of their versions, on a small shop with three of them."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from hypothesis import HealthCheck, given, settings
from starlette.applications import Starlette
from starlette.testclient import TestClient

from failsoft import Failsoft
from failsoft.errors import Invalid
from failsoft.ops.contractlock import make_lock
from failsoft.shapes.walk import walk
from failsoft.testing import contracts
from failsoft.testing.contractapp import import_app, open_app
from failsoft.testing.spoken import speak
from failsoft.versions import (
    Contract,
    Header,
    MediaTypeParam,
    PathPrefix,
    Query,
    Version,
    add,
    rename,
)
from unit.testing.orders import (
    LOSES_THE_CURRENCY,
    Order,
    contract,
    renamed_order,
    shop,
)


@pytest.fixture(scope="module")
def app() -> Any:
    return shop(contract())


def test_every_case_of_a_sound_contract_holds(app: Any) -> None:
    cases = contracts.every_case(app)

    for case in cases:
        case.check()

    assert {case.kind for case in cases} == {
        "document",
        "round-trip",
        "old-sample",
        "down-fits",
    }
    assert len(set(map(str, cases))) == len(cases)


def test_another_seed_makes_other_bodies_that_hold_as_well(app: Any) -> None:
    bodies = [
        {case.body for case in contracts.old_samples(app, "2025-01-15", seed=seed)}
        for seed in (0, 3)
    ]

    for case in contracts.round_trips(app, seed=3):
        case.check()

    assert bodies[0] != bodies[1]


def test_a_migration_that_loses_something_fails_its_round_trip() -> None:
    broken = shop(contract(LOSES_THE_CURRENCY))

    newest = [c for c in contracts.round_trips(broken) if c.version == "2026-01-01"]

    assert newest
    with pytest.raises(AssertionError, match=r"down\(up\(x\)\) == x does not hold"):
        newest[0].check()


def test_old_bodies_are_written_in_the_words_of_their_version(app: Any) -> None:
    first = json.loads(contracts.old_samples(app, "2025-01-15")[0].body)

    assert first["email"] == "text"
    assert first["customer"] == {"name": "first last"}
    assert first["lines"][0]["sku"] == "text"
    assert "currency" not in first


def test_a_case_meets_an_application_that_was_started(tmp_path: Path) -> None:
    lives: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        lives.append("up")
        yield {"currency": "EUR"}
        lives.append("down")

    started = shop(contract(), lifespan=lifespan)

    @started.put("/orders")
    def put(order: Order, request: Request) -> str:
        return str(request.state.currency)

    case = contracts.old_samples(started, "2025-01-15")[-1]

    sent = contracts.send_case(started, replace(case, route="PUT /orders"))

    assert (sent.status, sent.body) == (200, b'"EUR"')
    assert lives == ["up", "down"]


def test_a_case_tells_that_the_application_does_not_start() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        raise RuntimeError("no database")
        yield

    broken = shop(contract(), lifespan=lifespan)
    case = contracts.old_samples(broken, "2025-01-15")[0]

    with pytest.raises(AssertionError, match=r"did not start[\s\S]*no database"):
        contracts.send_case(broken, case)


def test_a_case_can_be_sent_to_the_application_as_its_version(app: Any) -> None:
    case = contracts.old_samples(app, "2025-01-15")[0]

    sent = contracts.send_case(app, case)

    assert (sent.status, sent.headers["x-api-version"]) == (200, "2025-01-15")
    assert json.loads(sent.body)["email"] == "text"


def test_an_answer_of_5xx_fails_a_case_that_is_sent(app: Any) -> None:
    case = contracts.ContractCase("old-sample", "2025-01-15", "GET /order/{id}", 0)

    with pytest.raises(AssertionError, match="500"):
        contracts.send_case(app, case)


def test_the_document_is_the_one_of_the_version(app: Any) -> None:
    old, newest = contracts.openapi(app, "2025-01-15"), contracts.openapi(app)

    assert set(old["paths"]) == {"/orders", "/order/{id}", "/legacy/{id}"}
    assert set(newest["paths"]) == {"/orders", "/orders/{id}"}
    assert newest["info"]["version"] == "2026-01-01"


def test_a_version_nobody_declared_is_named_with_the_known_ones(app: Any) -> None:
    with pytest.raises(Invalid, match=r"'2024-01-01' is not declared; known: 2025-01"):
        contracts.openapi(app, "2024-01-01")


def test_migrations_agree_with_the_published_documents(app: Any) -> None:
    """The gate's old schemas and the documents are derived apart from each other."""
    opened = open_app(app)

    for case in contracts.old_samples(app, "2025-01-15"):
        shapes = opened.chains.old_nodes("POST /orders", "2025-01-15")
        assert shapes is not None
        assert shapes.request is not None
        assert walk(shapes.request, case.body).findings == ()


# --- the lock -------------------------------------------------------------------


@pytest.fixture
def lock(tmp_path: Path, app: Any) -> Path:
    opened, path = open_app(app), tmp_path / "contract.lock.json"
    path.write_bytes(make_lock(opened.head, opened.contract))
    return path


def test_what_is_published_is_covered_by_itself(app: Any, lock: Path) -> None:
    contracts.assert_covered(app, lock)


def test_an_undeclared_change_fails_and_names_the_op_that_covers_it(lock: Path) -> None:
    changed = shop(contract(), renamed_order())

    with pytest.raises(AssertionError) as caught:
        contracts.assert_covered(changed, lock)

    text = str(caught.value)
    assert "response-required-property-removed (string -> absent)" in text
    assert 'rename = { "Order.customer_email" = "contact_email" }' in text
    assert 'add = { "Order.zip" = { default = "" } }' in text


def test_the_same_change_passes_once_it_is_declared(lock: Path) -> None:
    ops = (
        rename("Order.customer_email", to="contact_email"),
        add("Order.zip", default="-"),
    )

    contracts.assert_covered(shop(contract(*ops), renamed_order()), lock)


def test_a_change_of_a_published_version_fails(app: Any, lock: Path) -> None:
    first, second, third = contract().versions
    fewer = Contract([first, Version(second.id, *second.ops[:1]), third])

    with pytest.raises(AssertionError, match="2025-06-01 was published with other"):
        contracts.assert_covered(shop(fewer), lock)


def test_a_version_that_was_retired_is_no_fault(lock: Path) -> None:
    contracts.assert_covered(shop(Contract(contract().versions[1:])), lock)


def test_the_first_contract_starts_from_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    path.write_bytes(make_lock(shop().openapi(), None))
    ops = (
        rename("Order.customer_email", to="contact_email"),
        add("Order.zip", default="-"),
    )
    first = Contract([Version("2025-01-01"), Version("2026-01-01", *ops)])

    contracts.assert_covered(shop(first, renamed_order()), path)
    with pytest.raises(AssertionError, match="undeclared"):
        contracts.assert_covered(shop(None, renamed_order()), path)


def test_a_lock_that_is_not_there_says_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="failsoft contract lock"):
        contracts.assert_covered(shop(), tmp_path / "none.json")


def test_a_file_that_is_no_lock_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}")

    with pytest.raises(Invalid, match=r"other\.json"):
        contracts.assert_covered(shop(), path)


@pytest.mark.parametrize(
    ("source", "part", "said"),
    [
        (Header("X-V"), "headers", (b"x-v", b"2025-01-15")),
        (
            MediaTypeParam("v"),
            "headers",
            (b"accept", b"application/json; v=2025-01-15"),
        ),
        (Query("v"), "query_string", "v=2025-01-15"),
        (PathPrefix("v"), "path", "/v2025-01-15/orders/1"),
    ],
)
def test_a_request_says_its_version_as_the_contract_reads_it(
    source: Any, part: str, said: Any
) -> None:
    versions = Contract(contract().versions, read=[source])

    scope = speak(versions, "2025-01-15", "GET /orders/{id}")

    found = scope[part]
    assert said in (found if part != "query_string" else found.decode())


def test_an_application_is_imported_by_name_and_faults_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_here.py").write_text("def make(): return 7")
    monkeypatch.setattr("sys.path", [*sys.path])

    assert import_app("made_here:make()", tmp_path) == 7
    for name, why in [
        ("made_here", "must be module:attribute"),
        ("not_made:app", "cannot be imported"),
        ("made_here:nothing", "has no nothing"),
    ]:
        with pytest.raises(Invalid, match=why):
            import_app(name, tmp_path)


# --- generators, drift ------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_schemathesis_speaks_the_version_it_was_asked_for(app: Any) -> None:
    schemas = {v: contracts.schemathesis(app, v) for v in ("2025-01-15", "2026-01-01")}

    calls = {v: s["/orders"]["POST"].Case(body={}) for v, s in schemas.items()}
    said = {v: case.call().json()["detail"] for v, case in calls.items()}

    assert {d["loc"][-1] for d in said["2025-01-15"]} >= {"id", "email"}
    assert {d["loc"][-1] for d in said["2026-01-01"]} >= {"id", "customer_email"}


def test_a_strategy_makes_bodies_of_a_version(app: Any) -> None:
    published = open_app(app).old_models("2025-01-15").routes["POST /orders"]

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(contracts.bodies(app, "POST /orders", "2025-01-15"))
    def fits(body: Any) -> None:
        assert published.request is not None
        assert walk(published.request, json.dumps(body).encode()).findings == ()

    fits()


def test_an_entry_of_the_ledger_becomes_a_test(tmp_path: Path, app: Any) -> None:
    entry = {"route": "POST /orders", "direction": "request", "version": "2026-01-01"}
    lines = [
        {**entry, "path": "/lines/*/qty", "kind": "coerced", "got": "str:int"},
        {**entry, "path": "/currency", "kind": "missing", "got": "absent"},
        {**entry, "direction": "response", "path": "/id", "kind": "type", "got": "str"},
        {**entry, "path": "/a~1b~0c", "kind": "unknown", "got": "int"},
        {**entry, "path": "", "kind": "encoding"},
        {**entry, "path": "", "kind": "not_json"},
        {**entry, "path": "/lines/*/qty", "kind": "duplicate"},
        {**entry, "path": "/currency", "kind": "rejected", "expected": "missing"},
        {**entry, "path": "/currency", "kind": "rejected", "expected": "string_type"},
    ]
    path = tmp_path / "drift.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    cases = contracts.from_drift(path, app)

    first, second, third = (json.loads(case.body) for case in cases[:3])
    assert first["lines"][0]["qty"] == "7"
    assert "currency" not in second
    assert third["a/b~c"] == 7
    encoding, broken, twice, rejected = (case.body for case in cases[3:])
    assert json.loads(encoding.decode("utf-16"))
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(broken)
    assert b'"qty": 7, "qty": 8' in twice
    assert "currency" not in json.loads(rejected)
    for case in cases:
        case.check()


@pytest.mark.filterwarnings("ignore")
def test_drift_in_a_test_run_fails_it() -> None:
    app = Failsoft(shop(), contract=contract())
    case = contracts.old_samples(app, "2026-01-01")[0]
    odd = replace(case, body=b'{"colour":"red",' + case.body[1:])
    with TestClient(app):
        app.runtime.planner.compile_gates()  # else a thread does so in a while

        with contracts.no_drift(app):
            contracts.send_case(app, case)
        with pytest.raises(AssertionError, match="/colour unknown"):  # noqa: SIM117
            with contracts.no_drift(app):
                contracts.send_case(app, odd)


def test_an_application_without_a_contract_is_told_so() -> None:
    with pytest.raises(Invalid, match="has no contract"):
        contracts.round_trips(shop())


def test_an_application_may_have_no_document_at_all() -> None:
    assert contracts.openapi(Starlette()) == {}
    assert contracts.every_case(Starlette()) == []
