"""The list behind a table: filter, sort, held order, rows that are gone."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from failsoft_tui.widgets.order import Column, RowOrder, matches, parse_filter
from failsoft_tui.widgets.viewport import Viewport


class Row(NamedTuple):
    key: str
    rank: float
    size: float | None = None


COLUMNS = (
    Column("name", "NAME", 10, lambda row: (row.key, ""), sort=lambda row: row.key),
    Column("size", "SIZE", 5, lambda row: (str(row.size), ""), ">", 1,
           lambda row: row.size),
)  # fmt: skip


def order_of(*rows: Row, now: float = 0.0) -> RowOrder[Row]:
    order: RowOrder[Row] = RowOrder(
        COLUMNS, lambda r: r.key, lambda r: r.rank, lambda r: r.rank < 0
    )
    order.take(rows, now)
    return order


@pytest.mark.parametrize(
    ("text", "row", "passes"),
    [
        ("", "POST /v1/checkout", True),
        ("post check", "POST /v1/checkout", True),
        ("post cart", "POST /v1/checkout", False),
        ("/v1*out", "POST /v1/checkout", True),
        ("out*/v1", "POST /v1/checkout", False),
        ("!get", "POST /v1/checkout", True),
        ("!post", "POST /v1/checkout", False),
        ("* ! !*", "POST /v1/checkout", True),
        ("(", "GET /a(b", True),
    ],
)
def test_a_filter_is_words_that_all_match(text: str, row: str, passes: bool) -> None:
    assert matches(parse_filter(text), row) is passes


def test_rows_stand_by_rank_and_ties_by_key() -> None:
    order = order_of(Row("b", 1), Row("c", 0), Row("a", 1))

    assert order.listed == ["c", "a", "b"]


def test_a_sort_puts_missing_values_last_in_both_directions() -> None:
    order = order_of(Row("a", 0, 1.0), Row("b", 0, None), Row("c", 0, 3.0))

    order.sort_by("size")
    order.arrange(0.0)
    largest_first = list(order.listed)
    order.sort_by("size")
    order.arrange(0.0)

    assert largest_first == ["c", "a", "b"]
    assert order.listed == ["a", "c", "b"]


def test_after_a_key_the_order_is_held_for_two_seconds() -> None:
    order = order_of(Row("a", 0), Row("b", 1))

    order.touch(10.0)
    order.take([Row("a", 2), Row("b", 1), Row("new", -1)], 11.9)
    held = list(order.listed)
    order.take([Row("a", 2), Row("b", 1), Row("new", -1)], 12.1)

    assert held == ["a", "b", "new"]
    assert order.listed == ["new", "b", "a"]


def test_a_row_that_vanished_stays_five_seconds_as_gone() -> None:
    order = order_of(Row("a", 0), Row("b", 1))

    order.take([Row("b", 1)], 1.0)
    stays = list(order.listed), set(order.gone)
    order.take([Row("b", 1)], 5.9)
    still = list(order.listed)
    order.take([Row("b", 1)], 6.0)

    assert stays == (["a", "b"], {"a"})
    assert still == ["a", "b"]
    assert order.listed == ["b"]


def test_a_row_that_comes_back_is_no_longer_gone() -> None:
    order = order_of(Row("a", 0), Row("b", 1))
    order.take([Row("b", 1)], 1.0)

    order.take([Row("a", 0), Row("b", 1)], 2.0)

    assert order.gone == {}


def test_a_row_that_the_filter_hides_is_not_gone() -> None:
    order = order_of(Row("alpha", 0), Row("beta", 1))

    order.filter_text = "beta"
    order.arrange(0.0)

    assert order.listed == ["beta"]
    assert order.gone == {}
    assert order.total == 2


def test_faults_only_keeps_rows_with_faults() -> None:
    order = order_of(Row("a", 0), Row("b", -1))

    order.faults_only = True
    order.arrange(0.0)

    assert order.listed == ["b"]


def window_over(count: int, height: int) -> Viewport:
    window = Viewport(order_of(*(Row(f"r{i:03d}", i) for i in range(count))))
    window.resize(height)
    window.settle(0)
    return window


def reorder(window: Viewport, *rows: Row) -> None:
    line = window.line()
    window.order.take(rows, 100.0)
    window.settle(line)


def test_the_cursor_goes_with_its_row_and_keeps_its_screen_line() -> None:
    window = window_over(100, 10)
    window.move(50)
    line = window.line()

    reorder(window, *(Row(f"r{i:03d}", (i + 20) % 100) for i in range(100)))

    assert window.cursor_key == "r050"
    assert window.line() == line


def test_a_cursor_nobody_moved_stays_on_the_worst_row() -> None:
    window = window_over(3, 10)

    reorder(window, Row("r000", 5), Row("r001", 1), Row("r002", 0))

    assert window.cursor_key == "r002"
    assert window.top == 0


def test_home_gives_the_cursor_back_to_the_worst_row() -> None:
    window = window_over(3, 10)
    window.move(1)
    window.move(-3)
    window.release()

    reorder(window, Row("r000", 5), Row("r001", 1), Row("r002", 0))

    assert window.cursor_key == "r002"


def test_when_a_row_ends_the_row_in_its_place_gets_the_cursor() -> None:
    window = window_over(3, 10)
    window.move(1)

    window.order.take([Row("r000", 0), Row("r002", 2)], 1.0)
    gone = window.cursor_key
    window.settle(window.line())
    reorder(window, Row("r000", 0), Row("r002", 2))

    assert gone == "r001"
    assert window.cursor_key == "r002"


def test_the_cursor_is_always_in_the_window() -> None:
    window = window_over(100, 10)

    for step in (99, -3, -50, 7, -100):
        window.move(step)
        assert 0 <= window.line() < 10
        assert window.cursor_key in window.shown()

    window.resize(2)
    assert window.cursor_key in window.shown()
    assert window.bounds() == (1, 2, 100)


def test_an_empty_table_has_no_cursor() -> None:
    window = window_over(0, 10)

    window.move(1)

    assert window.cursor_key is None
    assert window.bounds() == (0, 0, 0)
