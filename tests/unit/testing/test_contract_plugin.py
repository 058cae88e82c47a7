"""`pytest --failsoft-contracts` and `failsoft contract` in a project of a user."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from failsoft.cli import run

SHOP = """
from fastapi import FastAPI
from pydantic import BaseModel, field_validator
from failsoft import Failsoft
from failsoft.versions import Contract, Version, add, rename

class Order(BaseModel):
    id: int
    {field}: str
    {more}

class Note(BaseModel):
    text: str
    @field_validator("text", mode="before")
    def trimmed(cls, value): return str(value).strip()

app = FastAPI()

@app.post("/orders")
def place(order: Order) -> Order: return order

@app.post("/notes")
def note(note: Note) -> None: ...

app.add_middleware(Failsoft, contract=Contract([
    Version("2025-01-15"),
    Version("2025-06-01", rename("Order.mail", to="email")),
    {declared}
]))
"""
DECLARED = 'Version("2026-01-01", add("Order.tag", default="-")),'


def write(
    folder: Path,
    field: str = "email",
    declared: str = "",
    module: str = "shop",
    more: str = "",
) -> None:
    text = SHOP.format(field=field, declared=declared, more=more)
    (folder / f"{module}.py").write_text(text)


def pytest_in(folder: Path) -> str:
    (folder / "pytest.ini").write_text("[pytest]\nfailsoft_app = shop:app\n")
    off = ("anyio", "cacheprovider", "schemathesis", "hypothesispytest", "timeout")
    only = [word for name in off for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "-q", *only, "--failsoft-contracts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_ci_fails_on_an_undeclared_change_and_passes_once_it_is_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: lock, change, red, declare, green.

    One run of pytest alone: each costs 2 s of processor time.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path, module="shop_before")
    assert run(["contract", "lock", "shop_before:app"]) == 0

    write(tmp_path, more="tag: str")
    red = pytest_in(tmp_path)
    write(tmp_path, declared=DECLARED, module="shop_after", more="tag: str")
    green = [run(["contract", verb, "shop_after:app"]) for verb in ("check", "test")]

    assert "undeclared breaking change" in red
    assert 'add = { "Order.tag" = { default = "" } }' in red
    assert "1 failed, " in red
    assert " passed" in red
    assert green == [0, 0]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose application is `shop_<folder>:app`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path, "email", module=module(tmp_path))
    return tmp_path


def module(folder: Path) -> str:
    # Python keeps modules by name: each test has its own.
    return f"shop_{folder.name.replace('-', '_')}"


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_check_lists_faults_and_models_whose_own_code_decides(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = f"{module(shop)}:app"

    status = run(["contract", "check", app, "--json"])

    told = said(capsys)
    assert (status, told["ok"], told["lock"]) == (0, True, None)
    assert told["versions"] == ["2025-01-15", "2025-06-01"]
    assert list(told["opaque"]) == ["Note.text"]

    bad = 'Version("2026-01-01", rename("Ordre.x", to="y")),'
    write(shop, "email", bad, module=f"{module(shop)}_bad")
    status = run(["contract", "check", f"{module(shop)}_bad:app", "--json"])

    told = said(capsys)
    assert (status, told["ok"]) == (1, False)
    assert "Ordre" in told["faults"][0]


def test_a_lock_is_not_rewritten_over_what_nobody_declared(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["contract", "lock", f"{module(shop)}:app"])
    before = (shop / "contract.lock.json").read_bytes()
    write(shop, "contact", module=f"{module(shop)}_new")
    app = f"{module(shop)}_new:app"

    refused = run(["contract", "lock", app])
    suggested = run(["contract", "suggest", app])

    assert (refused, suggested) == (1, 0)
    assert (shop / "contract.lock.json").read_bytes() == before
    assert 'rename = { "Order.email" = "contact" }' in capsys.readouterr().out
    assert run(["contract", "lock", app, "--force"]) == 0


def test_suggestions_can_be_pasted_however_many_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All renames stand in one line, as TOML has it."""
    for file, ending in (("old", "was"), ("new", "now")):
        fields = {f"a_longer_name_{n}_{ending}": {"type": "string"} for n in range(20)}
        document = {"openapi": "3.1.0", **document_of({"properties": fields})}
        (tmp_path / f"{file}.json").write_text(json.dumps(document))

    run(["contract", "suggest", *(str(tmp_path / f"{x}.json") for x in ("old", "new"))])

    declared = tomllib.loads(capsys.readouterr().out)["version"][0]
    assert len(declared["rename"]) == 20


def document_of(order: dict[str, Any]) -> dict[str, Any]:
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}
    post = {"requestBody": {"content": body}, "responses": {}}
    schemas = {"Order": {"type": "object", **order}}
    return {"paths": {"/x": {"post": post}}, "components": {"schemas": schemas}}


def test_diff_compares_versions_files_and_applications(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = f"{module(shop)}:app"
    run(["contract", "export", app, "out"])
    capsys.readouterr()

    files = sorted(path.name for path in (shop / "out").iterdir())
    same = run(["contract", "diff", "out/2025-06-01.json", app, "--fail-on=breaking"])
    capsys.readouterr()
    words = ["contract", "diff", f"{app}@2025-01-15", app, "--fail-on", "breaking"]
    status = run([*words, "--json"])

    assert files == ["2025-01-15.json", "2025-06-01.json"]
    assert (same, status) == (0, 1)
    first = said(capsys)["changes"][0]
    assert first["id"] == "request-property-removed"
    assert (first["path"], first["level"]) == ("/mail", "warning")


def test_test_runs_all_cases(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["contract", "test", f"{module(shop)}:app", "--json"])

    told = said(capsys)
    assert (status, told["failed"]) == (0, [])
    assert told["cases"] > 5


@pytest.mark.parametrize(
    "words",
    [
        ["check", "shop"],
        ["check", "no_such_module:app"],
        ["diff", "nothing.json", "neither.json"],
        ["diff", "pytest.ini", "pytest.ini", "--format", "xml"],
    ],
)
def test_what_cannot_be_read_is_bad_input(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["contract", *words]) == 2
    assert capsys.readouterr().err.startswith("failsoft: ")
