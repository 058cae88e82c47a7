"""Which handlers may answer with a Response of their own, past their response model.

Read from a handler's code at start-up, so that answers which a model certifies by
itself need not be looked at.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any

from failsoft.routes.discover import find_routes, walk
from failsoft.routes.table import keys_of

__all__ = ["bypassing", "may_bypass"]

_MOST_CODES = 100
_RESPONSE = ("starlette.responses", "Response")


def bypassing(app: Any) -> frozenset[str]:
    """Return the routes, `METHOD template`, whose handlers may bypass their model."""
    found: set[str] = set()
    for route in walk(find_routes(app) or ()):
        if may_bypass(getattr(route.context, "endpoint", None)):
            found.update(key for _, key in keys_of(route))
    return frozenset(found)


def may_bypass(endpoint: Any) -> bool:
    """Whether a handler names a class of Response, in its code or as what it returns.

    One that only calls another function which makes the Response is not found.
    """
    endpoint = inspect.unwrap(endpoint) if callable(endpoint) else endpoint
    function = getattr(endpoint, "__func__", endpoint)
    code = getattr(function, "__code__", None)
    if code is None:
        return False
    known = getattr(function, "__globals__", {})
    returned = getattr(function, "__annotations__", {}).get("return")
    if _is_response(known.get(returned) if isinstance(returned, str) else returned):
        return True
    closure = inspect.getclosurevars(function).nonlocals.values()
    return any(map(_is_response, closure)) or any(
        _names_response(each, known) for each in _codes(code)
    )


def _names_response(code: types.CodeType, known: dict[str, Any]) -> bool:
    names = code.co_names
    modules = [each for name in names if _is_module(each := known.get(name))]
    return any(
        _is_response(known.get(name))
        or any(_is_response(getattr(module, name, None)) for module in modules)
        for name in names
    )


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    todo = [code]
    for _ in range(_MOST_CODES):
        if not todo:
            return
        each = todo.pop()
        yield each
        todo += [c for c in each.co_consts if isinstance(c, types.CodeType)]


def _is_module(value: object) -> bool:
    return isinstance(value, types.ModuleType)


def _is_response(value: object) -> bool:
    # By name: what the application does not use is not to be imported.
    return isinstance(value, type) and any(
        (each.__module__, each.__name__) == _RESPONSE for each in value.__mro__
    )
