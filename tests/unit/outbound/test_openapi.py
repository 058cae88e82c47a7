"""OpenAPI documents as contracts: hosts, paths, answers, files that cannot be used."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from failsoft.errors import DefinitionError
from failsoft.outbound._contract import Contract, Shape, order_of
from failsoft.outbound._openapi import compile_document, read_document
from unit.outbound.seen import document

OK: dict[str, Any] = {"get": {"responses": {"200": {}}}}


def contract(*paths: str, hosts: tuple[str, ...] = (), **keys: Any) -> Contract:
    doc = {"openapi": "3.1.0", "paths": dict.fromkeys(paths, OK), **keys}
    return compile_document(doc, hosts)


def found(contract: Contract, path: str, host: str = "x.test") -> str:
    operation = contract.find("GET", host, path)
    return operation.label if operation is not None else ""


def test_concrete_paths_come_before_templated_ones() -> None:
    paths = ("/a/{id}", "/a/{id}/b", "/a/{x}.json", "/a/me", "/{p}/me", "/a/{i}:cancel")
    rest = contract(*paths)

    assert found(rest, "/a/me") == "GET /a/me"
    assert found(rest, "/a/7") == "GET /a/{id}"
    assert found(rest, "/a/7.json") == "GET /a/{x}.json"
    assert found(rest, "/a/7:cancel") == "GET /a/{i}:cancel"
    assert found(rest, "/b/me") == "GET /{p}/me"
    assert found(rest, "/a/7%2F8/b") == "GET /a/{id}/b"
    assert found(rest, "/a") == ""
    assert order_of("/a/me") < order_of("/a/{x}.json") < order_of("/a/{id}")


def test_an_operation_answers_on_its_servers_alone() -> None:
    rest = contract(
        "/a", servers=[{"url": "https://API.x.test/v1/"}, {"url": "//y.test"}]
    )

    assert found(rest, "/v1/a", "api.x.test") == "GET /a"
    assert found(rest, "/v1/a", "api.x.test:443") == "GET /a"
    assert found(rest, "/v1/a", "api.x.test:8443") == ""
    assert found(rest, "/a", "y.test") == "GET /a"
    assert found(rest, "/v1/a", "evil.test") == ""
    assert found(rest, "/a", "api.x.test") == ""


def test_hosts_from_settings_answer_like_the_servers() -> None:
    servers = [{"url": "https://api.x.test/v1"}]

    some = contract("/a", servers=servers, hosts=("stage.test", "mock.test:99"))
    any_ = contract("/a", servers=servers, hosts=("*",))

    assert found(some, "/v1/a", "stage.test:1234") == "GET /a"
    assert found(some, "/v1/a", "mock.test:99") == "GET /a"
    assert found(some, "/v1/a", "mock.test:98") == ""
    assert found(some, "/v1/a", "api.x.test") == "GET /a"
    assert found(any_, "/v1/a", "127.0.0.1:5") == "GET /a"


def test_variables_of_servers_stand_for_any_host_and_their_default_path() -> None:
    url = "https://{region}.x.test:{port}/{base}"
    variables = {"region": {"default": "eu"}, "base": {"default": "v2"}}

    rest = contract("/a", servers=[{"url": url, "variables": variables}])

    assert found(rest, "/v2/a", "us.x.test:80") == "GET /a"
    assert found(rest, "/v2/a", "us.y.test:80") == ""


def test_servers_of_a_path_or_an_operation_come_first() -> None:
    mine = {"servers": [{"url": "/files"}], **OK}
    theirs = {"get": {**OK["get"], "servers": [{"url": "/up"}]}}

    rest = compile_document({"openapi": "3.0.0", "paths": {"/a": mine, "/b": theirs}})

    assert found(rest, "/files/a") == "GET /a"
    assert found(rest, "/up/b") == "GET /b"


def test_references_of_paths_and_answers_are_followed() -> None:
    answer = {"content": {"application/json": {"schema": {"type": "integer"}}}}
    get = {"responses": {"200": {"$ref": "#/components/responses/A"}, 404: {}}}
    components = {"responses": {"A": answer}, "pathItems": {"I": {"get": get}}}
    paths = {"/a": {"$ref": "#/components/pathItems/I"}, "/b": {"$ref": "http://x#/y"}}

    rest = compile_document(
        {"openapi": "3.1.0", "paths": paths, "components": components}
    )

    operation = rest.find("GET", "x", "/a")
    assert operation is not None
    ok = operation.answer(200)
    assert ok is not None
    assert ok.shape("application/json") is not None
    assert ok.shape("text/plain") == "undeclared"
    assert operation.answer(404) is not None
    assert len(rest) == 1


def test_answers_are_declared_by_status_class_or_default() -> None:
    keys = "200", "4xx", "x-note", "default"
    statuses: dict[str, Any] = {key: {} for key in keys}
    get = {"responses": statuses}
    rest = compile_document({"openapi": "3.0.0", "paths": {"/a": {"get": get}}})

    operation = rest.find("GET", "x", "/a")

    assert operation is not None
    assert set(operation.answers) == {"200", "4XX", "default"}
    assert operation.answer(599) is not None


def test_json_and_yaml_say_the_same() -> None:
    text = (
        "openapi: 3.0.3\npaths:\n  /a:\n    get:\n      responses:\n        200: {}\n"
    )

    from_yaml = read_document(text.encode(), "a.yaml")
    from_json = read_document(
        b"\xef\xbb\xbf" + json.dumps(from_yaml).encode(), "a.json"
    )

    assert found(compile_document(from_yaml), "/a") == "GET /a"
    assert from_json["openapi"] == "3.0.3"


@pytest.mark.parametrize(
    ("raw", "name", "says"),
    [
        (b"{", "a.json", "a.json cannot be read"),
        (b"[" * 100_000, "a.json", "a.json cannot be read"),
        (b"a: [", "a.yaml", "a.yaml cannot be read"),
        (b"- " * 100_000, "a.yaml", "nested more than 500 levels deep"),
        (b'{"swagger": "2.0"}', "a.json", "no key openapi; convert it to OpenAPI 3.0"),
        (b'{"openapi": "4.0"}', "a.json", "openapi = '4.0'"),
        (b"[]", "a.json", "no key openapi"),
        (b" " * (64 * 1024 * 1024 + 1), "a.json", "more than 64 MiB"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(raw: bytes, name: str, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        read_document(raw, name)


def test_yaml_without_pyyaml_says_how_to_convert(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(DefinitionError, match="pip install pyyaml, or convert it once"):
        read_document(b"openapi: 3.0.0", "a.yml")


@pytest.mark.parametrize("servers", [5, {}, [], [None], [1]])
def test_servers_that_are_none_answer_on_any_host(servers: Any) -> None:
    doc = {**document(), "servers": servers}

    assert found(compile_document(doc), "/charges/1") == "GET /charges/{id}"


def test_a_server_that_is_no_url_is_named() -> None:
    doc = {**document(), "servers": [{"url": "http://[::1"}]}

    with pytest.raises(DefinitionError, match=r"servers: 'http://\[::1' is no URL"):
        compile_document(doc)


def test_an_alias_in_yaml_is_one_schema_however_often_it_is_named() -> None:
    lines = ["openapi: 3.1.0", "x-0: &a0 {type: string}"]
    for n in range(1, 31):
        props = f"{{x: *a{n - 1}, y: *a{n - 1}}}"
        lines.append(f"x-{n}: &a{n} {{type: object, properties: {props}}}")
    ok = "content: {application/json: {schema: *a30}}"
    lines.append(f"paths: {{/b: {{get: {{responses: {{'200': {{{ok}}}}}}}}}}}")
    document = read_document("\n".join(lines).encode(), "a.yaml")
    operation = compile_document(document).find("GET", "x", "/b")
    assert operation is not None
    shape = operation.answers["200"].shape("application/json")
    assert isinstance(shape, Shape)

    shape.compile()

    assert [one.path for one in shape.differences(b'{"x": 1}')] == ["/x"]


def test_a_remote_reference_is_named_at_its_first_use() -> None:
    schema = {"$ref": "https://x.test/schemas.json#/Charge"}
    answer = {"content": {"application/json": {"schema": schema}}}
    doc = document(**{"/b": {"get": {"responses": {"200": answer}}}})
    operation = compile_document(doc).find("GET", "x", "/b")
    assert operation is not None
    ok = operation.answer(200)
    assert ok is not None
    shape = ok.shape("application/json")
    assert shape is not None
    assert shape != "undeclared"

    with pytest.raises(DefinitionError, match="only local references"):
        shape.compile()
