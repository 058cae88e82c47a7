"""What handlers ask for: the database, the payments client, who is calling."""

from __future__ import annotations

from typing import Annotated

import httpx
from fastapi import Depends, Header, Request

import failsoft
from shop.database import Database


def _database(request: Request) -> Database:
    found: Database = request.state.database
    return found


def _payments(request: Request) -> httpx.AsyncClient:
    found: httpx.AsyncClient = request.state.payments
    return found


def _consumer(x_api_key: Annotated[str, Header()] = "anonymous") -> str:
    return x_api_key


async def know_shopper(x_shopper: Annotated[str, Header()] = "") -> None:
    """Tell who is asking: a rollout then serves a shopper the same each time."""
    exchange = failsoft.current()
    if exchange is not None and x_shopper:
        exchange.targeting_key = x_shopper


Stored = Annotated[Database, Depends(_database)]
Payments = Annotated[httpx.AsyncClient, Depends(_payments)]
Consumer = Annotated[str, Depends(_consumer)]
