"""What observing bodies costs, against the bare app and against handling `off`.

    python tests/bench/tolerance.py [--rounds 15]

Valid bodies of 0.2, 1, 10 and 100 KB, posted to a FastAPI handler by hand-driven
ASGI; blocks of all stacks take turns in one process, and the quietest block of each
is printed, in processor time, as other work on the machine only ever adds.  `over
off`: what looking adds to a request.  `us/KB`: what of it grows with the body, so
without that of the smallest one (<= 3).  `observe` is the default: above 16 KiB one
body in ten is looked at; `observe all` looks at every one.  `tolerate` has one
tolerance in force that no body needs, so it holds bodies back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from time import process_time, time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from fastapi import FastAPI
from pydantic import BaseModel

from failsoft import Failsoft
from failsoft.clock import utc_date
from failsoft.shapes.gate import compile_gate
from failsoft.shapes.graph import Schemas

SIZES_KB = {0: 200, 1: 200, 10: 60, 100: 10}  # -> requests in one block
ALL = {"gate_full_max": "4MiB"}
TOLERANCE = {
    "name": "t",
    "path": "/lines/*/qty",
    "kind": "string_to_number",
    "until": utc_date(time() + 86_400),
    "reason": "bench",
    "owner": "bench",
}
STACKS: dict[str, dict[str, Any]] = {
    "off": {"tolerance": {"handling": "off"}},
    "observe": {},
    "observe all": {"contracts": ALL},
    "tolerate": {"tolerance": {"allow": [TOLERANCE]}, "contracts": ALL},
}


class Line(BaseModel):
    sku: str
    qty: int
    price: float
    note: str | None = None
    tags: list[str] = []


class Order(BaseModel):
    customer: str
    placed_at: str
    lines: list[Line]


def shop() -> FastAPI:
    app = FastAPI()

    @app.post("/orders")
    async def order(order: Order) -> dict[str, int]:
        return {"lines": len(order.lines)}

    return app


def body_of(size_kb: int) -> bytes:
    line = {
        "sku": "SKU-0001-XL",
        "qty": 3,
        "price": 19.95,
        "note": "gift wrap, please",
        "tags": ["new", "sale"],
    }
    size = len(json.dumps(line)) + 2
    lines = [line] * max(1, (size_kb * 1024 - 70) // size)
    doc = {"customer": "ann", "placed_at": "2026-01-31T12:00:00Z", "lines": lines}
    return json.dumps(doc).encode()


async def post(app: Any, body: bytes) -> None:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/orders",
        "raw_path": b"/orders",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"bench"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("192.0.2.7", 50000),
        "server": ("bench", 80),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message

    await app(scope, receive, send)


async def opened(settings: dict[str, Any]) -> Failsoft:
    guarded = Failsoft(shop(), **settings)
    await guarded.runtime.ensure()
    await guarded.runtime.learn(guarded.app)
    guarded.runtime.planner.compile_gates()
    return guarded


async def block(app: Any, body: bytes, count: int) -> float:
    begin = process_time()
    for _ in range(count):
        await post(app, body)
    return (process_time() - begin) / count * 1e6


def gate_us(body: bytes) -> float:
    gate = compile_gate(Schemas({}).node(_inlined(Order.model_json_schema())))
    assert gate.passes(body)
    count = max(20, 200_000 // len(body))
    best = float("inf")
    for _ in range(20):
        begin = process_time()
        for _ in range(count):
            gate.passes(body)
        best = min(best, process_time() - begin)
    return best / count * 1e6


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    line = schema.pop("$defs")["Line"]
    text = json.dumps(schema).replace('{"$ref": "#/$defs/Line"}', json.dumps(line))
    found: dict[str, Any] = json.loads(text)
    return found


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        stacks: dict[str, Any] = {"bare": shop()}
        for name, settings in STACKS.items():
            stacks[name] = await opened(settings)
        print(
            f"{'body':>8} {'stack':12}{'us':>9}{'ratio':>7}{'over off':>10}{'us/KB':>8}"
        )
        fixed: dict[str, float] = {}
        for size_kb, count in SIZES_KB.items():
            over = await measure(stacks, size_kb, count, args.rounds, fixed)
            fixed = fixed or over
        for name in STACKS:
            await stacks[name].runtime.stop()
    return 0


async def measure(
    stacks: dict[str, Any],
    size_kb: int,
    count: int,
    rounds: int,
    fixed: dict[str, float],
) -> dict[str, float]:
    """Print one size; returns what each stack adds to `off`, in microseconds."""
    body = body_of(size_kb)
    us = dict.fromkeys(stacks, float("inf"))
    for _ in range(rounds + 1):  # the first one warms up
        for name, app in stacks.items():
            us[name] = min(us[name], await block(app, body, count))
    over = {name: took - us["off"] for name, took in us.items()}
    length_kb = len(body) / 1024
    for name, took in us.items():
        line = f"{length_kb:6.1f}KB {name:12}{took:9.1f}{took / us['bare']:7.3f}"
        if name not in ("bare", "off"):
            line += f"{over[name]:10.1f}"
            if fixed:
                line += f"{(over[name] - fixed[name]) / length_kb:8.2f}"
        print(line)
    alone = gate_us(body)
    print(f"{length_kb:6.1f}KB {'gate alone':12}{alone:9.1f}{alone / length_kb:25.2f}")
    return over


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
