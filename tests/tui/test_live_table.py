"""The table widget: what it repaints, which columns fit, mouse and marks."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region

from failsoft_tui.widgets.live_table import LiveTable
from failsoft_tui.widgets.order import Column, RowOrder
from tui.fleet import ManualClock

pytestmark = pytest.mark.anyio


class Row(NamedTuple):
    key: str
    size: int


COLUMNS = (
    Column("name", "NAME", 8, lambda r: (r.key, ""), grow=True, names=True,
           sort=lambda r: r.key),
    Column("size", "SIZE", 6, lambda r: (str(r.size), ""), ">", 0, lambda r: r.size),
    Column("note", "NOTE", 20, lambda r: ("x" * 20, ""), drop=1),
    Column("state", "STATE", 6, lambda r: ("ok", ""), drop=0, marks=True),
)  # fmt: skip


class Spy(LiveTable):
    """Remembers what it asked to have repainted."""

    asked: list[tuple[Region, ...]]

    def refresh(self, *regions: Region, **options: bool) -> Spy:
        if not hasattr(self, "asked"):
            self.asked = []
        self.asked.append(regions)
        super().refresh(*regions, **options)
        return self


class TableApp(App[None]):
    """One table and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        order: RowOrder[Row] = RowOrder(
            COLUMNS, lambda r: r.key, lambda r: -r.size, lambda r: False
        )
        self.table = Spy(order, clock=self.clock)
        self.opened: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_live_table_opened(self, event: LiveTable.Opened) -> None:
        self.opened.append(event.key)

    def text(self) -> list[str]:
        height = self.table.size.height
        return [self.table.render_line(y).text.rstrip() for y in range(height)]


def rows(*sizes: int) -> list[Row]:
    return [Row(f"row{i}", size) for i, size in enumerate(sizes)]


async def test_only_changed_cells_are_repainted() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.table.set_rows(rows(9, 8, 7), 1)
        await pilot.pause()
        app.table.asked.clear()

        app.table.set_rows(rows(9, 8, 6), 2)

        name, size = 60 - 2 - 7 - 21 - 7, 7
        assert app.table.asked == [(Region(2 + name, 3, size, 1),)]


async def test_nothing_is_repainted_when_nothing_changed() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 10)) as pilot:
        app.table.set_rows(rows(9, 8, 7), 1)
        await pilot.pause()
        app.table.asked.clear()

        app.table.set_rows(rows(9, 8, 7), 2)

        assert app.table.asked == []


async def test_narrow_tables_drop_columns_and_keep_names() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 5)) as pilot:
        app.table.set_rows(rows(1), 1)
        wide = app.text()[0]
        await pilot.resize_terminal(30, 5)
        await pilot.pause()
        narrow = app.text()[0]

    assert wide.split() == ["NAME", "SIZE", "NOTE", "STATE"]
    assert narrow.split() == ["NAME", "SIZE", "STATE"]


async def test_a_row_that_vanished_says_gone_and_cannot_be_opened() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 6)) as pilot:
        app.table.set_rows(rows(9, 8, 7), 1)
        await pilot.press("down")
        app.table.set_rows(rows(9), 2)
        await pilot.press("enter")
        gone = app.text()

        assert app.table.cursor_row() is None
        assert app.opened == []

    assert gone[2].split() == [">", "row1", "GONE"]


async def test_stale_values_are_marked() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 6)):
        app.table.set_rows(rows(9), 1)
        app.table.set_stale(True)

        assert app.text()[1].endswith("~ok")


async def test_a_click_moves_a_double_click_opens_a_header_sorts() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 8)) as pilot:
        app.table.set_rows(rows(9, 8, 7), 1)
        await pilot.click(app.table, offset=(5, 3))
        moved = app.table.cursor_key
        await pilot.double_click(app.table, offset=(5, 2))
        await pilot.click(app.table, offset=(5, 0))
        by_name = list(app.table.order.listed)
        await pilot.click(app.table, offset=(5, 0))
        reversed_ = list(app.table.order.listed)

    assert moved == "row2"
    assert app.opened == ["row1"]
    assert by_name == ["row0", "row1", "row2"]
    assert reversed_ == ["row2", "row1", "row0"]


async def test_the_order_is_held_under_a_finger() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 8)) as pilot:
        app.table.set_rows(rows(9, 8), 1)
        await pilot.press("down")
        app.clock.advance(1.9)
        app.table.set_rows(rows(1, 8), 2)
        held = list(app.table.order.listed)
        app.clock.advance(0.2)
        app.table.set_rows(rows(1, 8), 3)

        assert held == ["row0", "row1"]
        assert app.table.order.listed == ["row1", "row0"]
        assert app.table.cursor_key == "row1"


async def test_wide_characters_keep_columns_aligned() -> None:
    app = TableApp()
    async with app.run_test(size=(60, 6)):
        app.table.set_rows([Row("検索検索検索検索検索検索検索検索", 5), Row("a", 4)], 1)
        lines = [app.table.render_line(y) for y in (1, 2)]

    assert [line.cell_length for line in lines] == [60, 60]
