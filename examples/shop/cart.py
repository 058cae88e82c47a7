"""Carts: written once, read until they are checked out."""

from __future__ import annotations

from uuid import uuid4

from fastapi import APIRouter, HTTPException

from shop.database import Database
from shop.models import Cart, CartItem, NewCart
from shop.wiring import Stored

router = APIRouter(prefix="/cart", tags=["cart"])


@router.post("", status_code=201)
async def create_cart(new: NewCart, stored: Stored) -> Cart:
    cart_id = uuid4().hex
    wanted = {item.sku: item.quantity for item in new.items}
    async with stored.transaction() as connection:
        added = await connection.executemany(
            "INSERT INTO cart_items SELECT ?, sku, ? FROM products WHERE sku = ?",
            [(cart_id, quantity, sku) for sku, quantity in wanted.items()],
        )
        if added.rowcount < len(wanted):
            raise HTTPException(422, "the cart names a product that does not exist")
    return await read_cart(cart_id, stored)


@router.get("/{cart_id}")
async def get_cart(cart_id: str, stored: Stored) -> Cart:
    return await read_cart(cart_id, stored)


async def read_cart(cart_id: str, stored: Database) -> Cart:
    """Return a cart with today's prices; 404 when it is empty or checked out."""
    rows = await stored.rows(
        "SELECT sku, quantity, price_cents FROM cart_items JOIN products USING (sku)"
        " WHERE cart_id = ?",
        cart_id,
    )
    if not rows:
        raise HTTPException(404, f"no cart {cart_id!r}")
    return Cart(
        cart_id=cart_id,
        items=[CartItem(sku=row["sku"], quantity=row["quantity"]) for row in rows],
        total_cents=sum(row["quantity"] * row["price_cents"] for row in rows),
    )
