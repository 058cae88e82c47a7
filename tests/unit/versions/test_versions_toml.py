"""A contract in failsoft.toml is the same contract as in Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from failsoft.errors import DefinitionError
from failsoft.settings import load_settings
from failsoft.versions import (
    Body,
    Contract,
    Header,
    MediaTypeParam,
    PathPrefix,
    Query,
    Version,
    _words,
)
from failsoft.versions._toml import contract_of

_FILE = """
[versions]
read = [{ header = "X-V" }, { media_type = "v" }, { path = "v", strip = false },
        { query = "ver" }]
default = "newest"
on_down_error = "head"

[[version]]
id = "2025-01-15"
deprecated = 2026-02-01
sunset = "2026-11-01"
link = "https://docs.example/2025"

[[version]]
id = "2025-06-01"
rename = { "Order.email" = "mail", "GET /x response /items/*/a" = "b" }
move = { "Order.mail" = "contact.mail" }
add = { "Order.currency" = "EUR", "Order.n" = { default = 1, required = false } }
drop = { "Order.fax" = { hidden = true }, "Order.tel" = "" }
split = { "Who.name" = ["first", "last"] }
join = { "Who.full" = { of = ["a", "b"], sep = "-" } }
retype = { "Order.id" = { was = "int", now = "str" } }
enum_map = { "Order.state" = { canceled = "cancelled" } }
wrap_list = { "Order.tag" = "tags" }
unwrap_list = ["Order.list"]
envelope = { "GET /x" = "data" }
status = { "POST /x" = { was = 200, now = 201 } }
header = { "GET /x" = { was = "A", now = "B" } }
query = { "GET /x" = { was = "p", now = "q", map = { x = "y" } } }
endpoint_added = ["GET /new"]
endpoint_moved = { "GET /old" = "GET /x" }
gone = { "GET /legacy" = "https://docs.example/moved" }
deprecate = { "GET /bulk" = { since = "2026-02-01" } }
union = { "Pet" = "type" }

[[brownout]]
name = "autumn"
windows = ["2026-10-01T14:00Z/PT2H"]
percent = 10
routes = ["GET /x"]

[pins]
acct_42 = "2025-01-15"
"""


def _contract(tmp_path: Path, text: str, code: Contract | None = None) -> Contract:
    (tmp_path / "failsoft.toml").write_text(text)
    found = contract_of(code, load_settings({}, {}, tmp_path).versions)
    assert found is not None
    return found


def test_every_op_of_the_file_is_the_op_of_the_code(tmp_path: Path) -> None:
    in_code = Contract(
        [
            Version(
                "2025-01-15",
                deprecated="2026-02-01",
                sunset="2026-11-01",
                link="https://docs.example/2025",
            ),
            Version(
                "2025-06-01",
                _words.rename("Order.email", to="mail"),
                _words.rename(Body("GET /x", "response", "/items/*/a"), to="b"),
                _words.move("Order.mail", to="contact.mail"),
                _words.add("Order.currency", default="EUR"),
                _words.add("Order.n", default=1, required=False),
                _words.drop("Order.fax", hidden=True),
                _words.drop("Order.tel", fill=""),
                _words.split("Who.name", into=["first", "last"]),
                _words.join(["Who.a", "Who.b"], into="full", sep="-"),
                _words.retype("Order.id", was="int", now="str"),
                _words.enum_map("Order.state", {"canceled": "cancelled"}),
                _words.wrap_list("Order.tag", to="tags"),
                _words.unwrap_list("Order.list"),
                _words.envelope("GET /x", at="data"),
                _words.status("POST /x", was=200, now=201),
                _words.header("GET /x", was="A", now="B"),
                _words.query("GET /x", was="p", now="q", map={"x": "y"}),
                _words.endpoint_added("GET /new"),
                _words.endpoint_moved(was="GET /old", now="GET /x"),
                _words.gone("GET /legacy", link="https://docs.example/moved"),
                _words.deprecate("GET /bulk", since="2026-02-01"),
                _words.union("Pet", by="type"),
            ),
        ],
        read=[Header("X-V"), MediaTypeParam("v"), PathPrefix("v", False), Query("ver")],
        default="newest",
        on_down_error="head",
        pins={"acct_42": "2025-01-15"},
        brownouts=[
            _words.brownout(
                "autumn", "2026-10-01T14:00Z/PT2H", percent=10.0, routes=["GET /x"]
            )
        ],
    )

    assert _contract(tmp_path, _FILE) == in_code


def test_faults_of_a_file_name_version_op_and_target(tmp_path: Path) -> None:
    text = """
[[version]]
id = "2025-01-15"
rename = { "Order.a" = 3 }
retype = { "Order.b" = { wat = "x" } }
"""
    with pytest.raises(DefinitionError) as raised:
        _contract(tmp_path, text)

    assert 'version.2025-01-15.rename."Order.a"' in str(raised.value)
    assert "unexpected keyword argument 'wat'; write" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[version]]\nid = "2025-01-15"\nrenam = {}\n', "did you mean rename?"),
        ("[[version]]\nrename = {}\n", "has an entry without id"),
        ('[[version]]\nid = "1"\n[[version]]\nid = "1"\n', "has 1 twice"),
        ('[pins]\na = "2025-01-15"\n', "there is no version"),
        ("[versions]\nread = [{ strip = true }]\n", "must name one source each"),
        ('[[brownout]]\nname = "b"\npercent = 200\n', "at most 100"),
    ],
)
def test_a_wrong_file_is_told_with_the_cure(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DefinitionError) as raised:
        _contract(tmp_path, text)

    assert message in str(raised.value)


def test_versions_stand_in_one_place_only(tmp_path: Path) -> None:
    code = Contract([Version("2025-01-15")])

    with pytest.raises(DefinitionError, match="keep them in one place"):
        _contract(tmp_path, '[[version]]\nid = "2025-01-15"\n', code)


def test_pins_and_brownouts_of_a_file_join_those_of_the_code(tmp_path: Path) -> None:
    code = Contract([Version("2025-01-15")], pins={"a": "2025-01-15"})

    found = _contract(tmp_path, '[pins]\nb = "2025-01-15"\n', code)

    assert dict(found.pins) == {"a": "2025-01-15", "b": "2025-01-15"}
    assert found.versions == code.versions
