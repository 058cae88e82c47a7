"""The operator API: views, preview, apply, acknowledgement, undo.

The CLI and the terminal UI use nothing else.
"""

from __future__ import annotations

from failsoft.ops.connect import connect

__all__ = ["connect"]
