"""The places that a 422 names, in the client's terms.

Knows FastAPI's `{"detail": [{"loc": ["body", "qty"], ...}]}` and RFC 9457 problems
with `errors[].pointer`; what it does not know stays as it is.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from failsoft.shapes.rawjson import (
    UNREADABLE,
    close,
    open_list,
    open_object,
    read,
    scalar,
    write,
)
from failsoft.versions._paths import Tokens, pointer_of, tokens_of
from failsoft.versions._program import Migrated, Program

__all__ = ["LocMap"]


class LocMap:
    """Rewrites a 422 body of one route for one version.  Never raises.

    program: the request's chain.  query, headers: (old, head) names.
    """

    def __init__(
        self,
        program: Program | None,
        query: tuple[tuple[str, str], ...] = (),
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self._program = program
        names = {
            "query": {now: was for was, now in query},
            # Handlers name headers as Python does: x_request_id is not told apart.
            "header": {
                now.decode("latin-1"): was.decode("latin-1") for was, now in headers
            },
        }
        self._names = names

    def __call__(self, body: bytes, kind: str = "json") -> Migrated:
        """Return the body with its places in the client's terms."""
        try:
            members = open_object(Raw(body))
            if members is None or not self._rewrite(members):
                return Migrated(body)
            return Migrated(close(members))
        except UNREADABLE:
            return Migrated(body)

    def _rewrite(self, members: dict[str, Any]) -> bool:
        has_changed = False
        for key in ("detail", "errors"):
            items = self._items(open_list(members.get(key)) or [])
            if items is not None:
                members[key] = items
                has_changed = True
        return has_changed

    def _items(self, items: list[Any]) -> list[Any] | None:
        """Return the errors with their places; None if nothing changed."""
        has_changed = False
        told: dict[bytes, Any] = {}
        for item in items:
            error = open_object(item)
            if error is not None and self._place(error):
                has_changed = True
                item = error
            # What split a field is missing twice; its client sent one field.
            told.setdefault(close(item), item)
        return list(told.values()) if has_changed else None

    def _place(self, error: dict[str, Any]) -> bool:
        if "loc" in error:
            loc = read(error["loc"])
            if not isinstance(loc, list) or not loc:
                return False
            told = self._loc(loc)
            is_hidden = self._hide_input(error, is_body=loc[0] == "body")
            if told == loc:
                return is_hidden
            error["loc"] = write(told)
            return True
        pointer = scalar(error.get("pointer"))
        if type(pointer) is not str or "/" not in pointer or self._program is None:
            return False
        mark = "#" if pointer.startswith("#") else ""
        old = self._program.back(tokens_of(pointer))
        told_pointer = mark + pointer_of(old or ())
        error["pointer"] = write(told_pointer)
        return told_pointer != pointer

    def _loc(self, loc: list[Any]) -> list[Any]:
        source, path = loc[0], loc[1:]
        if source in self._names and path:
            return [source, self._names[source].get(path[0], path[0]), *path[1:]]
        is_plain = all(type(token) in (str, int) for token in path)
        if source != "body" or self._program is None or not is_plain:
            return loc
        old: Tokens | None = self._program.back(tuple(path))
        return ["body", *(old or ())]

    def _hide_input(self, error: dict[str, Any], *, is_body: bool) -> bool:
        """Drop `input` where it may show what the client did not send."""
        if self._program is None or not is_body or "input" not in error:
            return False
        if type(scalar(error["input"])) is Raw:  # an object or a list
            del error["input"]
            return True
        return False
