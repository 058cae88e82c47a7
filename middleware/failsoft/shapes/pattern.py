"""Find a text that a regular expression accepts, for samples.  Pure.

Knows the syntax that patterns of schemas use: literals, classes, groups,
alternatives, quantifiers, anchors.  What it builds is always proven with `re`.
"""

from __future__ import annotations

import re

__all__ = ["matching_text"]

# Tried first: they read better than built ones and meet most patterns.
_USUAL = (
    "text",
    "1",
    "a",
    "A",
    "1.5",
    "abc123",
    "ABC",
    "a-b",
    "a_b",
    "+14155550123",
    "user@example.com",
    "https://example.com/",
    "2026-01-31",
    "6f1e2d3c-4b5a-4978-8a6b-7c8d9e0f1a2b",
    "",
)
_CLASSES = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_LITERALS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_FILL = "aA1-_ .:/@#"
_MOST_REPEATS = 64
_MOST_CHARS = 10_000
# A group that repeats: to refuse a text `re` may take time that doubles with each
# character, and cannot be stopped.
_REPEATED = re.compile(r"\)(?:[*+]|{\d*,)")
_MOST_TRIED = 20


class _Unknown(Exception):
    """A construct that is not built here, such as a lookahead."""


def matching_text(pattern: str, shortest: int = 0, longest: int | None = None) -> str:
    """Return a text of `shortest` to `longest` characters in which `pattern` matches.

    Raises ValueError when none was found or the pattern is not valid.
    """
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} is not valid: {error}") from None
    most = _MOST_TRIED if _REPEATED.search(pattern) else _MOST_CHARS
    most = most if longest is None else min(most, longest)
    for text in _candidates(pattern, shortest):
        if shortest <= len(text) <= most and found.search(text):
            return text
    raise ValueError(f"no text was found for pattern {pattern!r}")


def _candidates(pattern: str, shortest: int) -> list[str]:
    usual = [*_USUAL, *(text * shortest for text in ("a", "1", "A"))]
    # Half of all patterns differ only in how often their parts repeat.
    return usual + [
        text for extra in (0, 1, 2, shortest) for text in _built(pattern, extra)
    ]


def _built(pattern: str, extra: int) -> list[str]:
    try:
        text, at = _Reader(pattern, extra).alternatives(0)
    except (_Unknown, IndexError, ValueError):
        return []
    return [text] if at == len(pattern) else []


class _Reader:
    """Builds one text while it reads; `extra` is added to each open quantifier."""

    def __init__(self, pattern: str, extra: int) -> None:
        self.pattern = pattern
        self.extra = extra

    def alternatives(self, at: int) -> tuple[str, int]:
        """Return the first alternative's text, and where the group ends."""
        first, at = self._sequence(at)
        while at < len(self.pattern) and self.pattern[at] == "|":
            _, at = self._sequence(at + 1)
        return first, at

    def _sequence(self, at: int) -> tuple[str, int]:
        out = []
        while at < len(self.pattern) and self.pattern[at] not in "|)":
            piece, at = self._piece(at)
            count, at = self._times(at)
            if len(piece) * count > _MOST_CHARS:
                raise _Unknown(self.pattern)
            out.append(piece * count)
        return "".join(out), at

    def _piece(self, at: int) -> tuple[str, int]:
        char = self.pattern[at]
        if char in "^$":
            return "", at + 1
        if char == "(":
            return self._group(at + 1)
        if char == "[":
            return self._one_of(at)
        if char == "\\":
            return self._escape(at + 1)
        return ("a" if char == "." else char), at + 1

    def _group(self, at: int) -> tuple[str, int]:
        if self.pattern.startswith("?:", at):
            at += 2
        elif self.pattern.startswith("?P<", at):
            at = self.pattern.index(">", at) + 1
        elif self.pattern[at] == "?":
            raise _Unknown(self.pattern)
        text, at = self.alternatives(at)
        if self.pattern[at] != ")":
            raise _Unknown(self.pattern)
        return text, at + 1

    def _escape(self, at: int) -> tuple[str, int]:
        char = self.pattern[at]
        if char in "bBAzZ":
            return "", at + 1
        if char.isdigit() or char in "xuUp":
            raise _Unknown(self.pattern)
        return _CLASSES.get(char, _LITERALS.get(char, char)), at + 1

    def _one_of(self, at: int) -> tuple[str, int]:
        end = at + 1 + (self.pattern[at + 1] == "^")
        end += self.pattern[end] == "]"
        while self.pattern[end] != "]":
            end += 2 if self.pattern[end] == "\\" else 1
        inside = self.pattern[at : end + 1]
        every = re.compile(inside)
        for char in (*_FILL, *map(chr, range(33, 1024))):
            if every.fullmatch(char):
                return char, end + 1
        raise _Unknown(self.pattern)

    def _times(self, at: int) -> tuple[int, int]:
        char = self.pattern[at : at + 1]
        if char == "{":
            return self._counted(at)
        if char not in ("*", "+", "?"):
            return 1, at
        count = (1 if char == "+" else 0) + (0 if char == "?" else self.extra)
        return min(count, _MOST_REPEATS), self._lazy(at + 1)

    def _counted(self, at: int) -> tuple[int, int]:
        end = self.pattern.index("}", at)
        low, comma, high = self.pattern[at + 1 : end].partition(",")
        count = int(low or 0) + (self.extra if comma else 0)
        count = min(count, int(high)) if high else count
        return min(count, max(_MOST_REPEATS, int(low or 0))), self._lazy(end + 1)

    def _lazy(self, at: int) -> int:
        return at + (self.pattern[at : at + 1] in ("?", "+"))
