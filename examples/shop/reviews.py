"""Reviews: nice to have, so the first thing to give up under load."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException

from shop.models import Review
from shop.wiring import Stored

router = APIRouter(tags=["reviews"])


@router.post("/reviews", status_code=201)
async def add_review(review: Review, stored: Stored) -> Review:
    if not await stored.row("SELECT 1 FROM products WHERE sku = ?", review.sku):
        raise HTTPException(404, f"no product {review.sku!r}")
    async with stored.transaction() as connection:
        await connection.execute(
            "INSERT INTO reviews VALUES (?, ?, ?)",
            (review.sku, review.stars, review.text),
        )
    return review


@router.get("/products/{sku}/reviews")
async def list_reviews(sku: str, stored: Stored) -> list[Review]:
    rows = await stored.rows(
        "SELECT * FROM reviews WHERE sku = ? ORDER BY rowid DESC LIMIT 20", sku
    )
    return [Review.model_validate(dict(row)) for row in rows]
