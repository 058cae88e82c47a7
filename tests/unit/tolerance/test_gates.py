"""When gates are compiled, by whom."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from failsoft.routes.models import RouteShapes
from failsoft.shapes.gate import Gate, GateBook
from failsoft.shapes.graph import Schemas
from failsoft.tolerance._gates import Gates


def gates() -> Gates:
    schemas = Schemas({})
    shapes = {
        f"POST /{kind}": RouteShapes(request=schemas.node({"type": kind}))
        for kind in ("integer", "string")
    }
    return Gates(shapes, (), threading.Lock())


def test_a_thread_that_finds_another_at_it_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, go_on, real = threading.Event(), threading.Event(), GateBook.compile

    def slow(*args: Any, **more: Any) -> Gate:
        begun.set()
        go_on.wait(5)
        return real(*args, **more)

    monkeypatch.setattr(GateBook, "compile", slow)
    held = gates()
    first = threading.Thread(target=held.compile)
    first.start()
    begun.wait(5)

    held.compile()

    assert len(held.wanted) == 2
    go_on.set()
    first.join(5)
    assert held.wanted == []


def test_a_schema_that_cannot_be_compiled_keeps_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = GateBook.compile

    def odd(book: GateBook, node: Any, **more: Any) -> Gate:
        if "integer" in node.types:
            raise ValueError("an odd schema")
        return real(book, node, **more)

    monkeypatch.setattr(GateBook, "compile", odd)
    held = gates()
    wanted = list(held.wanted)

    with pytest.raises(ValueError, match="odd"):
        held.compile()
    held.compile()

    assert [each.gate is not None for each in wanted] == [False, True]
