"""What must be typed before a write, by tier (pure).

The tier may rise while a dialog is open, then what was typed is dropped; it never
falls.  The code that counts is the one that was shown, though each dry run brings a
new one.
"""

from __future__ import annotations

import msgspec

from failsoft.ops.text import safe
from failsoft.ops.views import Preview
from failsoft_tui.paint import Line

__all__ = ["Confirmation"]

_DIGITS = 2


class Confirmation:
    """The state of one dialog.  typed: digits (tier 2) or the name (tier 3)."""

    def __init__(self) -> None:
        self.preview: Preview | None = None
        self.tier = 0
        self.typed = ""
        self._code = ""

    def take(self, fresh: Preview) -> None:
        """Take the newest dry run."""
        if self.preview is None or fresh.tier > self.tier:
            self.typed = ""
            self._code = fresh.code
        self.tier = max(self.tier, fresh.tier)
        self._code = self._code or fresh.code
        self.preview = fresh

    def drop(self) -> None:
        """Forget the dry run: it no longer holds; the tier stays."""
        self.preview = None
        self.typed = ""

    def type_key(self, key: str, character: str | None) -> bool:
        """Take a key of tier 2; whether it was one."""
        if character and character in "0123456789":
            self.typed = (self.typed + character)[-_DIGITS:]
            return True
        if key == "backspace":
            self.typed = ""
            return True
        return False

    def missing(self, env: str) -> str:
        """Return what is still to be typed, "" when the write is confirmed."""
        if self.preview is None:
            return "there is nothing to apply"
        if self.tier >= 3 and self.typed != env:
            return f"not confirmed: type {safe(env, 60)} exactly"
        if self.tier == 2 and self.typed != self._code:
            return f"not confirmed: type {safe(self._code, 20)}, then ENTER"
        return ""

    def shown(self) -> Preview:
        """Return the dry run as the operator saw it."""
        assert self.preview is not None
        return msgspec.structs.replace(self.preview, tier=self.tier, code=self._code)

    def line(self, env: str) -> Line:
        """Return the line that says the tier and what it asks for."""
        why = safe(self.preview.tier_why, 120) if self.preview else ""
        pieces = [(f" tier {self.tier} ", "bold"), (f"({why})" if why else "", "dim")]
        if self.tier == 2:
            pieces.append((f"  type {safe(self._code, 20)}: ", "warn"))
            pieces.append((self.typed or "__", "key"))
        elif self.tier >= 3:
            name = safe(env, 60)
            pieces.append((f"  asks for a reason and for the name {name}", "warn"))
        return tuple(pieces)
