"""Which rows a table lists and in which order, as views and keys arrive (pure).

After a key the order is held, so that nothing moves under a finger; a row that
vanished stays a while, marked as gone, so that nobody acts on its neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

__all__ = ["Column", "RowOrder", "matches", "parse_filter"]

R = TypeVar("R")
FILTER_LIMIT = 200


class Column(NamedTuple):
    """One column.  width: cells, of the `grow` column its least.

    align: `<` or `>`.  drop: the highest leaves first when space is short, 0 never
    leaves.  sort: value to sort by, None = not sortable; a missing value is None.
    cell: row -> (text, style name).  names: keeps its text on a row that is gone.
    marks: carries `~` when values are stale.
    """

    key: str
    title: str
    width: int
    cell: Callable[[Any], tuple[str, str]]
    align: str = "<"
    drop: int = 0
    sort: Callable[[Any], Any] | None = None
    grow: bool = False
    names: bool = False
    marks: bool = False


class Term(NamedTuple):
    """One word of a filter: pieces found in this order, or not found at all."""

    pieces: tuple[str, ...]
    exclude: bool


def parse_filter(text: str) -> tuple[Term, ...]:
    """Return the words of a filter: all must match, `*` any text, `!` excludes."""
    terms = []
    for word in text[:FILTER_LIMIT].lower().split():
        exclude = word.startswith("!")
        pieces = tuple(p for p in word[exclude:].split("*") if p)
        if pieces:
            terms.append(Term(pieces, exclude))
    return tuple(terms)


def _found(pieces: tuple[str, ...], text: str) -> bool:
    at = 0
    for piece in pieces:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


def matches(terms: Iterable[Term], text: str) -> bool:
    """Whether a row's visible text passes the filter."""
    lowered = text.lower()
    return all(_found(t.pieces, lowered) != t.exclude for t in terms)


class RowOrder(Generic[R]):
    """The list behind a table.  rank: the default order, smallest first.

    Times are seconds of one clock, passed in.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        key_of: Callable[[R], str],
        rank: Callable[[R], Any],
        fault: Callable[[R], bool],
    ) -> None:
        self.columns = {column.key: column for column in columns}
        self.key_of = key_of
        self.rank = rank
        self.fault = fault
        self.hold_s = 2.0
        self.gone_s = 5.0
        self.sort_key = ""  # "" = rank
        self.reverse = False
        self.faults_only = False
        self.filter_text = ""
        self.listed: list[str] = []
        self.rows: dict[str, R] = {}
        self.gone: dict[str, float] = {}
        self._places: dict[str, int] = {}
        self._held_until = float("-inf")

    @property
    def total(self) -> int:
        """Count of rows before the filter."""
        return len(self.rows)

    def place(self, key: str | None) -> int | None:
        """Return where a key is listed, None when it is not."""
        return None if key is None else self._places.get(key)

    def touch(self, now: float) -> None:
        """Hold the order for a while: somebody pressed a key."""
        self._held_until = now + self.hold_s

    def is_held(self, now: float) -> bool:
        """Whether the order is held."""
        return now < self._held_until

    def take(self, rows: Iterable[R], now: float) -> None:
        """Replace the rows; those that vanished are gone for a while."""
        fresh = {self.key_of(row): row for row in rows}
        for key in self.listed:
            if key not in fresh:
                self.gone.setdefault(key, now + self.gone_s)
        for key, until in list(self.gone.items()):
            if key in fresh or until <= now:
                del self.gone[key]
            else:
                fresh[key] = self.rows[key]
        self.rows = fresh
        self.arrange(now)

    def arrange(self, now: float) -> None:
        """Filter and sort, unless the order is held."""
        keys = self._filtered()
        if self.is_held(now):
            end = len(self._places)
            keys.sort(key=lambda key: self._places.get(key, end))
        else:
            keys = self._sorted(keys)
        self.listed = keys
        self._places = {key: index for index, key in enumerate(keys)}

    def text_of(self, row: R) -> str:
        """Return what the filter looks at."""
        return " ".join(column.cell(row)[0] for column in self.columns.values())

    def _filtered(self) -> list[str]:
        terms = parse_filter(self.filter_text)
        keys = list(self.rows)
        if self.faults_only:
            keys = [key for key in keys if self.fault(self.rows[key])]
        if terms:
            keys = [k for k in keys if matches(terms, self.text_of(self.rows[k]))]
        return keys

    def _sorted(self, keys: list[str]) -> list[str]:
        keys.sort()
        rows = self.rows
        column = self.columns.get(self.sort_key)
        if column is None or column.sort is None:
            return sorted(keys, key=lambda k: self.rank(rows[k]), reverse=self.reverse)
        values = {key: column.sort(rows[key]) for key in keys}
        known = [key for key in keys if values[key] is not None]
        known.sort(key=lambda key: values[key], reverse=self.reverse)
        return known + [key for key in keys if values[key] is None]

    def sort_by(self, key: str) -> None:
        """Sort by a column, "" = the default order; the same again reverses.

        Numbers (right-aligned) start with the largest.
        """
        if key == self.sort_key:
            self.reverse = not self.reverse
            return
        self.sort_key = key
        self.reverse = bool(key) and self.columns[key].align == ">"
