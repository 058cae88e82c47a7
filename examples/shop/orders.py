"""Orders: one, the caller's newest, and a server-sent stream of one order's status."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator

from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse

from shop.database import Database
from shop.models import Order, OrderStatus
from shop.wiring import Consumer, Stored

router = APIRouter(prefix="/orders", tags=["orders"])
COLUMNS = "order_id, total_cents, charge_id, status, first_name, last_name, country"
POLL_S = 0.1
STREAM_LIMIT_S = 10.0


@router.get("")
async def list_orders(stored: Stored, consumer: Consumer) -> list[Order]:
    rows = await stored.rows(
        f"SELECT {COLUMNS} FROM orders WHERE consumer = ? ORDER BY rowid DESC LIMIT 20",
        consumer,
    )
    return [order_of(row) for row in rows]


@router.get("/{order_id}")
async def get_order(order_id: str, stored: Stored) -> Order:
    return await read_order(order_id, stored)


@router.get("/{order_id}/status")
async def get_status(order_id: str, stored: Stored) -> OrderStatus:
    return await read_order(order_id, stored)


@router.get("/{order_id}/events")
async def follow_order(order_id: str, stored: Stored) -> StreamingResponse:
    order = await read_order(order_id, stored)
    return StreamingResponse(statuses(order, stored), media_type="text/event-stream")


async def statuses(order: Order, stored: Database) -> AsyncIterator[str]:
    """Yield one event per status until the order is confirmed, 10 s at most."""
    yield f"event: status\ndata: {order.status}\n\n"
    for _ in range(round(STREAM_LIMIT_S / POLL_S)):
        if order.status == "confirmed":
            return
        await asyncio.sleep(POLL_S)
        seen, order = order.status, await read_order(order.order_id, stored)
        if order.status != seen:
            yield f"event: status\ndata: {order.status}\n\n"


async def read_order(order_id: str, stored: Database) -> Order:
    row = await stored.row(f"SELECT {COLUMNS} FROM orders WHERE order_id = ?", order_id)
    if row is None:
        raise HTTPException(404, f"no order {order_id!r}")
    return order_of(row)


def order_of(row: sqlite3.Row) -> Order:
    columns = dict(row)
    return Order.model_validate(columns | {"recipient": columns})
