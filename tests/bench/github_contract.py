"""GitHub's breaking changes of 2026-03-10 as a contract, on a mock of its whole API.

    npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-23.0.2.tgz
    python tests/bench/github_contract.py package/generated/api.github.com.json

The document (MIT) marks what changed with `x-github-breaking-changes`.  The mock
returns the document's examples; old clients must get bodies valid under the base
schemas, new ones under the patched ones, all others the very bytes of the mock.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failsoft import Failsoft
from failsoft.routes.models import models_from_document
from failsoft.shapes.walk import walk
from failsoft.testing.exchange import Sent, send
from failsoft.testing.spoken import speak
from failsoft.versions import Body, Contract, Version, drop, enum_map, status
from failsoft.versions._model import Op

MARK = "x-github-breaking-changes"
OLD, NEW = "2022-11-28", "2026-03-10"
METHODS = ("get", "put", "post", "delete", "patch")
# What a migration of shapes cannot say: the old answer depends on a field of the
# request that is no longer there.
CUSTOM = {"change_workflow_dispatch_response_status"}
SUBMODULE = "return_submodule_type_for_submodules_in_directory_lists"
Document = dict[str, Any]


# --- the document, before and after --------------------------------------------


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    made = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merged(made.get(key), value)
    return made


def edited(target: Any, patch: list[dict[str, Any]]) -> Any:
    """RFC 6902, what of it the document uses."""
    made = copy.deepcopy(target)
    for op in patch:
        *way, last = [s.replace("~1", "/") for s in op["path"].split("/")[1:]]
        place = made
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if op["op"] == "replace":
            place[last] = op["value"]
        elif isinstance(place, list):
            del place[int(last)]
        else:
            place.pop(last, None)
    return made


def marked(document: Document) -> Iterator[tuple[tuple[str, ...], Any, list[Any]]]:
    """Yield (place, what is there, its changes) below paths and components."""
    for root in ("paths", "components"):
        stack: list[tuple[tuple[str, ...], Any]] = [((root,), document[root])]
        while stack:
            place, value = stack.pop()
            if not isinstance(value, dict):
                continue
            if MARK in value:
                yield place, value, value[MARK]
            stack += [((*place, key), item) for key, item in value.items()]


def patched(document: Document) -> Document:
    made = copy.deepcopy(document)
    for place, _, changes in list(marked(made)):
        holder: Any = made
        for step in place[:-1]:
            holder = holder[step]
        for change in changes:
            patch, now = change["patch"], holder[place[-1]]
            how = edited if isinstance(patch, list) else merged
            holder[place[-1]] = how(now, patch)
    return made


def plain_names(document: Document) -> Document:
    """Starlette's parameters are Python names."""
    paths = {
        re.sub(r"{([^}]*)}", lambda m: f"{{{m[1].replace('-', '_')}}}", path): item
        for path, item in document["paths"].items()
    }
    return {**document, "paths": paths}


# --- the contract, made of the marks --------------------------------------------


def removed(patch: Any) -> Iterator[tuple[str, ...]]:
    """Yield the way to each property that a patch of a schema removes."""
    if isinstance(patch, list):
        for op in patch:
            steps = op["path"].split("/")[1:]
            if op["op"] == "remove" and "required" not in steps[-2:]:
                yield tuple(s for s in steps if s not in ("properties",))
        return
    for key, value in patch.items():
        if key == "properties":
            for name, inner in value.items():
                if inner is None:
                    yield (name,)
                elif isinstance(inner, dict):
                    yield from ((name, *rest) for rest in removed(inner))
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            yield from (("*", *rest) for rest in removed(value))


def narrowed(document: Document, schema: str) -> list[str]:
    """Name what a schema has and simple-repository lacks."""
    schemas = document["components"]["schemas"]
    return sorted(
        schemas[schema]["properties"].keys()
        - schemas["simple-repository"]["properties"].keys()
    )


