"""Contract tests as pytest sees them: items without a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failsoft.errors import FailsoftError
from failsoft.testing.contractapp import import_app
from failsoft.testing.contracts import ContractCase, assert_covered, every_case

__all__ = ["contract_items"]


def contract_items(session: pytest.Session) -> Iterator[pytest.Item]:
    """Yield an item for each case of the application that `failsoft_app` names.

    The lock file is one more, if it is there.  pytest.UsageError for an application
    that cannot be loaded.
    """
    config = session.config
    name = str(config.getini("failsoft_app"))
    if not name:
        text = '--failsoft-contracts needs the ini option failsoft_app = "shop:app"'
        raise pytest.UsageError(text)
    try:
        app = import_app(name, config.rootpath)
        cases = every_case(app)
    except FailsoftError as error:
        raise pytest.UsageError(str(error)) from error
    for case in cases:
        yield ContractItem.from_parent(session, name=f"contract: {case}", case=case)
    lock = config.rootpath / str(config.getini("failsoft_lock"))
    if lock.exists():
        yield LockItem.from_parent(session, name="contract: lock", app=app, lock=lock)


class _Item(pytest.Item):
    """Shows what was asserted, not how: there is no test of the user to show."""

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, AssertionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.config.rootpath, None, self.name


class ContractItem(_Item):
    """One generated case."""

    def __init__(self, *, case: ContractCase, **known: Any) -> None:
        super().__init__(**known)
        self.case = case

    def runtest(self) -> None:
        """Check the case."""
        self.case.check()


class LockItem(_Item):
    """The code against the lock file."""

    def __init__(self, *, app: Any, lock: Path, **known: Any) -> None:
        super().__init__(**known)
        self.app, self.lock = app, lock

    def runtest(self) -> None:
        """Compare."""
        assert_covered(self.app, self.lock)
