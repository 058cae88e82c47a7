"""Random flags and contexts through failsoft and through openfeature-flagd-core.

    python -m venv /tmp/peer && /tmp/peer/bin/pip install openfeature-flagd-core
    python tests/bench/flags_differential.py --peer /tmp/peer [--cases 100000]

Value, variant, reason and error code are compared.  The peer's JsonLogic package
installs a module name that others use too, so it runs in an environment of its own,
as children that answer line by line.  A difference is explained when the peer gives
our answer once it is changed in one named point and in nothing else; what stays is
printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from failsoft.controls.records import Record
from failsoft.errors import FlagError
from failsoft.flags import compile_flags, evaluate
from failsoft.flags._parse import parse_flag

PEER = Path(__file__).with_name("flags_peer.py")
# What the variants are worth, by the kind of flag.
KINDS: dict[str, tuple[Any, ...]] = {
    "boolean": (True, False, True, False),
    "string": ("red", "", "ünï", "blue"),
    "integer": (1, 0, -7, 1 << 40),
    "float": (0.5, 3, 0.0, -1.25),
    "object": ({"a": [1]}, {}, {"b": {"c": None}}, {"a": 2}),
}
DEFAULTS = {"boolean": False, "string": "-", "integer": 5, "float": 2.5, "object": {}}
NAMES = ("on", "off", "true", "false")
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
            paths = [self.dice.choice(PATHS), self.dice.choice(PATHS)]
            some = {"missing_some": [self.dice.choice((1, 2)), paths]}
            return some if self.dice.random() < 0.3 else {"missing": paths}
        return self.fractional(depth - 1)

    def fractional(self, depth: int) -> Any:
        arms: list[Any] = []
        for name in self.dice.sample(NAMES, self.dice.choice((1, 2, 3))):
            weight = self.dice.choice((1, 10, 50, 50, -5, {"var": "n"}))
            arms.append([name, weight] if self.dice.random() < 0.9 else [name])
        if self.dice.random() < 0.4:
            arms.insert(0, self.rule(depth))
        return {"fractional": arms}

    def targeting(self, test: Any) -> Any:
        shape = self.dice.random()
        if shape < 0.45:
            then = self.dice.choice(("on", "on", "on", "on", True, None, "nobody", 7))
            return {"if": [test, then, "off"]}
        if shape < 0.80:
            return {"if": [test, self.fractional(1), None]}
        return self.fractional(2)

    def case(self, version: int) -> dict[str, Any]:
        """A flag set of one flag "f", who asks for it, and as what."""
        test, evaluators = self.rule(self.dice.choice((1, 2, 3))), {}
        if self.dice.random() < 0.05:
            evaluators = {"shared": test} if isinstance(test, dict) else {}
            test = {"$ref": "shared"}
        kind = self.dice.choice(("boolean", "boolean", *KINDS))
        off = self.dice.random() < 0.03
        flag: dict[str, Any] = {
            "state": "DISABLED" if off else "ENABLED",
            "variants": dict(zip(NAMES, KINDS[kind], strict=True)),
            "defaultVariant": self.dice.choice(("on", "off", "off", None)),
            "targeting": None if self.dice.random() < 0.03 else self.targeting(test),
        }
        if version != 3:
            flag["metadata"] = {"x.hash": version}
        users = (f"user-{self.dice.randrange(10_000)}",) * 18 + (None, "")
        return {
            "flag": flag,
            "evaluators": evaluators,
            "kind": kind if self.dice.random() < 0.9 else self.dice.choice(list(KINDS)),
            "user": self.dice.choice(users),
            "context": self.context(),
        }

    def context(self) -> dict[str, Any]:
        found = {name: self.value() for name in ("a", "b", "n")}
        found["list"] = [self.value() for _ in range(self.dice.randrange(4))]
        found["version"] = self.dice.choice(("1.2.3", "v2", "2.0.0-rc.1", "1", "x"))
        return {**found, "o": {"a": self.value(), "b": [1, self.value()]}}


def ours(case: dict[str, Any]) -> list[Any]:
    raw = msgspec.json.encode(case["flag"])
    named = {k: msgspec.json.encode(v) for k, v in case["evaluators"].items()}
    try:
        parse_flag("f", raw, named)
    except FlagError as error:
        return ["refused", error.message]
    records = {("flag", "f"): Record("flag", "f", 1, 0, 0, raw)}
    for name, rule in named.items():
        records["evaluator", name] = Record("evaluator", name, 1, 0, 0, rule)
    state = compile_flags(1, records, {}, ())
    default, context = DEFAULTS[case["kind"]], case["context"]
    found = evaluate(state, "f", default, case["user"], lambda: dict(context))
    if found.error:
        return ["error", found.error]
    return [found.value, found.variant, found.reason]


def compare(
    peer: str, cases: int, seed: int, version: int
) -> tuple[Counter[str], list[str]]:
    """Return how many cases ended how, and those nothing explains."""
    maker, outcome, strange = Maker(random.Random(seed)), Counter[str](), list[str]()
    child = subprocess.Popen(
        [f"{peer}/bin/python", str(PEER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    for _ in range(cases):
        case = maker.case(version)
        line = json.dumps({**case, "default": DEFAULTS[case["kind"]]})
        child.stdin.write(line + "\n")
        child.stdin.flush()
        theirs, explained = json.loads(child.stdout.readline())
        # Read again: two values that look alike are then not the same object.
        found = ours(json.loads(line))
        verdict = judge(found, theirs, explained)
        outcome[verdict] += 1
        if verdict == "UNEXPLAINED":
            strange.append(f"{line}\n  ours {found}  theirs {theirs}  {explained}")
    child.stdin.close()
    child.wait(10)
    return outcome, strange[:20]


def judge(found: list[Any], theirs: list[Any], explained: dict[str, Any]) -> str:
    if alike(found, theirs):
        return "equal"
    if found[0] == "refused" and "weight" in found[1]:
        return "refused by us: weights that can only give null"
    if found[0] == "refused" and "array operators" in found[1]:
        return "refused by us: three array operators inside each other"
    for name, answer in explained.items():
        if alike(found, answer):
            return f"explained: {name}"
    return "UNEXPLAINED"


def alike(one: list[Any], two: list[Any]) -> bool:
    """Equal, with the same types: 1, 1.0 and true are three values."""
    return json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="environment of flagd-core")
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hash", type=int, default=3, help="2 for flagd-core 1.0")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    share = -(-args.cases // args.processes)
    seeds = range(args.seed * 1_000, args.seed * 1_000 + args.processes)
    outcome, strange = Counter[str](), list[str]()
    with ProcessPoolExecutor(args.processes) as pool:
        runs = [
            pool.submit(compare, args.peer, share, seed, args.hash) for seed in seeds
        ]
        for run in runs:
            counted, unexplained = run.result()
            outcome.update(counted)
            strange.extend(unexplained)
    print(*strange, sep="\n")
    for verdict, count in outcome.most_common():
        print(f"{count:8,}  {count / outcome.total():8.3%}  {verdict}")
    print(f"{outcome.total():8,}  cases, {outcome['UNEXPLAINED']} unexplained")
    return int("UNEXPLAINED" in outcome)


if __name__ == "__main__":
    sys.exit(main())
