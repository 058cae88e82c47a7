"""What a flag costs, as ratios in one run, against the bars of the flag language.

    python tests/bench/flags.py [--peer /tmp/peer] [--rounds 15]

Alternatives take turns in blocks, and the smallest block of each counts: what else
runs on the machine only ever adds.  Read the ratios, not the nanoseconds.  --peer:
an environment with openfeature-flagd-core (see flags_differential).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import mmh3
import msgspec

from failsoft import Failsoft, flag
from failsoft.controls.records import Record
from failsoft.flags import FlagState, check_flags, compile_flags, evaluate
from failsoft.store.protocols import Call, Change

BLOCK = 20_000
MANY = 10_000
VARIANTS = {"on": True, "off": False}
RULE = {
    "if": [
        {"==": [{"var": "country"}, "de"]},
        {"fractional": [["on", 50], ["off", 50]]},
        "off",
    ]
}
CONTEXT = {"country": "de", "tier": "gold"}

PEER = """
import json, sys, timeit
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
core = FlagdCore()
core.set_flags({"flags": {"f": json.loads(sys.argv[1])}})
context = EvaluationContext("user-1", json.loads(sys.argv[2]))
call = lambda: core.resolve_boolean_value("f", False, context)
print(min(timeit.repeat(call, number=2000, repeat=15)) / 2000 * 1e9)
"""


def document(targeting: Any = None) -> dict[str, Any]:
    flag: dict[str, Any] = {"state": "ENABLED", "variants": VARIANTS}
    return {**flag, "defaultVariant": "off", "targeting": targeting}


def records_of(count: int) -> dict[tuple[str, str], Record]:
    raw = msgspec.json.encode(document(RULE))
    names = ["f", *(f"team-{n % 50}.flag-{n}" for n in range(count - 1))]
    return {("flag", n): Record("flag", n, 1, 0, 0, bytes(raw)) for n in names}


def by_hand(key: str, user: str, context: dict[str, Any]) -> bool:
    """Decide as a programmer would write it for this one flag."""
    if context.get("country") != "de":
        return False
    name = key.encode()
    who = user.encode()
    head = bytes((0x82, 0x60 | len(name)))
    packed = head + name + bytes((0x60 | len(who),)) + who
    return ((mmh3.hash(packed, signed=False) * 100) >> 32) < 50


def timed_ns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            begin = perf_counter()
            for _ in range(BLOCK):
                call()
            spent = (perf_counter() - begin) / BLOCK * 1e9
            best[name] = min(best[name], spent)
    return best


def calls_ns(rounds: int) -> dict[str, float]:
    few, many = compile_flags(1, records_of(10), {}, ()), all_used(records_of(MANY))
    plain = {("flag", "f"): Record("flag", "f", 1, 0, 0, raw_of(document()))}
    fixed = compile_flags(1, plain, {}, ())
    values, context = {"f": True}, CONTEXT.copy

    return timed_ns(
        {
            "nothing": lambda: None,
            "dict lookup": lambda: values["f"],
            "plain": lambda: evaluate(fixed, "f", False, None),
            "by hand": lambda: by_hand("f", "user-1", context()),
            "rule": lambda: evaluate(few, "f", False, "user-1", context),
            "rule of 10,000": lambda: evaluate(many, "f", False, "user-1", context),
        },
        rounds,
    )


async def calls_from_code_ns(rounds: int) -> dict[str, float]:
    """The same flags through `failsoft.flag`, which counts, and fills the context."""
    app = Failsoft(_no_app)
    runtime, flags = app.runtime, {"plain": document(), "rule": document(RULE)}
    await runtime.ensure()
    changes = tuple(Change("flag", k, "put", json=raw_of(d)) for k, d in flags.items())
    answer = await runtime.store.apply(Call("op", "ana", "bench", changes))
    while runtime.snapshot.revision < answer.revision:  # noqa: ASYNC110 - a script
        await asyncio.sleep(0.01)
    found = timed_ns(
        {
            "failsoft.flag, plain": lambda: flag("plain", False),
            "failsoft.flag, rule": lambda: flag(
                "rule", False, targeting_key="user-1", context=CONTEXT
            ),
        },
        rounds,
    )
    await runtime.stop()
    return found


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no request is made")


def raw_of(flag: dict[str, Any]) -> bytes:
    return msgspec.json.encode(flag)


def all_used(records: dict[tuple[str, str], Record]) -> FlagState:
    state = compile_flags(1, records, {}, ())
    for _, name in records:
        evaluate(state, name, False, "user-1", CONTEXT.copy)
    return state


def edit_ms(rounds: int) -> float:
    """CPU of one edit among 10,000 flags, until it is served."""
    records = records_of(MANY)
    state, best = all_used(records), float("inf")
    for turn in range(rounds):
        rule = {"if": [{"==": [{"var": "country"}, f"c{turn}"]}, "on"]}
        edited = Record("flag", "f", 2, 0, 0, raw_of(document(rule)))
        begin = process_time()
        # As the watcher does: a copy, with the edit at the end.
        records = dict(records)
        del records["flag", "f"]
        records["flag", "f"] = edited
        state = compile_flags(2 + turn, records, {}, (), state)
        evaluate(state, "f", False, "user-1", CONTEXT.copy)
        best = min(best, process_time() - begin)
    return best * 1e3


def load_ms() -> tuple[float, float]:
    """Return CPU of a full load, and of the longest slice of checks after it."""
    records, empty = records_of(MANY), compile_flags(0, {}, {}, ())
    begin = process_time()
    state = compile_flags(1, records, {}, (), empty)
    load_s, slice_s, left = process_time() - begin, 0.0, True
    while left:
        begin = process_time()
        left = check_flags(state, 50)
        slice_s = max(slice_s, process_time() - begin)
    return load_s * 1e3, slice_s * 1e3


def peer_ns(peer: str) -> float:
    flag, context = raw_of(document(RULE)).decode(), raw_of(CONTEXT).decode()
    command = [f"{peer}/bin/python", "-c", PEER, flag, context]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def show(what: str, found: float, bar: str = "", unit: str = "x") -> None:
    print(f"{what:48}{found:9.2f} {unit:3} {'bar ' + bar if bar else ''}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", default="", help="environment of flagd-core")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    gc.freeze()
    ns = calls_ns(args.rounds) | asyncio.run(calls_from_code_ns(args.rounds))
    for name, cost in ns.items():
        print(f"{name:48}{cost:9.0f} ns")
    # The call of the lambda is in both sides of each ratio.
    show("plain flag / dict lookup", ns["plain"] / ns["dict lookup"], "<= 4")
    show("rule and 50 % / by hand", ns["rule"] / ns["by hand"], "<= 4")
    show("10,000 flags / 10", ns["rule of 10,000"] / ns["rule"], "<= 1.25")
    if args.peer:
        show("flagd-core / rule and 50 %", peer_ns(args.peer) / ns["rule"], ">= 20")
    show("one edit among 10,000, CPU", edit_ms(args.rounds), "<= 1", "ms")
    for how in ("plain", "rule"):
        show(f"failsoft.flag / evaluate, {how}", ns[f"failsoft.flag, {how}"] / ns[how])
    load, slice_ = load_ms()
    show("load of 10,000 flags, CPU", load, "<= 10", "ms")
    show("longest slice of checks after it, CPU", slice_, "<= 10", "ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
