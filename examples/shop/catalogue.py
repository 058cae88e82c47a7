"""Catalogue and search."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

import failsoft
from shop.models import Product
from shop.wiring import Stored

router = APIRouter(tags=["catalogue"])


@router.get("/products")
async def list_products(
    stored: Stored, page: Annotated[int, Query(ge=0, le=100)] = 0
) -> list[Product]:
    rows = await stored.rows(
        "SELECT * FROM products ORDER BY sku LIMIT 20 OFFSET ?", page * 20
    )
    return [Product.model_validate(dict(row)) for row in rows]


@router.get("/products/{sku}")
async def get_product(sku: str, stored: Stored) -> Product:
    row = await stored.row("SELECT * FROM products WHERE sku = ?", sku)
    if row is None:
        raise HTTPException(404, f"no product {sku!r}")
    return Product.model_validate(dict(row))


@router.get("/search", tags=["search"])
async def search(
    q: Annotated[str, Query(min_length=2, max_length=40)], stored: Stored
) -> list[Product]:
    rows = await stored.rows(
        "SELECT * FROM products WHERE title LIKE '%' || ? || '%' LIMIT 20", q
    )
    found = [Product.model_validate(dict(row)) for row in rows]
    if failsoft.flag("search.new-ranking", default=False):
        found.sort(key=lambda product: rank(product.title, q))
    return found


def rank(title: str, word: str) -> int:
    """Return where the word stands in a title; broken on purpose.

    Titles are "Amber mug": it finds `amber`, and raises for `mug`.
    """
    return title.split().index(word.capitalize())
