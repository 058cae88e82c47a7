"""What watching a third party costs a call.  Prints times without and with the tap.

`PYTHONPATH=tests python tests/bench/outbound.py`

The same client with and without the tap, turn and turn about, on a transport that
answers from memory (so that nothing else is measured) and on a real server.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import httpx2

from e2e.third_party import ThirdParty, serving
from failsoft.outbound._transport import open_transport
from failsoft.settings import DependencySettings
from unit.outbound.seen import Seen, document

ROUNDS = 15
CALLS = 200
SIZES = (200, 2_000, 20_000, 60_000)


def inner_of(module: Any, body: bytes) -> Any:
    """Return a transport that streams a body from memory."""

    class Stream(module.AsyncByteStream):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield body

    class Inner(module.AsyncBaseTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            headers = {"content-type": "application/json", "date": "now", "server": "x"}
            return module.Response(200, headers=headers, stream=Stream())

    return Inner()


async def compare(
    module: Any, bare: Callable[[], Any], wrap: Callable[[Any], Any], url: str = ""
) -> tuple[float, float]:
    """Return microseconds of a call without and with the tap, medians."""
    figures: dict[bool, list[float]] = {False: [], True: []}
    clients = {
        False: module.AsyncClient(transport=bare()),
        True: module.AsyncClient(transport=wrap(bare())),
    }

    async def run(client: Any) -> float:
        began = time.perf_counter()
        for _ in range(CALLS):
            await client.get(f"{url or 'http://127.0.0.1'}/charges/good")
        return (time.perf_counter() - began) / CALLS * 1e6

    for at in range(ROUNDS + 2):
        for is_watched in (False, True) if at % 2 else (True, False):
            figure = await run(clients[is_watched])
            if at >= 2:
                figures[is_watched].append(figure)
    for client in clients.values():
        await client.aclose()
    return statistics.median(figures[False]), statistics.median(figures[True])


def body_of(size: int) -> bytes:
    rows = [
        {"id": f"ch_{n:08}", "amount": n, "note": "of a customer"}
        for n in range(max(size // 62, 1))
    ]
    return json.dumps({"id": "1", "amount": 5, "rows": rows}).encode()


def contract(folder: Path) -> Path:
    doc = document()
    schema = doc["paths"]["/charges/{id}"]["get"]["responses"]["200"]["content"][
        "application/json"
    ]["schema"]
    row = {
        "type": "object",
        "required": ["id"],
        "properties": dict(schema["properties"]),
    }
    schema["properties"] = {
        **schema["properties"],
        "rows": {"type": "array", "items": row},
    }
    path = folder / "contract.json"
    path.write_text(json.dumps(doc))
    return path


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(contract(Path(folder)))

        def wrap(seen: Seen | None) -> Callable[[Any], Any]:
            given = ("third", DependencySettings(contract=path))
            return lambda inner: open_transport(given, lambda: seen, None, inner)

        for module in (httpx, httpx2):
            for size in SIZES:
                body = body_of(size)
                seen = Seen()
                bare, tapped = await compare(
                    module,
                    partial(inner_of, module, body),
                    wrap(seen),
                )
                assert not seen.findings, seen.findings[:3]
                tell(
                    f"{module.__name__} from memory, {len(body)} B", bare, tapped, body
                )
            idle = await compare(module, partial(inner_of, module, b"{}"), wrap(None))
            tell(f"{module.__name__} from memory, no runtime", *idle)
        with serving(ThirdParty()) as url:
            for module in (httpx, httpx2):
                seen = Seen()
                figures = await compare(
                    module, module.AsyncHTTPTransport, wrap(seen), url
                )
                tell(f"{module.__name__} real server on loopback", *figures)


def tell(what: str, bare: float, tapped: float, body: bytes = b"") -> None:
    more = tapped - bare
    per_kb = f", {more / (len(body) / 1024):.1f} us/KiB" if len(body) > 4096 else ""
    print(
        f"{what:40} bare {bare:7.1f} us, watched {tapped:7.1f} us: "
        f"+{more:.1f} us, {tapped / bare:.3f} times{per_kb}"
    )


if __name__ == "__main__":
    asyncio.run(main())
