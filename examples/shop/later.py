"""Charges orders that were taken while payments was away, oldest first."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import suppress

import httpx

from shop.checkout import confirm_order
from shop.database import Database
from shop.pay import CardDeclined, PaymentError, PaymentsAway, charge

EACH_S = 1.0
AT_ONCE = 20
CLAIM_S = 10.0  # a node that died in between, or a lost answer, delays an order so long


async def charge_late(stored: Database, payments: httpx.AsyncClient) -> None:
    """Run until cancelled; whatever fails is tried again a second later."""
    while True:
        await asyncio.sleep(EACH_S)
        with suppress(PaymentError, sqlite3.Error):
            await charge_due(stored, payments)


async def charge_due(stored: Database, payments: httpx.AsyncClient) -> None:
    """Charge what is due now; raises PaymentError at the first that does not go."""
    rows = await stored.rows(
        "SELECT order_id, card, total_cents FROM charges_due JOIN orders "
        "USING (order_id) WHERE claimed_at < ? ORDER BY charges_due.rowid LIMIT ?",
        time.time() - CLAIM_S,
        AT_ONCE,
    )
    charged: list[str] = []
    try:
        for order_id, card, total_cents in rows:
            if await _claim(stored, order_id):
                charge_id = await _charge(stored, payments, order_id, total_cents, card)
                await _settle(stored, order_id, charge_id)
                charged += [order_id] if charge_id else []
    finally:
        await asyncio.gather(*(confirm_order(stored, one) for one in charged))


async def _charge(
    stored: Database, payments: httpx.AsyncClient, order_id: str, cents: int, card: str
) -> str | None:
    """Return the charge id, None for a declined card."""
    try:
        return await charge(payments, order_id, cents, card)
    except CardDeclined:
        return None
    except PaymentsAway:  # was not even asked: the order need not wait for its turn
        async with stored.transaction() as connection:
            await connection.execute(
                "UPDATE charges_due SET claimed_at = 0 WHERE order_id = ?", (order_id,)
            )
        raise


async def _claim(stored: Database, order_id: str) -> bool:
    """Whether this node, and no other, charges the order now."""
    now = time.time()
    async with stored.transaction() as connection:
        taken = await connection.execute(
            "UPDATE charges_due SET claimed_at = ? WHERE order_id = ? "
            "AND claimed_at < ?",
            (now, order_id, now - CLAIM_S),
        )
        return taken.rowcount == 1


async def _settle(stored: Database, order_id: str, charge_id: str | None) -> None:
    """Note the charge; an order whose card was declined is dropped."""
    async with stored.transaction() as connection:
        await connection.execute(
            "DELETE FROM charges_due WHERE order_id = ?", (order_id,)
        )
        if charge_id is None:
            await connection.execute(
                "DELETE FROM orders WHERE order_id = ?", (order_id,)
            )
        else:
            await connection.execute(
                "UPDATE orders SET status = 'paid', charge_id = ? WHERE order_id = ?",
                (charge_id, order_id),
            )
