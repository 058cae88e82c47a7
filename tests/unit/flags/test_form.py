"""Rules that fit a form are edited as one; what it does not touch keeps its bytes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.flags._form import (
    COMPARISONS,
    Condition,
    Form,
    FormRule,
    Split,
    read_form,
    write_form,
)
from failsoft.flags._parse import parse_flag

HEAD = b'{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off"'
RULE = b'{"in": [ {"var":["country"]}, ["DE",  "AT"] ]}'
RULED = (
    HEAD
    + b', "targeting": {"if":['
    + RULE
    + b', "on" , {"fractional":[["on",5],["off"]]}]}}'
)

NAMES = st.sampled_from(["on", "off"])
SCALARS = st.text("abc", max_size=3) | st.integers(-5, 5) | st.booleans() | st.none()
SPLITS = st.builds(
    Split,
    st.lists(st.tuples(NAMES, st.integers(1, 99)), min_size=1, max_size=3).map(tuple),
    st.sampled_from(["", '{"var":"company"}']),
)
OUTCOMES = NAMES | SPLITS


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    comparison = draw(st.sampled_from(COMPARISONS))
    values: tuple[str | int | float | bool | None, ...]
    if comparison in ("in", "not in"):
        values = tuple(draw(st.lists(SCALARS, max_size=3)))
    elif comparison == "sem_ver":
        values = (draw(st.sampled_from(["=", "^", "<"])), "1.2.3")
    else:
        values = (draw(SCALARS),)
    return Condition(
        draw(st.sampled_from(["country", "user.tier"])), comparison, values
    )


RULES = st.builds(
    FormRule, st.lists(conditions(), min_size=1, max_size=2).map(tuple), OUTCOMES
)
FORMS = st.builds(
    Form,
    st.booleans(),
    NAMES,
    st.just(("on", "off")),
    st.lists(RULES, min_size=1, max_size=3).map(tuple),
    st.none() | OUTCOMES,
)


@given(FORMS)
def test_a_form_is_read_back_as_it_was_written(form: Form) -> None:
    json = write_form(HEAD + b"}", form)

    assert repr(read_form(json)) == repr(form)
    parse_flag("a", json)


def test_a_rule_that_is_not_touched_keeps_its_bytes() -> None:
    form = read_form(RULED)
    assert form is not None
    assert form.rules[0].conditions == (Condition("country", "in", ("DE", "AT")),)
    assert form.otherwise == Split((("on", 5), ("off", 1)))
    extra = FormRule((Condition("beta", "==", (True,)),), "on")

    changed = write_form(
        RULED, msgspec.structs.replace(form, rules=(extra, *form.rules))
    )

    assert RULE in changed
    assert b'{"fractional":[["on",5],["off"]]}' in changed
    assert changed.startswith(HEAD)


def test_a_form_that_is_not_changed_changes_no_byte() -> None:
    form = read_form(RULED)
    assert form is not None

    assert write_form(RULED, form) == RULED


def test_true_is_not_one() -> None:
    form = read_form(HEAD + b',"targeting":{"if":[{"==":[{"var":"a"},1]},"on"]}}')
    assert form is not None
    rule = FormRule((Condition("a", "==", (True,)),), "on")

    json = write_form(HEAD + b"}", msgspec.structs.replace(form, rules=(rule,)))

    assert b'{"==":[{"var":"a"},true]}' in json


def test_without_rules_the_variant_of_all_others_is_the_default() -> None:
    form = Form(True, "off", ("on", "off"), (), "on")

    json = write_form(RULED, form)

    assert read_form(json) == Form(True, "on", ("on", "off"))


@pytest.mark.parametrize(
    "targeting",
    [
        '{"if":[{"or":[true,false]},"on"]}',
        '{"if":[{"in":["@x.com",{"var":"email"}]},"on"]}',
        '{"if":[{"in":[{"var":"email"},"@x.com"]},"on"]}',
        '{"if":[{"==":[{"var":"a"},1]},{"var":"b"}]}',
        '{"if":[{"==":[{"var":"a"},1]},{"fractional":[["on",{"var":"w"}]]}]}',
        '{"if":[{"$flag":["other","on"]},"on","off"]}',
        '{"$ref":"dach"}',
        '{"cat":["o","n"]}',
    ],
)
def test_what_fits_no_form_is_edited_as_text(targeting: str) -> None:
    json = HEAD + b',"targeting":' + targeting.encode() + b"}"

    assert read_form(json) is None
    with pytest.raises(ValueError, match="edit it as text"):
        write_form(json, Form(True, "on", ("on", "off")))


@pytest.mark.parametrize(
    "json",
    [
        b"{",
        b"{}",
        b'{"state":"ON","variants":{}}',
        b'{"state":"ENABLED","variants":[]}',
        b'{"state":"ENABLED","variants":{},"defaultVariant":1}',
        b'{"state":"ENABLED","variants":{},"targeting":{"if":[1]}}',
        b'{"state":"ENABLED","variants":{},"targeting":{"if":[{"==":[1,2]},"on"]}}',
        b'{"state":"ENABLED","variants":{},"targeting":{"fractional":[]}}',
        b'{"state":"ENABLED","variants":{},"targeting":{"fractional":[{"var":"a"}]}}',
        b'{"state":"ENABLED","variants":{},"targeting":{"fractional":[["a",1.5]]}}',
        b'{"state":"ENABLED","variants":{},"targeting":'
        b'{"if":[{"sem_ver":[{"var":"v"},"==","1"]},"on"]}}',
        b'{"state":"ENABLED","variants":{},"targeting":'
        b'{"if":[{"!":{"==":[{"var":"v"},1]}},"on"]}}',
    ],
)
def test_documents_that_are_none_have_no_form(json: bytes) -> None:
    assert read_form(json) is None


def test_state_and_default_are_changed_where_they_stand() -> None:
    form = read_form(RULED)
    assert form is not None

    json = write_form(RULED, msgspec.structs.replace(form, enabled=False, default="on"))

    expected = RULED.replace(b'"ENABLED"', b'"DISABLED"')
    assert json == expected.replace(b'"defaultVariant":"off"', b'"defaultVariant":"on"')
