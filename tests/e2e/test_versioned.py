"""Versions by path, query and media type: handlers run once, streams flow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from load.servers import served

TYPES = ("text/event-stream", "application/jsonl", "application/json")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home, here = tmp_path_factory.mktemp("versioned"), Path(__file__).parent
    with served("versioned:app", home=home, folder=here) as url:
        yield url


@pytest.mark.parametrize(
    ("path", "accept", "words"),
    [
        ("/v1/notes", "*/*", {"txt": "a"}),
        ("/notes?v=2", "*/*", {"text": "a"}),
        ("/notes", "application/json; v=3", {"text": "a", "lang": "fr"}),
    ],
    ids=["path", "query", "media type"],
)
def test_dependencies_validators_and_handlers_run_once_a_request(
    app: str, path: str, accept: str, words: dict[str, str]
) -> None:
    before = httpx.get(f"{app}/ran").json()

    answer = httpx.post(app + path, json=words, headers={"accept": accept})

    after = httpx.get(f"{app}/ran").json()
    assert answer.json() == [words]
    assert {name: n - before.get(name, 0) for name, n in after.items()} == {
        "dependency": 1,
        "validator": 1,
        "handler": 1,
    }


@pytest.mark.parametrize("media_type", TYPES)
@pytest.mark.parametrize("prefix", ["/v1", "/v3"])
def test_the_first_part_of_a_stream_comes_before_the_second_is_made(
    app: str, media_type: str, prefix: str
) -> None:
    came = []
    with (
        httpx.Client(base_url=app, timeout=5) as client,
        client.stream("GET", f"{prefix}/stream?kind={media_type}") as stream,
    ):
        parts = stream.iter_raw()
        came.append(next(parts))
        # Nothing but this lets the second part be made.
        httpx.post(f"{app}/release")
        came += parts

    assert came == [b'{"txt": "first"}\n', b'{"txt": "second"}\n']
    assert stream.headers["content-type"].startswith(media_type)
