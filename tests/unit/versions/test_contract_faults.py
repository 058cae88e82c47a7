"""A contract that cannot be kept ends the start, with every fault at once."""

from __future__ import annotations

from typing import Any

import pytest

from failsoft.errors import DefinitionError
from failsoft.routes.models import Models, RouteShapes
from failsoft.versions import (
    Body,
    Contract,
    Header,
    Version,
    add,
    brownout,
    deprecate,
    drop,
    enum_map,
    gone,
    join,
    rename,
    retype,
    split,
)
from failsoft.versions._chain import compile_contract
from unit.versions.api import GET, POST, api, compiled

_MODELS = api(
    Order={
        "id": {"type": "integer"},
        "email": {"type": "string"},
        "state": {"enum": ["a", "b"]},
    }
)


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (rename("Ordr.mail", to="email"), "no schema Ordr; did you mean Order?"),
        (rename("Order.mail", to="emial"), "has no emial; did you mean email?"),
        (rename("Order.email", to="id"), "the schema has email still"),
        (add("Order.x", default=1), "the schema has no x"),
        (add("Order", default=1), "it names no field"),
        (drop("Order.x"), "give fill= or hidden=True"),
        (drop("Order.x", hidden=True), "the schema has no x"),
        (split("Order.n", into=["email"]), "fewer than two"),
        (join(["Order.a", "Other.b"], into="email"), "in different objects"),
        (retype("Order.id", was="int", now="uuid"), "int to uuid is not known"),
        (retype("Order.id", was="number", now="int"), 'add lossy="up"'),
        (enum_map("Order.state", {"x": "a"}), "has 'b', which no old one stands for"),
        (enum_map("Order.state", {"x": "a", "y": "a", "z": "b"}), "ambiguous"),
        (gone("GET /order/{id}"), "did you mean GET /orders/{id}?"),
        (rename(Body("GET /nope", "response", "/a"), to="b"), "no route GET /nope"),
        (rename("Order.email.x", to="y"), "no object is at email"),
        (deprecate(POST, since="2026-02-01", sunset="2026-01-01"), "RFC 9745"),
        (brownout("b", "tomorrow"), "write it like 2026-10-01T14:00Z/PT2H"),
    ],
)
def test_an_op_that_does_not_fit_is_named(op: Any, message: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        compiled(_MODELS, [op])

    assert "version 2025-02-01: " in str(raised.value)
    assert message in str(raised.value)


def test_all_faults_are_told_at_once() -> None:
    contract = Contract(
        [
            Version("2025-01-15", deprecated="2026-02-01", sunset="2026-01-01"),
            Version("2025-01-14", rename("Order.x", to="y")),
            Version("2025-01-14"),
            Version("soon"),
        ],
        read=[Header("X-V"), Header("x-v")],
        pins={"acct": "2025-01-16"},
        default="oldets",
        accept_untranslated=["GET /none"],
    )

    with pytest.raises(DefinitionError) as raised:
        compile_contract(contract, _MODELS)

    told = "\n".join(raised.value.findings)
    for part in (
        "2025-01-14: stands after 2025-01-15",
        "2025-01-14: is declared twice",
        "version soon: is no date",
        "sunset 2026-01-01 is before its deprecation",
        "pin acct: version 2025-01-16 is not declared; did you mean 2025-01-15?",
        "read names Header x-v twice",
        "default 'oldets' is no version; did you mean oldest?",
        "no route GET /none",
        "rename Order.x to y: the schema has no y",
    ):
        assert part in told


def test_a_class_without_the_decorator_is_no_op() -> None:
    class Bare:
        pass

    with pytest.raises(DefinitionError, match="Bare is no op; decorate a class"):
        compiled(_MODELS, [Bare])


def test_one_key_has_one_op_a_version() -> None:
    with pytest.raises(DefinitionError, match=r"Order\.old has two ops"):
        compiled(
            _MODELS, [rename("Order.old", to="email"), rename("Order.old", to="id")]
        )


def test_a_stream_that_ops_reach_has_to_be_accepted() -> None:
    node = _MODELS.names["Order"][0]
    shapes = RouteShapes(None, {200: node}, is_stream=True)
    models = Models({GET: shapes}, _MODELS.names)
    ops = [rename("Order.mail", to="email")]

    with pytest.raises(DefinitionError, match="accept_untranslated"):
        compiled(models, ops)

    chains = compiled(models, ops, accept_untranslated=[GET])
    assert chains.down(GET, "2025-01-01", 200) is None


def test_without_schemas_the_cure_is_named() -> None:
    with pytest.raises(DefinitionError, match=r"schemas=\"openapi\.json\""):
        compiled(Models(), [rename("Order.a", to="b")])


def test_a_name_of_two_modules_is_to_be_qualified() -> None:
    models = Models(
        names={"a__Order": ()}, ambiguous={"Order": ("a__Order", "b__Order")}
    )

    with pytest.raises(DefinitionError, match="write a__Order or b__Order"):
        compiled(models, [rename("Order.a", to="b")])


def test_the_routes_an_op_reaches_are_known() -> None:
    chains = compiled(_MODELS, [rename("Order.mail", to="email"), gone(GET)])

    assert chains.touched("2025-02-01") == (
        ("rename Order.mail to email", (POST, GET)),
        (f"gone {GET}", (GET,)),
    )
    assert len({chains.tag(v) for v in ("2025-01-01", "2025-02-01")}) == 2
