"""Parameters of a mode, judged before they are written.  Pure.

The nodes judge again: only they know the definition in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from failsoft.controls.records import ModeDoc
from failsoft.errors import DefinitionError, Invalid
from failsoft.modes._model import activate
from failsoft.settings import ModeDefinition, Shed

__all__ = ["check_params"]

# An operator's host has no actions of a mode: this one reads every parameter.
_ANY = ModeDefinition("", "minor", actions=(("shed", Shed(1.0)), ("banner", "")))


def check_params(name: str, params: Mapping[str, Any]) -> None:
    """Raise Invalid when no node could use a parameter, whatever the mode."""
    doc = ModeDoc("", "", params=dict(params))
    try:
        activate(name, _ANY, doc, since_ms=0, until_ms=0)
    except DefinitionError as error:
        raise Invalid("--param", "; ".join(error.findings)) from None
