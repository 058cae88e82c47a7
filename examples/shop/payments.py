"""The payments third party: `uvicorn shop.payments:app`, made worse by `POST /admin`.

Its state lives in the process, so it runs as one worker.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, Field


class Behaviour(BaseModel):
    """How the provider behaves now; what a request leaves out is normal.

    shape: v1-bad is a release that sends the amount as text, which readers of v1
    take without a word; v2 is one that they cannot read.
    """

    delay_ms: int = Field(default=20, ge=0, le=10_000)
    fail_ratio: float = Field(default=0.0, ge=0.0, le=1.0)
    shape: Literal["v1", "v1-bad", "v2"] = "v1"


class Charge(BaseModel):
    amount_cents: int = Field(ge=0)
    card: str


class Provider:
    """Charges made so far and the behaviour in force."""

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        self.counts = {"asked": 0, "charged": 0, "failed": 0, "declined": 0}
        self._owed = 0.0

    def fails(self) -> bool:
        """Decide the next call; exact over any run of calls, so demos repeat."""
        self._owed += self.behaviour.fail_ratio
        if self._owed < 1.0:
            return False
        self._owed -= 1.0
        return True


app = FastAPI(title="payments")
provider = Provider()


@app.post("/charges")
async def make_charge(
    charge: Charge, idempotency_key: Annotated[str, Header()]
) -> dict[str, Any]:
    provider.counts["asked"] += 1
    # Decided on arrival: a slow call is not judged by what comes after it.
    fails = provider.fails()
    await asyncio.sleep(provider.behaviour.delay_ms / 1000)
    if fails:
        provider.counts["failed"] += 1
        raise HTTPException(503, "ledger is not available")
    if charge.card == "tok_declined":
        provider.counts["declined"] += 1
        raise HTTPException(402, "card declined")
    provider.counts["charged"] += 1
    charge_id = f"ch_{idempotency_key[:12]}"
    if provider.behaviour.shape == "v2":
        return {"charge": {"id": charge_id}, "amount": {"cents": charge.amount_cents}}
    if provider.behaviour.shape == "v1-bad":
        return {"charge_id": charge_id, "amount_cents": str(charge.amount_cents)}
    return {"charge_id": charge_id, "amount_cents": charge.amount_cents}


@app.post("/admin")
async def behave(behaviour: Behaviour) -> Behaviour:
    provider.behaviour = behaviour
    return behaviour


@app.get("/admin")
async def report() -> dict[str, Any]:
    return {"behaviour": provider.behaviour, "counts": provider.counts}
