"""The pytest plugin: flags under a test's control, contract tests without a file.

Switched off by `-p no:failsoft`.

Loads nothing of failsoft but this file until a test asks for it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from failsoft.testing.flags import FlagsInTests

_MARK = (
    "failsoft(strict=False): with strict, asking for a flag that is declared nowhere "
    "fails the test"
)


# So that the store contract says what differs, where it is installed for editing too.
pytest.register_assert_rewrite("failsoft.testing.store_contract")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--failsoft-contracts`, and the ini options that it reads."""
    group = parser.getgroup("failsoft")
    group.addoption(
        "--failsoft-contracts",
        action="store_true",
        help="also run the contract tests of the application named by failsoft_app",
    )
    parser.addini("failsoft_app", "module:attribute of the application", default="")
    parser.addini(
        "failsoft_lock", "its lock file, below the root", default="contract.lock.json"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", _MARK)


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the contract tests, if they were asked for."""
    if config.getoption("--failsoft-contracts"):
        from failsoft.testing.contractitems import contract_items

        items += contract_items(session)


@pytest.fixture
def failsoft_flags() -> Iterator[FlagsInTests]:
    """Set, kill and watch flags; all as before when the test ends."""
    from failsoft.testing.flags import FlagsInTests

    with FlagsInTests() as flags:
        yield flags


@pytest.fixture
def failsoft_matrix(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Hold one combination of `flag_matrix`."""
    from failsoft.testing.flags import override

    with override(request.param):
        yield request.param


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a strict test that asked for undeclared flags."""
    mark = item.get_closest_marker("failsoft")
    if mark is None or not mark.kwargs.get("strict", False):
        return (yield)
    from failsoft.testing.flags import watch_undeclared

    with watch_undeclared() as undeclared:
        result = yield
    if undeclared:
        names = ", ".join(sorted(undeclared))
        pytest.fail(
            f"asked for flags that are declared nowhere: {names}", pytrace=False
        )
    return result
