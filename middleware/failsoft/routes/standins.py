"""Answers that stand in for an application's: fixed ones, and named functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from failsoft.errors import DefinitionError
from failsoft.settings import StaticAnswer

__all__ = ["HANDLERS", "Static", "handler"]

_MOST_BYTES = 65_536
_F = TypeVar("_F", bound=Callable[..., Any])

# By name; filled when modules are imported, read at the start.
HANDLERS: dict[str, Callable[..., Any]] = {}


class Static(StaticAnswer):
    """A fixed answer, as `failsoft.Static("[]", "application/json")` for a fallback.

    body: at most 64 KiB, text is sent as UTF-8.  status: 200 to 599.  Raises
    DefinitionError.
    """

    __slots__ = ()

    def __init__(
        self,
        body: bytes | str,
        media_type: str = "text/plain; charset=utf-8",
        status: int = 200,
    ) -> None:
        raw = body.encode() if isinstance(body, str) else bytes(body)
        findings = []
        if len(raw) > _MOST_BYTES:
            findings.append(
                f"failsoft.Static: body has {len(raw)} bytes; 65536 at most"
            )
        if not 200 <= status <= 599:
            findings.append(f"failsoft.Static: status = {status}; write 200 to 599")
        if findings:
            raise DefinitionError(findings)
        super().__init__(raw, media_type, status)


def handler(name: str) -> Callable[[_F], _F]:
    """Name a function that answers for routes: as `fallback`, or of a mode's `reroute`.

    It takes a `starlette.requests.Request` and returns a Response with a body, a
    `Static`, text, bytes or what JSON can say; None, or an error, leaves the failure
    as it was.  A plain `def` runs on the event loop and must not wait.
    Raises DefinitionError where the name is taken.
    """

    if not isinstance(name, str):
        called = getattr(name, "__name__", "name")
        found = f'@failsoft.handler needs a name; write @failsoft.handler("{called}")'
        raise DefinitionError([found])

    def mark(function: _F) -> _F:
        known = HANDLERS.setdefault(name, function)
        if known is not function and _place(known) != _place(function):
            found = (
                f"failsoft.handler({name!r}): is {_place(known)} already; rename one"
            )
            raise DefinitionError([found])
        HANDLERS[name] = function  # the same place: its module was loaded again
        return function

    return mark


def _place(function: Callable[..., Any]) -> str:
    named = getattr(function, "__qualname__", repr(function))
    return f"{getattr(function, '__module__', '')}.{named}"
