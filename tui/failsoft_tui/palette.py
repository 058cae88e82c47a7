"""Style names to terminal styles; colour only repeats what a word already says."""

from __future__ import annotations

from rich.style import Style

__all__ = ["BACKGROUND", "PANEL", "style_of"]

BACKGROUND = "#10151b"
PANEL = "#1b232d"
_TEXT = "#d3dae3"
_CURSOR = "#2c4059"

_FOREGROUND: dict[str, str] = {
    "": _TEXT,
    "dim": "#7d8998",
    "fill": "#3d4956",
    "head": "bold #9fb0c3",
    "bold": "bold #f2f6fa",
    "key": "bold #7cc4ff",
    "good": "#7fd18b",
    "warn": "#f2c14e",
    "bad": "bold #ff7b72",
    "kill": "bold #ff7b72",
    "degraded": "bold #f2c14e",
    "limited": "#7cc4ff",
    "spark": "#e39a6f",
    "tab": "bold #10151b on #9fb0c3",
    "prod": "bold #10151b on #ff7b72",
    "env": "bold #10151b on #7fd18b",
    "armed": "bold #10151b on #f2c14e",
    "stale": "bold #10151b on #f2c14e",
    "alarm": "bold #10151b on #ff7b72",
}
_STYLES = {name: Style.parse(text) for name, text in _FOREGROUND.items()}
_BASE = Style.parse(f"{_TEXT} on {BACKGROUND}")
_PANEL = Style.parse(f"{_TEXT} on {PANEL}")
_UNDER_CURSOR = Style.parse(f"bold on {_CURSOR}")


def style_of(name: str, *, cursor: bool = False, panel: bool = False) -> Style:
    """Return the style called `name`; unknown names look like plain text."""
    if cursor and name == "dim":
        name = "head"  # dim text is not readable on the cursor's colour
    style = (_PANEL if panel else _BASE) + _STYLES.get(name, _STYLES[""])
    return style + _UNDER_CURSOR if cursor else style
