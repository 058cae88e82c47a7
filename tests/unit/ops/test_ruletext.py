"""Rules are typed and shown in one language."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.errors import Invalid
from failsoft.ops.flagforms import COMPARISONS, Condition, FormRule, Split
from failsoft.ops.ruletext import outcome_line, parse_outcome, parse_rule, rule_line

VARIANTS = ("on", "off", "new price")
SCALARS = st.one_of(
    st.text(max_size=8),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    attribute = draw(st.text(min_size=1, max_size=8))
    comparison = draw(st.sampled_from(COMPARISONS))
    if comparison in ("in", "not in"):
        return Condition(attribute, comparison, tuple(draw(st.lists(SCALARS))))
    if comparison == "sem_ver":
        version = draw(st.text(min_size=1, max_size=8))
        return Condition(attribute, comparison, ("^", version))
    return Condition(attribute, comparison, (draw(SCALARS),))


ARMS = st.lists(
    st.tuples(st.sampled_from(VARIANTS), st.integers(0, 20_000)), min_size=1, max_size=3
)
OUTCOMES = st.one_of(
    st.sampled_from(VARIANTS),
    st.builds(
        lambda arms, by: Split(tuple(arms), by),
        ARMS,
        st.sampled_from(("", '{"var":"user.id"}', '{"cat":[{"var":"a b"},"x"]}')),
    ),
)


@given(st.lists(conditions(), min_size=1, max_size=3), OUTCOMES)
def test_what_is_shown_can_be_typed_again(
    tests: list[Condition], then: str | Split
) -> None:
    rule = FormRule(tuple(tests), then)

    assert repr(parse_rule(rule_line(rule), VARIANTS)) == repr(rule)


@given(st.text(max_size=60))
def test_any_line_is_a_rule_or_refused_with_words(line: str) -> None:
    with suppress(Invalid):
        assert parse_rule(line, VARIANTS).conditions


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "ends where an attribute should follow"),
        ("country", "ends where a comparison should follow"),
        ("country is DE then on", "'is' must be one of in, not in"),
        ("country in DE then on", "in wants a list"),
        ("country in [DE AT] then on", "need commas"),
        ('country == "DE then on', "has no closing quote"),
        ("tier == gold then onn", "'onn' is no variant"),
        ("tier == gold then 25% on, 65% off", "add up to 90%"),
        ("tier == gold then 25% on, 3 off", "all shares in percent, or none"),
        ("tier == gold or tier == b then on", "'or' must be `and` or `then`"),
        ("tier == gold then default", "must give a variant or shares"),
        ("tier == gold then on off", "'off' is too much after on"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(line: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_rule(line, VARIANTS)

    assert said in str(refused.value)


def test_shares_keep_hundredths_of_a_percent() -> None:
    split = parse_outcome("0.25% on, 99.75% off", VARIANTS)

    assert split == Split((("on", 25), ("off", 9_975)))
    assert outcome_line(split) == "0.25% on, 99.75% off"


def test_default_leaves_others_to_the_default() -> None:
    assert parse_outcome("default", VARIANTS) is None
    assert outcome_line(None) == "default"
