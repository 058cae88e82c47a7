"""What is read from headers and answers, and what is written there."""

from __future__ import annotations

import json

import pytest

from failsoft.pipeline import Headers
from failsoft.shapes.findings import Finding
from failsoft.shapes.graph import Node, Schemas
from failsoft.tolerance._words import (
    media_family,
    merge_vary,
    notice_of,
    preference,
    rejected,
    violation,
)


def prefer(*values: str) -> str:
    return preference([(b"prefer", value.encode("latin-1")) for value in values])


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["handling=strict"], "strict"),
        (['Handling = "lenient"'], "lenient"),
        (["respond-async, wait=100, handling=strict; x=1"], "strict"),
        (["wait=5", "handling=lenient"], "lenient"),
        (["handling=lenient", "handling=strict"], "lenient"),
        (["handling=strictly"], ""),
        (["xhandling=strict"], ""),
        (['foo="a, handling=strict"'], ""),
        (['foo="\\", handling=strict"'], ""),
        (["handling"], ""),
        (["\xff, handling=strict"], "strict"),
        ([], ""),
    ],
)
def test_preferences_are_read_as_rfc_7240_says(values: list[str], wanted: str) -> None:
    assert prefer(*values) == wanted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [(b"vary", b"Prefer")]),
        ([(b"Vary", b"Accept")], [(b"Vary", b"Accept, Prefer")]),
        ([(b"vary", b"*")], [(b"vary", b"*")]),
        ([(b"vary", b"accept, PREFER")], [(b"vary", b"accept, PREFER")]),
        ([(b"vary", b"")], [(b"vary", b"Prefer")]),
    ],
)
def test_vary_is_merged(before: Headers, after: Headers) -> None:
    merge_vary(before, b"Prefer")

    assert before == after


def test_a_notice_is_small_and_of_safe_letters() -> None:
    findings = [Finding(f"/{'é;,' * 200}{n}", "unknown") for n in range(9)]

    value = notice_of(findings)

    assert value.count(b"unknown") == 5
    assert len(value) <= 1024
    assert value.startswith(b'unknown;path="/___')
    assert notice_of([Finding("/a/{*}/b", "null")]) == b'null;path="/a/*/b"'


def test_a_notice_never_exceeds_a_kibibyte() -> None:
    long = Finding("/" + "/".join(["k" * 64] * 7), "unknown")

    assert len(notice_of([long] * 5)) <= 1024


def test_a_violation_escapes_what_the_client_sent() -> None:
    refusal = violation([Finding('/a"}\n', "unknown")])

    doc = json.loads(refusal.body + b"}")
    assert refusal.status == 422
    assert doc["errors"] == [{"pointer": '/a"}?', "kind": "unknown"}]


@pytest.mark.parametrize(
    ("headers", "family"),
    [
        ([(b"content-length", b"5")], "absent"),
        ([(b"content-length", b"0")], None),
        ([], None),
        (
            [(b"transfer-encoding", b"chunked"), (b"content-type", b"Text/Plain; x")],
            "text/plain",
        ),
        ([(b"content-length", b"5"), (b"content-type", b"x/secret-canary")], "other"),
    ],
)
def test_only_well_known_media_types_are_named(
    headers: Headers, family: str | None
) -> None:
    assert media_family(headers) == family


ORDER = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {"type": "object", "properties": {"qty": {"type": "integer"}}},
        },
        "prices": {"type": "object", "additionalProperties": {"type": "number"}},
        "pay": {
            "anyOf": [
                {"type": "object", "properties": {"iban": {"type": "string"}}},
                {"type": "object", "properties": {"card": {"type": "string"}}},
            ]
        },
    },
}


@pytest.fixture
def order() -> Node:
    return Schemas({}).node(ORDER)


@pytest.mark.parametrize(
    ("loc", "path"),
    [
        (["body"], ""),
        (["body", "items", 3, "qty"], "/items/*/qty"),
        (["body", "prices", "canary"], "/prices/{*}"),
        (["body", "pay", "ByCard", "card"], "/pay/card"),
        (["body", "canary", "x"], "/{*}/{*}"),
        (["query", "limit"], "/query/limit"),
        (["path", "id"], "/path/id"),
    ],
)
def test_a_refusal_is_told_in_the_schemas_names(
    order: Node, loc: list[str | int], path: str
) -> None:
    body = {
        "detail": [{"loc": loc, "type": "missing", "msg": "canary", "input": "canary"}]
    }

    (found,) = rejected(order, json.dumps(body).encode())

    assert found == Finding(path, "rejected", "missing")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"detail": "canary"}',
        b'{"errors": [{"canary": 1}]}',
        b'{"detail": []}',
        b"\xff",
        b'{"detail": [{"loc": ["body"], "type": "missing"}], "x": "'
        + b"a" * 65_536
        + b'"}',
    ],
)
def test_a_refusal_of_another_form_is_just_counted(order: Node, body: bytes) -> None:
    assert rejected(order, body) == [Finding("", "rejected")]


def test_what_the_framework_tells_serves_for_other_forms(order: Node) -> None:
    told = [{"loc": ("body", "items"), "type": "list_type", "input": "canary"}, 7]

    found = rejected(order, b"{}", told)

    assert found[0] == Finding("/items", "rejected", "list_type")
    assert found[1] == Finding("", "rejected", "other")


def test_types_of_the_applications_own_making_are_not_repeated(order: Node) -> None:
    body = b'{"detail": [{"loc": ["query", "x"], "type": "Canary 7"},'
    body += b' {"loc": ["query", "canary"], "type": "extra_forbidden"}]}'

    found = rejected(order, body)

    assert found == [
        Finding("/query/x", "rejected", "other"),
        Finding("/query/{*}", "rejected", "extra_forbidden"),
    ]


def test_a_preference_of_a_client_that_means_harm_is_read_at_once() -> None:
    quotes = '"' + '\\"' * 200_000

    assert prefer(quotes) == ""
    assert prefer(f"handling=strict, a={quotes}") == "strict"
