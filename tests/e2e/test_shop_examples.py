"""Every example does what its `Try:` lines promise, started as its reader starts it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from load.servers import EXAMPLES, accepts, eventually, free_port, running

TRY = re.compile(r"^Try: (\w+) (\S+)(?: (\{.*\}))? -> (\d{3})$", re.MULTILINE)
FILES = sorted(EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("example", FILES, ids=[path.stem for path in FILES])
def test_an_example_answers_as_its_docstring_says(
    example: Path, tmp_path: Path
) -> None:
    promised = TRY.findall(example.read_text())
    port = free_port()

    with running(str(example), "--port", str(port), home=tmp_path):
        eventually(lambda: accepts(port), within_s=20)
        answered = [
            (method, path, body, str(ask(port, method, path, body)))
            for method, path, body, _ in promised
        ]

    assert len(promised) >= 2
    assert answered == promised


def ask(port: int, method: str, path: str, body: str) -> int:
    url = f"http://127.0.0.1:{port}{path}"
    sent = json.loads(body) if body else None
    return httpx.request(method, url, json=sent, timeout=10).status_code


@pytest.mark.parametrize("example", FILES, ids=[path.stem for path in FILES])
def test_an_example_fits_on_one_screen_or_two(example: Path) -> None:
    assert len(example.read_text().splitlines()) <= 80
