"""Kills and degraded modes: what answers in place of the application, and when."""

from failsoft.modes._compile import Acting, compile_plan, read_acting
from failsoft.modes._model import BUILT_IN, outlined, summary_of

__all__ = [
    "BUILT_IN",
    "Acting",
    "compile_plan",
    "outlined",
    "read_acting",
    "summary_of",
]