def ops_of(document: Document) -> dict[str, list[Op]]:
    """Return the ops of each changeset."""
    used = models_from_document(document).names
    found: dict[str, list[Op]] = {}
    for place, value, changes in marked(document):
        if place[:2] == ("components", "examples"):
            continue
        for change in changes:
            ops = found.setdefault(change["changeset"], [])
            if change["changeset"] in CUSTOM:
                continue
            if place[0] == "paths":
                ops += operation_ops(document, place, value, change)
            elif place[2] in used:
                ops += schema_ops(document, place[2], change)
    # Its answer is an allOf of `issue` and more, which has no name of its own.
    route = "PATCH /repos/{owner}/{repo}/issues/{issue_number}"
    assignee = drop(Body(route, "response", "/assignee"), hidden=True)
    found["remove_singular_assignee_from_issues_and_pull_requests"].append(assignee)
    return found


def schema_ops(document: Document, name: str, change: Any) -> Iterator[Op]:
    if change["changeset"] == "restrict_repo_fields_in_migration_resource":
        for field in narrowed(document, "repository"):
            yield drop(f"{name}.repositories.{field}", hidden=True)
    elif change["changeset"] == "remove_single_js_ts":
        both = {"javascript": "javascript-typescript"}
        both |= {"typescript": "javascript-typescript"}
        yield enum_map(f"{name}.languages", both, lossy="up")
    else:
        for way in removed(change["patch"]):
            if "*" not in way:
                yield drop(".".join((name, *way)), hidden=True)


def operation_ops(
    document: Document, place: tuple[str, ...], value: Any, change: Any
) -> Iterator[Op]:
    route, patch = f"{place[2].upper()} {place[1]}", change["patch"]
    if change["changeset"] == SUBMODULE:
        known = {kind: kind for kind in ("dir", "file", "symlink")}
        target = Body(route, "response", "/*/type")
        yield enum_map(target, known, fallback="file", lossy="down")
        return
    if change["changeset"] == "restrict_repo_fields_in_migration_resource":
        if "schema" in json.dumps(patch):
            for field in narrowed(document, "minimal-repository"):
                yield drop(Body(route, "response", f"/*/{field}"), hidden=True)
        return
    answers = patch.get("responses", {})
    if "451" in answers:
        yield status(route, was=422, now=451)
    gone = [code for code, answer in answers.items() if answer is None]
    for code in gone:
        now = next(code for code, answer in answers.items() if answer)
        yield status(route, was=int(code), now=int(now))
    content = patch.get("requestBody", {}).get("content", {})
    for way in removed(content.get("application/json", {}).get("schema", {})):
        yield drop(Body(route, "request", "/" + "/".join(way)), hidden=True)
    for answer in answers.values():
        content = (answer or {}).get("content", {})
        for way in removed(content.get("application/json", {}).get("schema", {})):
            yield drop(Body(route, "response", "/" + "/".join(way)), hidden=True)


# --- the mock ---------------------------------------------------------------------


