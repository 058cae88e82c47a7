"""Kills and degraded modes: what answers in place of the application, and when."""

from failsoft.modes._builtin import BUILT_IN
from failsoft.modes._choose import Chooser, Tallies
from failsoft.modes._compile import Acting, compile_plan, read_acting, spares
from failsoft.modes._model import outlined, summary_of

__all__ = [
    "BUILT_IN",
    "Acting",
    "Chooser",
    "Tallies",
    "compile_plan",
    "outlined",
    "read_acting",
    "spares",
    "summary_of",
]
