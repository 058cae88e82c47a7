"""The shop's SQLite file: schema, seeded catalogue, reads, and one writer at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
  sku TEXT PRIMARY KEY, title TEXT NOT NULL, price_cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cart_items (
  cart_id TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL,
  PRIMARY KEY (cart_id, sku));
CREATE TABLE IF NOT EXISTS orders (
  order_id TEXT PRIMARY KEY, consumer TEXT NOT NULL, total_cents INTEGER NOT NULL,
  charge_id TEXT NOT NULL, status TEXT NOT NULL, first_name TEXT NOT NULL,
  last_name TEXT NOT NULL, country TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS orders_by_consumer ON orders (consumer);
CREATE TABLE IF NOT EXISTS charges_due (
  order_id TEXT PRIMARY KEY, card TEXT NOT NULL, claimed_at REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS reviews (
  sku TEXT NOT NULL, stars INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS reviews_by_sku ON reviews (sku);
"""
COLOURS = ("amber", "blue", "coral", "green", "grey", "indigo", "olive", "white")
THINGS = ("mug", "lamp", "scarf", "kettle", "notebook", "backpack", "chair", "clock")
CATALOGUE = tuple(
    (f"{thing}-{colour}", f"{colour.title()} {thing}", 500 + 137 * nth % 9000)
    for nth, (thing, colour) in enumerate((t, c) for t in THINGS for c in COLOURS)
)


class Database:
    """One node's two connections to the shared file.

    Statements of concurrent requests would mix inside one transaction, so writers
    take turns on a connection of their own.
    """

    def __init__(self, reader: aiosqlite.Connection, writer: aiosqlite.Connection):
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    async def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        return list(await self._reader.execute_fetchall(sql, values))

    async def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        found = await self.rows(sql, *values)
        return found[0] if found else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Commit what the block wrote, or nothing of it."""
        async with self._turn:
            await self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                await self._writer.rollback()
                raise
            await self._writer.commit()


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open the file, creating and filling it first if another node has not."""
    async with _connect(path) as writer, _connect(path) as reader:
        database = Database(reader, writer)
        await writer.executescript(SCHEMA)
        async with database.transaction() as connection:
            await connection.executemany(
                "INSERT OR IGNORE INTO products VALUES (?, ?, ?)", CATALOGUE
            )
        yield database


@asynccontextmanager
async def _connect(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        connection.row_factory = sqlite3.Row
        await connection.execute("PRAGMA busy_timeout = 5000")
        await _switch_to_wal(connection)
        await connection.execute("PRAGMA synchronous = NORMAL")
        yield connection


async def _switch_to_wal(connection: aiosqlite.Connection) -> None:
    # Nodes that start together meet here, and this statement ignores busy_timeout:
    # SQLite refuses at once where two lock upgrades would wait for each other.
    for wait_s in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
        try:
            await connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            await asyncio.sleep(wait_s)
        else:
            return
    await connection.execute("PRAGMA journal_mode = WAL")
