"""Random flags and contexts through failsoft and through openfeature-flagd-core.

    python -m venv /tmp/peer && /tmp/peer/bin/pip install openfeature-flagd-core
    python tests/bench/flags_differential.py --peer /tmp/peer [--cases 2000] [--seed 1]

The peer's JsonLogic package installs a module name that others use too, so it runs
in an environment of its own, as a child that answers line by line.  A difference
is explained when the peer gives our answer once its operators are replaced by ones
that differ in the named points only; what stays is printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from failsoft.controls.records import Record
from failsoft.errors import FlagError
from failsoft.flags import compile_flags, evaluate
from failsoft.flags._parse import parse_flag

PEER = Path(__file__).with_name("flags_peer.py")
VARIANTS = {"on": True, "off": False, "true": True, "false": False}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2.5, 3.0, 10, 50, "", "a", "ab", "de", "at", "10"),
    *("1.2.3", "v2", "2.0.0-rc.1", "ünï-7", "x.y", [], [1], [1, 2, 3], ["de", "at"]),
    *({}, {"a": 1, "b": [1, "c"]}),
)
PATHS = ("a", "b", "n", "list", "o.a", "o.b.1", "nobody", "version", "targetingKey")
PLAIN = ["==", "!=", "===", "!==", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"]
PLAIN += ["min", "max", "cat", "substr", "in", "merge", "starts_with", "ends_with"]
PLAIN += ["!", "!!", "and", "or", "if"]
LOOPS = ("map", "filter", "all", "none", "some")


class Maker:
    """Makes rules; `dice` decides everything."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice

    def value(self) -> Any:
        return self.dice.choice(VALUES)

    def leaf(self) -> Any:
        if self.dice.random() < 0.5:
            return {"var": self.dice.choice(PATHS)}
        value = self.value()
        return {"var": ["nobody", value]} if self.dice.random() < 0.1 else value

    def rule(self, depth: int) -> Any:
        if depth == 0:
            return self.leaf()
        kind = self.dice.random()
        if kind < 0.70:
            name = self.dice.choice(PLAIN)
            count = self.dice.choice((1, 2, 2, 2, 3))
            return {name: [self.rule(depth - 1) for _ in range(count)]}
        if kind < 0.80:
            each = {self.dice.choice(("==", "<", "+")): [{"var": ""}, self.value()]}
            return {self.dice.choice(LOOPS): [self.rule(depth - 1), each]}
        if kind < 0.85:
            total = {"+": [{"var": "accumulator"}, {"var": "current"}]}
            return {"reduce": [self.rule(depth - 1), total, 0]}
        if kind < 0.90:
            compare = self.dice.choice(("=", "!=", "<", "<=", ">", ">=", "^", "~", "?"))
            return {"sem_ver": [self.leaf(), compare, self.value()]}
        if kind < 0.95:
            return {"missing": [self.dice.choice(PATHS), self.dice.choice(PATHS)]}
        return self.fractional(depth - 1)

    def fractional(self, depth: int) -> Any:
        arms: list[Any] = []
        for name in self.dice.sample(list(VARIANTS), self.dice.choice((1, 2, 3))):
            weight = self.dice.choice((1, 10, 50, 50, -5, {"var": "n"}))
            arms.append([name, weight] if self.dice.random() < 0.9 else [name])
        if self.dice.random() < 0.4:
            arms.insert(0, self.rule(depth))
        return {"fractional": arms}

    def flag(self) -> dict[str, Any]:
        test = self.rule(self.dice.choice((1, 2, 3)))
        shape = self.dice.random()
        if shape < 0.5:
            rule = {"if": [test, "on", "off"]}
        elif shape < 0.8:
            rule = {"if": [test, self.fractional(1), None]}
        else:
            rule = self.fractional(2)
        default = self.dice.choice(("on", "off", "off", None))
        flag = {"state": "ENABLED", "variants": VARIANTS, "targeting": rule}
        return {**flag, "defaultVariant": default}

    def context(self) -> dict[str, Any]:
        found = {name: self.value() for name in ("a", "b", "n")}
        found["list"] = [self.value() for _ in range(self.dice.randrange(4))]
        found["version"] = self.dice.choice(("1.2.3", "v2", "2.0.0-rc.1", "1", "x"))
        return {**found, "o": {"a": self.value(), "b": [1, self.value()]}}


def ours(flag: dict[str, Any], user: str, context: dict[str, Any]) -> list[Any]:
    raw = msgspec.json.encode(flag)
    try:
        parse_flag("f", raw)
    except FlagError as error:
        return ["refused", error.message]
    records = {("flag", "f"): Record("flag", "f", 1, 0, 0, raw)}
    state = compile_flags(1, records, {}, ())
    found = evaluate(state, "f", False, user, lambda: dict(context))
    if found.reason == "ERROR":
        return ["error"]
    return [found.value, found.variant, found.reason]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="environment of flagd-core")
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    maker, outcome = Maker(random.Random(args.seed)), Counter[str]()
    peer = subprocess.Popen(
        [f"{args.peer}/bin/python", str(PEER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert peer.stdin is not None
    assert peer.stdout is not None
    for _ in range(args.cases):
        flag, context = maker.flag(), maker.context()
        user = f"user-{maker.dice.randrange(10_000)}"
        peer.stdin.write(json.dumps([flag, user, context]) + "\n")
        peer.stdin.flush()
        theirs, explained = json.loads(peer.stdout.readline())
        found = ours(flag, user, context)
        verdict = judge(found, theirs, explained)
        outcome[verdict] += 1
        if verdict == "UNEXPLAINED" and outcome[verdict] <= 20:
            print(json.dumps(flag["targeting"]), json.dumps(context), user)
            print("  ours", found, " theirs", theirs, " explained", explained)
    peer.stdin.close()
    peer.wait(10)
    for verdict, count in outcome.most_common():
        print(f"{count:7}  {verdict}")
    return int("UNEXPLAINED" in outcome)


def judge(found: list[Any], theirs: list[Any], explained: dict[str, Any]) -> str:
    if found == theirs:
        return "equal"
    if found[0] == "refused" and "weight" in found[1]:
        return "refused by us: weights that can only give null"
    if found[0] == "refused" and "array operators" in found[1]:
        return "refused by us: three array operators inside each other"
    for name, answer in explained.items():
        if found == answer:
            return f"explained: {name}"
    return "UNEXPLAINED"


if __name__ == "__main__":
    sys.exit(main())
