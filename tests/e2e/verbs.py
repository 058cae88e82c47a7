"""Verbs run in this process: the start of a process costs more than most verbs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from failsoft.cli import run as run_here

__all__ = ["Run", "Said", "runner"]


class Said(NamedTuple):
    """What one verb left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)


Run = Callable[..., Said]


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a verb and tells its code and words."""

    def said(*words: str) -> Said:
        capsys.readouterr()
        code = run_here(list(words))
        return Said(code, *capsys.readouterr())

    return said
