"""Gate and walk agree: the one certifies exactly where the other finds nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from failsoft.shapes.gate import compile_gate
from failsoft.shapes.graph import Node, Schemas
from failsoft.shapes.walk import walk
from shapegen import body_of, documents, values


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Node, bytes]:
    node = Schemas(draw(documents())).named("A")
    return node, body_of(draw(values(node)))


@settings(max_examples=25)
@given(_cases(), st.booleans())
def test_gate_and_walk_agree_on_every_body(
    case: tuple[Node, bytes], is_patch: bool
) -> None:
    node, body = case
    gate = compile_gate(node, is_patch=is_patch)

    walked = walk(node, body, is_patch=is_patch)

    if not walked.findings:
        assert gate.passes(body)
    if gate.passes(body) and not gate.is_partial:
        assert walked.findings == ()


@settings(max_examples=25)
@given(documents(), st.binary(max_size=60), st.data())
def test_neither_ever_raises(
    document: dict[str, Any], junk: bytes, data: st.DataObject
) -> None:
    node = Schemas(document).named("A")
    body = body_of(data.draw(values(node)))
    at = data.draw(st.integers(0, len(body)))
    body = body[:at] + junk + body[at:]

    passed = compile_gate(node).passes(body)

    assert passed or walk(node, body).findings
