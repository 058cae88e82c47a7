"""The terminal UI of failsoft, over `failsoft.ops` alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from failsoft.ops.operator import Operator

__all__ = ["run"]


def run(
    operator_factory: Callable[[], Awaitable[Operator]],
    *,
    ascii_only: bool | None = None,
    mouse: bool = True,
) -> int:
    """Run the terminal UI until it is left; return the exit status.

    operator_factory: connects; it is called after the first frame and again until it
    succeeds, so nothing of the network delays the start or ends the UI.
    ascii_only: None decides by the locale.
    """
    from failsoft_tui.start import start

    return start(operator_factory, ascii_only=ascii_only, mouse=mouse)
