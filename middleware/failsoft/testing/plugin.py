"""The pytest plugin: flags under a test's control.  Switched off by `-p no:failsoft`.

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


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", _MARK)


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
