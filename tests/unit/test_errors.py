import re

import pytest

from failsoft import errors


def leaves(kind: type[errors.FailsoftError]) -> list[type[errors.FailsoftError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]


TREE = {kind.__name__: kind for kind in leaves(errors.FailsoftError)}


def test_every_public_error_stands_in_the_one_tree() -> None:
    assert set(errors.__all__) <= set(TREE)


def test_no_other_module_defines_an_error_of_the_tree() -> None:
    strangers = {n: k.__module__ for n, k in TREE.items() if n in errors.__all__}

    assert set(strangers.values()) == {"failsoft.errors"}


@pytest.mark.parametrize("name", errors.__all__)
def test_the_docstring_of_the_tree_names_every_error(name: str) -> None:
    assert re.search(rf"\b{name}\b", errors.__doc__ or "")


def test_codes_are_kebab_case_and_unique() -> None:
    codes = [TREE[name].code for name in errors.__all__]

    assert len(set(codes)) == len(codes)
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)] == []


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.DefinitionError, ValueError),
        (errors.MissingExtraError, ImportError),
        (errors.StoreError, ConnectionError),
        (errors.CallTimeout, TimeoutError),
        (errors.DeadlineExceeded, TimeoutError),
    ],
)
def test_errors_can_be_caught_as_what_python_calls_them(
    kind: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(kind, builtin)


def test_a_message_says_where_what_and_what_to_do() -> None:
    error = errors.FailsoftError("is -2s", where="store.beat", todo='write "2s"')

    assert str(error) == 'store.beat: is -2s; write "2s"'


def test_only_the_first_fifty_findings_are_shown_and_the_rest_counted() -> None:
    error = errors.DefinitionError([f"finding {n}" for n in range(60)])

    lines = str(error).splitlines()

    assert len(error.findings) == 60
    assert lines[49:] == ["finding 49", "... and 10 more"]


def test_a_missing_extra_names_its_cure() -> None:
    error = errors.MissingExtraError("failsoft top", "Textual", "tui")

    assert str(error) == "failsoft top needs Textual: pip install 'failsoft[tui]'"


def test_a_conflict_says_who_wrote_when_and_which_revision() -> None:
    error = errors.StoreConflict(
        "kill/tag:pay",
        current=b"{}",
        revision=42,
        expected=41,
        actor="ana",
        age_ms=4_000,
    )

    assert str(error) == (
        "kill/tag:pay: was changed by ana 4.0 s ago (rev 42, you saw 41); preview again"
    )


def test_an_unknown_outcome_can_be_asked_about_again() -> None:
    error = errors.StoreUnavailable("no answer in 1 s", where="redis", op_id="op-7")

    assert error.op_id == "op-7"
    assert "repeat with op_id op-7" in str(error)


def test_a_target_that_is_gone_names_the_nearest() -> None:
    error = errors.TargetGone("route:POST /ordrs", ("route:POST /orders",))

    assert "nearest: route:POST /orders" in str(error)


def test_a_refused_call_says_which_why_and_when_to_try_again() -> None:
    error = errors.BreakerOpen("stripe", "9 of 10 calls failed", retry_after_s=4.25)

    assert (error.dependency, error.retry_after_s) == ("stripe", 4.25)
    assert str(error) == ("dependency stripe: 9 of 10 calls failed; try again in 4.2 s")
