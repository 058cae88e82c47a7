"""The contract that ships with failsoft, on every store of ours."""

from failsoft.testing.store_contract import *  # noqa: F403 - a suite, as users run it
