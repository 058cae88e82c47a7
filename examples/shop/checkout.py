"""Checkout: the revenue path.

A provider that fails surfaces as an unhandled error, until its breaker opens: from
then on orders are taken (202, `queued`) and charged later.
"""

from __future__ import annotations

import asyncio
from uuid import uuid4

from fastapi import APIRouter, BackgroundTasks, HTTPException, Response

import failsoft
from shop.cart import read_cart
from shop.database import Database
from shop.models import Checkout, Order
from shop.pay import CardDeclined, PaymentsAway, charge
from shop.wiring import Consumer, Payments, Stored

router = APIRouter(prefix="/checkout", tags=["checkout"])
PACKING_S = 0.3


@router.post("", status_code=201)
async def check_out(
    wanted: Checkout,
    stored: Stored,
    payments: Payments,
    consumer: Consumer,
    after: BackgroundTasks,
    answer: Response,
) -> Order:
    cart = await read_cart(wanted.cart_id, stored)
    order_id, total = uuid4().hex, price(cart.total_cents)
    try:
        charge_id = await charge(payments, order_id, total, wanted.card)
    except CardDeclined as declined:
        raise HTTPException(402, str(declined)) from declined
    except PaymentsAway:
        charge_id = ""
        answer.status_code = 202
    order = Order(
        order_id=order_id,
        total_cents=total,
        charge_id=charge_id,
        status="paid" if charge_id else "queued",
        recipient=wanted.recipient,
    )
    due = "" if charge_id else wanted.card
    await save_order(stored, order, consumer, cart.cart_id, due)
    if charge_id:
        after.add_task(confirm_order, stored, order_id)
    return order


def price(total_cents: int) -> int:
    """Return what the customer pays: the new pricing ships free above 50."""
    if failsoft.flag("checkout.new-pricing", default=False) and total_cents >= 5000:
        return total_cents
    return total_cents + 490


async def save_order(
    stored: Database, order: Order, consumer: str, cart_id: str, due: str
) -> None:
    """Keep an order and drop its cart.  due: the card to charge later, "" for none."""
    to = order.recipient
    async with stored.transaction() as connection:
        await connection.execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(order.order_id, consumer, order.total_cents, order.charge_id),
                *(order.status, to.first_name, to.last_name, to.country),
            ),
        )
        if due:
            await connection.execute(
                "INSERT INTO charges_due (order_id, card) VALUES (?, ?)",
                (order.order_id, due),
            )
        await connection.execute("DELETE FROM cart_items WHERE cart_id = ?", (cart_id,))


async def confirm_order(stored: Database, order_id: str) -> None:
    """Confirm in the background, once the answer is sent."""
    await asyncio.sleep(PACKING_S)
    async with stored.transaction() as connection:
        await connection.execute(
            "UPDATE orders SET status = 'confirmed' WHERE order_id = ?", (order_id,)
        )
