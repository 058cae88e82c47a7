"""What the operators do with evaluated arguments.

JsonLogic as flagd's evaluators have it, JavaScript's meaning where those differ
among themselves: null equals only null, true is not 1 under `===` and `in`, an
absent argument is not a null one.  Source: jsonlogic.com; open-feature/flagd.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from failsoft.flags._model import RuleFault
from failsoft.flags._semver import COMPARISONS, parse_version

__all__ = ["EAGER", "equals", "look_up", "missing", "sem_ver", "truthy"]

MAX_ELEMENTS = 1_000
MAX_TEXT = 4_096

_NAN = math.nan
# JavaScript's decimal literals: Python's float() also takes 1_000 and infinity.
_DECIMAL = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_MAX_INTEGER = 1 << 63


def number(value: Any) -> float:
    """Return a value as a number, NaN for what is none."""
    if isinstance(value, int | float):
        return value
    if value is None:
        return 0
    if isinstance(value, str):
        fits = len(value) < 400 and _DECIMAL.fullmatch(value)
        return float(value) if fits else _NAN
    if isinstance(value, list | tuple) and len(value) < 2:
        return number(value[0]) if value else 0
    return _NAN


def text(value: Any) -> str:
    """Return a value as text, as `cat` joins it."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, list | tuple):
        return short(",".join(map(text, bounded(value))))
    return "[object Object]" if isinstance(value, dict) else str(value)


def truthy(value: Any) -> bool:
    """Whether JsonLogic counts a value as true: empty arrays and NaN do not."""
    if isinstance(value, float) and math.isnan(value):
        return False
    return True if isinstance(value, dict) else bool(value)


def bounded(items: Any) -> Any:
    """Return the items; RuleFault beyond 1,000 of them."""
    if len(items) > MAX_ELEMENTS:
        raise RuleFault("GENERAL", f"{len(items)} elements, at most {MAX_ELEMENTS}")
    return items


def short(joined: str) -> str:
    """Return a text that was put together; RuleFault beyond 4,096 characters."""
    if len(joined) > MAX_TEXT:
        raise RuleFault("GENERAL", f"{len(joined)} characters, at most {MAX_TEXT}")
    return joined


def equals(one: Any = None, two: Any = None, *_: Any) -> bool:
    """Whether `==` holds, after JavaScript's conversions."""
    if one is None or two is None:
        return one is two
    if isinstance(one, str) and isinstance(two, str):
        return one == two
    pair = (_is_nested(one), _is_nested(two))
    if all(pair):
        return one is two
    if any(pair) and isinstance(two if pair[0] else one, str):
        return text(one) == text(two)
    return number(one) == number(two)


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | tuple | dict)


def _strictly(one: Any = None, two: Any = None, *_: Any) -> bool:
    if isinstance(one, bool) != isinstance(two, bool):
        return False
    return bool(one == two)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    """Build `<` and its like: of two, or of three as "between"."""

    def holds(one: Any, two: Any) -> bool:
        if isinstance(one, str) and isinstance(two, str):
            return compare(one, two)
        return compare(number(one), number(two))

    def ordered(one: Any = None, two: Any = None, *more: Any) -> bool:
        return holds(one, two) and (not more or holds(two, more[0]))

    return ordered


def _kept(value: float) -> float:
    # JavaScript has doubles only; Python's integers grow until memory ends.
    if isinstance(value, int) and not -_MAX_INTEGER < value < _MAX_INTEGER:
        return float(value)
    return value


def _add(*args: Any) -> float:
    total: float = 0
    for arg in args:
        total = _kept(total + number(arg))
    return total


def _multiply(*args: Any) -> float:
    product: float = 1
    for arg in args:
        product = _kept(product * number(arg))
    return product


def _subtract(one: Any = None, *more: Any) -> float:
    return _kept(number(one) - number(more[0]) if more else -number(one))


def _divide(one: Any = None, two: Any = None, *_: Any) -> float:
    return number(one) / number(two)


