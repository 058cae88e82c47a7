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


class Checkout(BaseModel):
    cart_id: str
    card: str = Field(max_length=64)


class Order(BaseModel):
    order_id: str
    total_cents: int
    charge_id: str
    status: Literal["paid", "confirmed"]


class Review(BaseModel):
    sku: str
    stars: int = Field(ge=1, le=5)
    text: str = Field(max_length=500)
