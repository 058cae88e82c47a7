"""Members of JSON text are replaced without touching a byte beside them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.flags._splice import elements, members, replaced

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=5)
STYLES = st.sampled_from(
    [(None, None), (None, (",", ":")), (2, None), (7, (",", " : "))]
)


def written(value: Any, style: tuple[Any, Any]) -> bytes:
    indent, separators = style
    return json.dumps(value, indent=indent, separators=separators).encode()


@given(DOCUMENTS, VALUES, STYLES, st.integers(0, 5))
def test_a_member_is_set_and_all_others_keep_their_bytes(
    document: dict[str, Any], value: Any, style: tuple[Any, Any], number: int
) -> None:
    text = written(document, style)
    name = [*document, "new"][number % (len(document) + 1)]

    changed = replaced(text, {name: msgspec.json.encode(value)})

    assert json.loads(changed) == {**document, name: value}
    for member in members(text):
        if member.name != name:
            assert text[member.first : member.end] in changed


@given(DOCUMENTS, STYLES, st.sets(st.integers(0, 4)))
def test_members_are_dropped_with_one_comma_each(
    document: dict[str, Any], style: tuple[Any, Any], numbers: set[int]
) -> None:
    names = [name for at, name in enumerate(document) if at in numbers]

    changed = replaced(written(document, style), dict.fromkeys(names))

    kept = {name: v for name, v in document.items() if name not in names}
    assert json.loads(changed) == kept


@given(st.lists(VALUES, max_size=5), STYLES)
def test_elements_are_found_where_they_stand(
    items: list[Any], style: tuple[Any, Any]
) -> None:
    text = written(items, style)

    assert [json.loads(text[a:b]) for a, b in elements(text)] == items


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[1]", "line 1: expected {"),
        (b'{"a": 1,\n "b" 2}', "line 2: expected a colon"),
        (b'{"a": 1\n "b": 2}', "line 2: expected a comma or }"),
        (b'{"a": [1, {"b": "]"}', "line 1: expected an end"),
        (b'{"a": }', "line 1: expected a value"),
        (b"{a: 1}", "line 1: expected a name in quotes"),
        (b'{"\\ud800": 1}', "line 1: expected a name that is valid text"),
        (b"", "line 1: expected {, found the end"),
    ],
)
def test_what_is_no_object_is_told_with_its_line(text: bytes, said: str) -> None:
    with pytest.raises(ValueError, match="line") as caught:
        list(members(text))

    assert str(caught.value).startswith(said)


def test_a_value_nested_100_000_deep_is_only_passed_over() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000

    found = list(members(b'{"a":' + deep + b',"b":1}'))

    assert [member.name for member in found] == ["a", "b"]
