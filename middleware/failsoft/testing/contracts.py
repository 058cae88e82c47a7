"""Contract tests of an application: does it still speak what it once published?

    import pytest
    from failsoft.testing import contracts
    from shop import app

    @pytest.mark.parametrize("case", contracts.round_trips(app), ids=str)
    def test_migrations_lose_nothing(case):
        case.check()

    def test_no_client_breaks_unannounced():
        contracts.assert_covered(app)

`pytest --failsoft-contracts` runs all of them without a test file; the ini option
`failsoft_app = "shop:app"` names the application.  An `app` is a FastAPI or Starlette
application, or `Failsoft(...)` around one; cases are made from its schemas alone,
nothing is sent to it unless a function says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from failsoft.errors import DefinitionError, Invalid, MissingExtraError
from failsoft.ops.contractlock import cover, read_lock
from failsoft.testing.contractapp import open_app
from failsoft.testing.contractcases import (
    ContractCase,
    document_cases,
    down_cases,
    old_cases,
    round_trip_cases,
    skipped_in,
)
from failsoft.testing.driftcases import drift_cases
from failsoft.testing.exchange import Sent, send_started
from failsoft.testing.spoken import speak

__all__ = [
    "ContractCase",
    "Sent",
    "assert_covered",
    "bodies",
    "down_fits",
    "every_case",
    "from_drift",
    "no_drift",
    "old_samples",
    "openapi",
    "round_trips",
    "schemathesis",
    "send_case",
    "skipped",
]


def round_trips(app: Any, *, seed: int = 0) -> list[ContractCase]:
    """Return a case for each sample of each old schema: `down(up(x)) == x`.

    For every version before the newest, and every named schema that its migrations
    touch.  Where an op on the way is lossy for old bodies (`drop` with a fill,
    `lossy="up"` or `"both"`), what one round trip made must stay as it is in the
    next.  seed: other seeds put other choices together; at most 64 samples a schema.
    Raises Invalid without a contract, DefinitionError if the contract has faults.
    """
    return list(round_trip_cases(open_app(app), seed))


def old_samples(app: Any, version: str, *, seed: int = 0) -> list[ContractCase]:
    """Return a case for each sample of each request body of a version.

    After its migration it must fit the head's own model.  The application is not
    asked; `send_case(app, case)` does that, and tells a 5xx.
    Raises Invalid for a version that is not declared.
    """
    return list(old_cases(open_app(app), version, seed))


def down_fits(app: Any, *, seed: int = 0) -> list[ContractCase]:
    """Return a case for each sample of each answer of the head, in each old version.

    After its migration it must be valid under the schema that the version's OpenAPI
    document publishes.
    """
    return list(down_cases(open_app(app), seed))


def every_case(app: Any, *, seed: int = 0) -> list[ContractCase]:
    """Return all cases of an application: documents, round trips, samples, answers.

    If the contract has faults, only the cases of its documents, which tell them.
    """
    opened = open_app(app)
    cases = list(document_cases(opened))
    if opened.contract is None:
        return cases
    try:
        cases += round_trip_cases(opened, seed)
        cases += [c for v in opened.older for c in old_cases(opened, v, seed)]
        cases += down_cases(opened, seed)
    except DefinitionError:
        return list(document_cases(opened))
    return cases


def skipped(app: Any) -> tuple[str, ...]:
    """Name the places for which no sample could be made: `POST /x /code: no text...`.

    Such a field is left out of samples; a required one leaves its whole schema out.
    """
    return skipped_in(open_app(app))


def openapi(app: Any, version: str = "") -> Mapping[str, Any]:
    """Return the OpenAPI document of a version, "" for the newest.

    The same that `/_failsoft/openapi.json?version=` serves.  Not to be changed.
    """
    return open_app(app).document(version)


def bodies(
    app: Any,
    route: str,
    version: str = "",
    *,
    section: Literal["request", "response"] = "request",
    status: int = 200,
) -> Any:
    """Return a hypothesis strategy of JSON bodies of a route in a version.

    route: `METHOD /template` as in the version's document.  version: "" for the
    newest.  section: request, or response of a status.  Needs hypothesis.
    Raises Invalid for a route without such a body.
    """
    try:
        from failsoft.testing.strategies import fitting
    except ImportError:
        raise MissingExtraError("contracts.bodies", "Hypothesis", "dev") from None
    opened = open_app(app)
    newest = opened.contract.head if opened.contract else ""
    shapes = opened.old_models(version or newest).routes.get(route)
    node = None
    if shapes is not None:
        node = shapes.request if section == "request" else shapes.response(status)
    if node is None:
        text = f"{route!r} has no JSON {section} in this version's document"
        raise Invalid("route", text)
    return fitting(node)


def schemathesis(app: Any, version: str = "", **options: Any) -> Any:
    """Return a Schemathesis schema that speaks one version of an application.

        schema = contracts.schemathesis(app, "2025-01-15")

        @schema.parametrize()
        def test_api(case):
            case.call_and_validate()

    app: must contain Failsoft, which serves the version's document.  Every call says
    the version as the contract reads it (a `before_call` hook).  options: for
    `schemathesis.openapi.from_asgi`.  Needs schemathesis 4.
    """
    try:
        from schemathesis import openapi as loader
    except ImportError:
        package = "schemathesis"
        raise MissingExtraError("contracts.schemathesis", package, "dev") from None
    from failsoft.testing.spoken import let_speak

    opened = open_app(app)
    wanted = version or opened.needed.head
    path = f"{opened.prefix}/openapi.json?version={wanted}"
    return let_speak(loader.from_asgi(path, app, **options), opened.needed, wanted)


def assert_covered(app: Any, lock: str | Path = "contract.lock.json") -> None:
    """Fail if the code breaks what was published and no version declares it.

    The head is taken back through the newest changes and compared with the lock file
    that `failsoft contract lock` wrote, and that is committed.  The AssertionError
    names each breaking change by its oasdiff id, and the op that would cover it.
    """
    opened, path = open_app(app), Path(lock)
    if not path.exists():
        todo = "write it with `failsoft contract lock module:app` and commit it"
        raise AssertionError(f"{path} is not there; {todo}")
    found = cover(read_lock(path.read_bytes(), str(path)), opened.head, opened.contract)
    assert found.is_covered, "\n".join(found.lines())


def from_drift(file: str | Path, app: Any) -> list[ContractCase]:
    """Return a case for each entry of a drift ledger that concerns a request.

    file: what `failsoft drift export` wrote.  Each body is a sample of the route's
    schema with one synthetic value of the type that was seen, at the place where it
    was seen.  Entries that name no type, as most words of the application's own
    refusals, give none.  `check()` sends it to the application, which must not answer
    5xx.
    """
    raw = Path(file).read_bytes()
    return list(drift_cases(raw, str(file), open_app(app)))


def send_case(app: Any, case: ContractCase) -> Sent:
    """Send a case's body to the application as its version; fail on a 5xx.

    Path parameters are `1`.  Handlers run: use a test database.  Returns status,
    headers and body; 401, 404 and 422 are for the caller to judge.  The application
    starts and stops for each case, lifespan included.  Not from inside a running
    event loop.
    """
    scope = speak(open_app(app).contract, case.version, case.route)
    sent = asyncio.run(send_started(app, scope, case.body))
    assert sent.status < 500, f"{case}: {sent.status}\n{sent.body[:2000]!r}"
    return sent


@contextmanager
def no_drift(client: Any) -> Iterator[None]:
    """Fail if what runs inside produces drift, inbound or outbound.

    client: a test client (anything with `.app`), a FastAPI or Starlette application
    that was started, or `Failsoft(...)`.  The AssertionError lists route, place, kind
    and types.
    """
    from failsoft.testing.driftcases import drift_since, ledger_of

    ledger = ledger_of(client)
    since = drift_since(ledger)
    yield
    found = since()
    assert not found, "bodies differ from their schemas:\n" + "\n".join(found)
