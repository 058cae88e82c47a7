"""Answers flags with openfeature-flagd-core: the child of flags_differential.

Runs in an environment of its own.  One line in: a case.  One line out: [answer,
{point: answer once that point alone is as failsoft has it}].
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable
from typing import Any

from json_logic import apply as logic  # type: ignore[import-not-found]
from json_logic import builtins
from openfeature.contrib.tools.flagd.core import (  # type: ignore[import-not-found]
    FlagdCore,
)
from openfeature.contrib.tools.flagd.core.targeting import (  # type: ignore[import-not-found]
    targeting,
)
from openfeature.evaluation_context import EvaluationContext

Operator = Callable[..., Any]
OPERATORS: dict[str, Operator] = sys.modules[targeting.__module__].OPERATORS
PLAIN = dict(OPERATORS)
to_number, to_string = builtins.to_number, builtins.to_string


def equals(data: Any = None, a: Any = None, b: Any = None, *_: Any) -> bool:
    if a is None or b is None:
        return a is b
    return bool(builtins.op_equals(data, a, b))


def same(a: Any = None, b: Any = None) -> bool:
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def contains(data: Any = None, a: Any = None, b: Any = None, *_: Any) -> bool:
    if isinstance(b, list):
        return any(same(a, one) for one in b)
    return isinstance(b, str) and words(a) in b


def ordered(compare: Callable[[Any, Any], bool]) -> Operator:
    def holds(a: Any, b: Any) -> bool:
        if isinstance(a, str) and isinstance(b, str):
            return compare(a, b)
        return compare(to_number(a), to_number(b))

    def operator(data: Any = None, a: Any = None, b: Any = None, *more: Any) -> bool:
        return holds(a, b) and (not more or holds(b, more[0]))

    return operator


def subtract(data: Any = None, a: Any = None, *more: Any) -> Any:
    return to_number(a) - to_number(more[0]) if more else -to_number(a)


def remainder(data: Any = None, a: Any = None, b: Any = None, *_: Any) -> Any:
    return math.fmod(to_number(a), to_number(b))


def words(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(words, value))
    return str(to_string(value))


POINTS: dict[str, dict[str, Operator]] = {
    "null equals only null": {
        "==": equals,
        "!=": lambda data=None, *args: not equals(data, *args),
    },
    "the text of true is `true`": {
        "cat": lambda data=None, *args: "".join(map(words, args)),
        "substr": lambda data=None, a=None, *more: PLAIN["substr"](
            data, words(a), *more
        ),
    },
    "true is not 1 under ===, !== and in; its text is `true`": {
        "===": lambda data=None, a=None, b=None, *_: same(a, b),
        "!==": lambda data=None, a=None, b=None, *_: not same(a, b),
        "in": contains,
    },
    "order: text only with text, null as an upper bound is 0": {
        "<": ordered(lambda a, b: a < b),
        "<=": ordered(lambda a, b: a <= b),
        ">": ordered(lambda a, b: a > b),
        ">=": ordered(lambda a, b: a >= b),
    },
    "x - null is x": {"-": subtract},
    "remainder has the sign of the dividend": {"%": remainder},
}


def code_of(error: Exception) -> str:
    """What OpenFeature's client makes of an exception."""
    return str(getattr(error, "error_code", "GENERAL"))


def reply(core: Any, case: dict[str, Any], *, strict: bool = False) -> list[Any]:
    """Ask the peer.  strict: a boolean is no float."""
    resolve = getattr(core, f"resolve_{case['kind']}_value")
    context = EvaluationContext(case["user"], case["context"])
    try:
        found = resolve("f", case["default"], context)
    except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
        return ["error", code_of(error)]
    stored = case["flag"]["variants"].get(found.variant)
    if strict and case["kind"] == "float" and isinstance(stored, bool):
        return ["error", "TYPE_MISMATCH"]
    return [found.value, found.variant, str(found.reason).rpartition(".")[2]]


def substituted(value: Any, evaluators: dict[str, Any]) -> Any:
    """Put evaluators in the place of their names."""
    if isinstance(value, list):
        return [substituted(item, evaluators) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("$ref") in evaluators:
        return evaluators[value["$ref"]]
    return {name: substituted(item, evaluators) for name, item in value.items()}


def answers(line: str) -> list[Any]:
    case = json.loads(line)
    core = FlagdCore()
    evaluators = case["evaluators"]
    flags = {"f": case["flag"]}
    explained: dict[str, Any] = {}
    try:
        core.set_flags({"flags": dict(flags), "$evaluators": evaluators})
        plain = reply(core, case)
    except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
        plain = ["error", code_of(error)]
        core.set_flags({"flags": substituted(flags, evaluators)})
        explained["$ref is put on the tree, not by a regex on text"] = reply(core, case)
    explained["a boolean is no float"] = reply(core, case, strict=True)
    changed = {**PLAIN}
    for name, operators in POINTS.items():
        OPERATORS.update(operators)
        changed.update(operators)
        explained[name] = reply(core, case)
        OPERATORS.update(PLAIN)
    OPERATORS.update(changed)
    explained["several of these"] = reply(core, case, strict=True)
    OPERATORS.update(PLAIN)
    return [plain, explained]


if __name__ == "__main__":
    logging.disable()
    assert logic is not None
    for one in sys.stdin:
        print(json.dumps(answers(one)), flush=True)