def _remainder(one: Any = None, two: Any = None, *_: Any) -> float:
    left, right = number(one), number(two)
    if isinstance(left, int) and isinstance(right, int):
        # The sign is the dividend's, as in every language flagd speaks but this.
        rest = abs(left) % abs(right)
        return rest if left >= 0 else -rest
    return math.fmod(left, right)


def _least(*args: Any) -> float:
    return min(map(number, args), default=_NAN)


def _most(*args: Any) -> float:
    return max(map(number, args), default=_NAN)


def _cat(*args: Any) -> str:
    return short("".join(map(text, args)))


def _substr(source: Any = None, start: Any = None, length: Any = None, *_: Any) -> str:
    whole = text(source)
    begin = _whole(start)
    begin = max(0, len(whole) + begin) if begin < 0 else begin
    if length is None:
        return whole[begin:]
    size = _whole(length)
    # A negative length leaves out that many characters at the end.
    return whole[begin : begin + size if size >= 0 else max(begin, len(whole) + size)]


def _whole(value: Any) -> int:
    found = number(value)
    return 0 if math.isnan(found) else int(found)


def _contains(needle: Any = None, hay: Any = None, *_: Any) -> bool:
    if isinstance(hay, str):
        return text(needle) in hay
    if not isinstance(hay, list | tuple):
        return False
    return any(_strictly(needle, straw) for straw in bounded(hay))


def _merge(*args: Any) -> list[Any]:
    merged: list[Any] = []
    for arg in args:
        merged.extend(arg if isinstance(arg, list | tuple) else (arg,))
        bounded(merged)
    return merged


def look_up(data: Any, key: Any, default: Any = None) -> Any:
    """Return what a dotted path leads to in the context, else the default."""
    if key is None or key == "":
        return data
    for name in text(key).split("."):
        if isinstance(data, dict):
            data = data.get(name)
        elif isinstance(data, list | tuple | str):
            data = _element(data, name)
        else:
            return default
    return default if data is None else data


def _element(items: Any, name: str) -> Any:
    if name == "length":
        return len(items)
    if not (name.isascii() and name.isdigit() and len(name) < 10):
        return None
    at = int(name)
    return items[at] if at < len(items) and str(at) == name else None


def missing(data: Any, keys: Any) -> list[Any]:
    """Return those of the paths that lead nowhere, or to empty text."""
    found = ((key, look_up(data, key)) for key in bounded(keys))
    return [key for key, value in found if value is None or value == ""]


def _both_text(test: Callable[[str, str], bool]) -> Callable[..., bool | None]:
    def tested(*args: Any) -> bool | None:
        if len(args) != 2 or not all(isinstance(arg, str) for arg in args):
            return None
        return test(*args)

    return tested


def sem_ver(*args: Any) -> bool | None:
    """Compare two versions; null for what is no version and no comparison."""
    if len(args) != 3 or not isinstance(args[1], str):
        return None
    one, two = parse_version(args[0]), parse_version(args[2])
    compare = COMPARISONS.get(args[1])
    if one is None or two is None or compare is None:
        return None
    return compare(one, two)


EAGER: dict[str, Callable[..., Any]] = {
    "==": equals,
    "!=": lambda *args: not equals(*args),
    "===": _strictly,
    "!==": lambda *args: not _strictly(*args),
    "<": _ordered(lambda one, two: one < two),
    "<=": _ordered(lambda one, two: one <= two),
    ">": _ordered(lambda one, two: one > two),
    ">=": _ordered(lambda one, two: one >= two),
    "!": lambda value=None, *_: not truthy(value),
    "!!": lambda value=None, *_: truthy(value),
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _remainder,
    "min": _least,
    "max": _most,
    "cat": _cat,
    "substr": _substr,
    "in": _contains,
    "merge": _merge,
    "sem_ver": sem_ver,
    "starts_with": _both_text(str.startswith),
    "ends_with": _both_text(str.endswith),
}
