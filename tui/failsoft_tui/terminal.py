"""Reads the terminal, and drops what is no text."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver

__all__ = ["TerminalDriver"]


class TerminalDriver(LinuxDriver):
    """Textual's driver decodes strictly: one stray byte would end the app."""

    def run_input_thread(self) -> None:
        """Read keys until the app ends; a read that is no UTF-8 is left out."""
        while True:
            try:
                super().run_input_thread()
            except UnicodeDecodeError:
                continue
            return
