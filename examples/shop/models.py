"""Bodies the shop reads and answers; money is integer cents."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Product(BaseModel):
    sku: str
    title: str
    price_cents: int


class CartItem(BaseModel):
    sku: str
    quantity: int = Field(ge=1, le=20)


class NewCart(BaseModel):
    items: list[CartItem] = Field(min_length=1, max_length=20)


class Cart(BaseModel):
    cart_id: str
    items: list[CartItem]
    total_cents: int


class Recipient(BaseModel):
    first_name: str = Field(max_length=80)
    last_name: str = Field(max_length=80)
    country: str = Field(min_length=2, max_length=2)


class Checkout(BaseModel):
    cart_id: str
    card: str = Field(max_length=64)
    recipient: Recipient


class OrderStatus(BaseModel):
    order_id: str
    status: Literal["queued", "paid", "confirmed"]


class Order(OrderStatus):
    total_cents: int
    charge_id: str
    recipient: Recipient


class Review(BaseModel):
    sku: str
    stars: int = Field(ge=1, le=5)
    text: str = Field(max_length=500)