class Mock:
    """Answers each operation with its first example, or with the status asked for."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.errors: dict[str, dict[int, bytes]] = {}
        for path, item in document["paths"].items():
            for method in METHODS:
                if method in item:
                    self._read(f"{method.upper()} {path}", item[method])

    def _read(self, key: str, operation: Any) -> None:
        bodies = {
            int(code): self._example(self._at(answer))
            for code, answer in operation["responses"].items()
            if code.isdigit()
        }
        good = [c for c in bodies if 200 <= c < 300]
        # The head speaks the new statuses.
        for change in operation.get(MARK, ()):
            patch = change["patch"]
            answers = patch.get("responses", {}) if isinstance(patch, dict) else {}
            for code, answer in answers.items():
                if answer:
                    bodies[int(code)] = self._example(self._at(answer))
            if any(answer is None for answer in answers.values()):
                good = [int(c) for c, answer in answers.items() if answer]
        code = next((c for c in good if bodies[c]), good[0] if good else 200)
        self.answers[key] = code, bodies.get(code, b"")
        self.errors[key] = bodies

    def _at(self, value: Any) -> Any:
        while isinstance(value, dict) and "$ref" in value:
            found: Any = self.document
            for step in value["$ref"][2:].split("/"):
                found = found[step.replace("~1", "/")]
            value = found
        return value

    def _example(self, answer: Any) -> bytes:
        media = (answer.get("content") or {}).get("application/json", {})
        given = media.get("example")
        for one in (media.get("examples") or {}).values():
            given = self._at(one).get("value")
            break
        return b"" if given is None else json.dumps(given).encode()

    def app(self) -> Starlette:
        return Starlette(routes=[self._route(key) for key in self.answers])

    def _route(self, key: str) -> Route:
        method, _, path = key.partition(" ")

        async def endpoint(request: Request) -> Response:
            code, body = self.answers[key]
            if "x-mock-status" in request.headers:
                code = int(request.headers["x-mock-status"])
                body = self.errors[key].get(code) or b'{"message":"no"}'
            return Response(body, code, media_type="application/json")

        return Route(path, endpoint, methods=[method])


# --- judging ----------------------------------------------------------------------


def as_json_schema(value: Any) -> Any:
    """OpenAPI 3.0's nullable as JSON Schema says it."""
    if isinstance(value, list):
        return [as_json_schema(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {k: as_json_schema(v) for k, v in value.items() if k != MARK}
    if made.get("nullable") is True and "$ref" not in made:
        made.pop("nullable")
        return {"anyOf": [made, {"type": "null"}]}
    return made


class Judge:
    """Tells whether a body is valid for an operation of a document."""

    def __init__(self, document: Document) -> None:
        self.mock = Mock(document)
        self.models = models_from_document(document)
        self.document = document
        self.components = {
            "components": {"schemas": as_json_schema(document["components"]["schemas"])}
        }
        self._known: dict[tuple[str, int], Draft202012Validator | None] = {}

    def unknown(self, key: str, code: int, body: bytes) -> set[str]:
        """Name the fields of a body that the document does not know."""
        shapes = self.models.routes.get(key)
        node = shapes.response(code) if shapes else None
        if node is None or not body:
            return set()
        return {one.path for one in walk(node, body).findings if one.kind == "unknown"}

    def is_valid(self, key: str, code: int, body: bytes) -> bool:
        """Whether a body fits; without a schema only the status must be known."""
        method, _, path = key.partition(" ")
        answers = self.document["paths"][path][method.lower()]["responses"]
        if str(code) not in answers:
            return False
        if (key, code) not in self._known:
            answer = self.mock._at(answers[str(code)])
            media = (answer.get("content") or {}).get("application/json", {})
            schema = media.get("schema")
            self._known[key, code] = (
                None
                if schema is None
                else Draft202012Validator({**as_json_schema(schema), **self.components})
            )
        validator = self._known[key, code]
        return validator is None or validator.is_valid(json.loads(body or b"null"))


async def ask(app: Any, contract: Contract, key: str, version: str, code: str) -> Sent:
    scope = speak(contract, version, key)
    if code:
        scope["headers"].append((b"x-mock-status", code.encode()))
    return await send(app, scope, b"")


class Report:
    """What clients of both versions get of every operation."""

    def __init__(self, app: Failsoft, contract: Contract, document: Document) -> None:
        self.app, self.contract, self.document = app, contract, document
        self.mock = Mock(document)
        self.bare = self.mock.app()
        self.base = Judge(document)
        self.after = Judge(plain_names(patched(document)))
        self.touched = reached_routes(app)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def ask(self, key: str, version: str, code: str = "") -> Sent:
        scope = speak(self.contract, version, key)
        if code:
            scope["headers"].append((b"x-mock-status", code.encode()))
        return await send(self.app if version else self.bare, scope, b"")

    async def operation(self, key: str) -> None:
        plain = await self.ask(key, "")
        known = mock_old(self.mock, self.document, key, plain)
        for version, judge in ((OLD, self.base), (NEW, self.after)):
            got = await self.ask(key, version)
            is_same = (got.status, got.body) == (plain.status, plain.body)
            if key not in self.touched:
                self.counts[f"untouched {version}"] += 1
                if not is_same:
                    self.wrong.append(f"{version} {key}: bytes differ")
            elif self.base.is_valid(key, *known):
                self.counts[f"touched {version}"] += 1
                self.counts[f"changed {version}"] += not is_same
                left = judge.unknown(key, got.status, got.body)
                left -= self.base.unknown(key, *known)
                if left or not judge.is_valid(key, got.status, got.body):
                    self.wrong.append(f"{version} {key}: {got.status} {sorted(left)}")
            else:
                self.counts[f"bad example {version}"] += 1

    async def trade(self, key: str) -> None:
        old, new = await self.ask(key, OLD, "451"), await self.ask(key, NEW, "451")
        self.counts["451 for new, 422 for old"] += 1
        if (old.status, new.status) != (422, 451):
            self.wrong.append(f"{key}: {old.status} and {new.status} for 451")

    async def run(self) -> None:
        for key, bodies in self.mock.errors.items():
            await self.operation(key)
            if 451 in bodies:
                await self.trade(key)
        for name, count in sorted(self.counts.items()):
            print(f"  {name}: {count}")
        print("\n    ".join([f"  wrong: {len(self.wrong)}", *self.wrong[:20]]))


def mock_old(
    mock: Mock, document: Document, key: str, plain: Sent
) -> tuple[int, bytes]:
    """Return the bare answer with the status the base document has for it."""
    method, _, path = key.partition(" ")
    answers = document["paths"][path][method.lower()]["responses"]
    good = [int(c) for c in answers if c[:1] == "2"]
    code = plain.status if plain.status in good else (good or [plain.status])[0]
    return code, plain.body


def reached_routes(app: Failsoft) -> set[str]:
    stage = app.runtime.planner.versions
    assert stage is not None
    return {route for _, routes in stage.chains.touched(NEW) for route in routes}


async def served(app: Any) -> None:
    """Start the application's lifespan, as a server would."""
    done: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
    told: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
    await done.put({"type": "lifespan.startup"})
    task = asyncio.create_task(app({"type": "lifespan"}, done.get, told.put))
    message = await told.get()
    if message["type"] != "lifespan.startup.complete":
        raise SystemExit(str(message))
    tasks.append(task)


tasks: list[asyncio.Task[None]] = []


async def run(document: Document) -> None:
    by_changeset = ops_of(document)
    at_operations = {
        change["changeset"]
        for place, _, changes in marked(document)
        if place[0] == "paths"
        for change in changes
    }
    done = {name for name, ops in by_changeset.items() if ops}
    # Some marks say the same twice.
    ops = list({repr(op): op for ops in by_changeset.values() for op in ops}.values())
    print(
        f"changesets of operations: {len(at_operations)}, of all: {len(by_changeset)}"
    )
    print(f"without custom code: {len(done & at_operations)} and {len(done)}")
    print(f"left: {', '.join(sorted(by_changeset.keys() - done))}")
    with tempfile.TemporaryDirectory() as folder:
        schemas = Path(folder) / "github.json"
        schemas.write_text(json.dumps(document))
        versions = [Version(OLD), Version(NEW, *ops)]
        contract = Contract(versions, schemas=str(schemas))
        started = time.perf_counter()
        app = Failsoft(Mock(document).app(), contract=contract)
        await served(app)
        seconds = time.perf_counter() - started
        print(f"operations: {len(Mock(document).answers)}; ops: {len(ops)}")
        print(f"start with the contract: {seconds:.2f} s")
        print("answers, by what their operation meets, and the client's version:")
        await Report(app, contract, document).run()


if __name__ == "__main__":
    logging.getLogger("failsoft").setLevel(logging.ERROR)
    asyncio.run(run(plain_names(json.loads(Path(sys.argv[1]).read_bytes()))))
