"""Charging a card at the payments provider, and how that fails."""

from __future__ import annotations

from pathlib import Path

import httpx
from pydantic import BaseModel, ValidationError

import failsoft
from failsoft.errors import BreakerOpen, CallThrottled

TIMEOUT_S = 1.0
# What payments promises to answer; what it answers otherwise is drift, on record.
CONTRACT = Path(__file__).parent / "payments.openapi.json"


class PaymentError(Exception):
    """A charge did not go through; nothing was ordered."""


class PaymentTimeout(PaymentError):
    """The provider did not answer in time; whether it charged is unknown."""


class PaymentFailed(PaymentError):
    """The provider answered with a failure, or with something unreadable."""


class PaymentsAway(PaymentError):
    """The provider is known to be in trouble, so it was not asked: charge later."""


class CardDeclined(PaymentError):
    """The customer's card was refused: not the provider's fault."""


class Receipt(BaseModel):
    charge_id: str
    amount_cents: int


def payments_client(url: str) -> httpx.AsyncClient:
    """Return the client of payments, whose calls and answers failsoft watches."""
    # Below the provider's own 5 s, so that no charge meets a closing connection.
    limits = httpx.Limits(keepalive_expiry=2.0)
    watched = failsoft.http_transport(
        "payments",
        contract=CONTRACT,
        transport=httpx.AsyncHTTPTransport(limits=limits),
    )
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, transport=watched)


async def charge(
    payments: httpx.AsyncClient, order_id: str, amount_cents: int, card: str
) -> str:
    """Charge once per order (the id is the idempotency key); return the charge id."""
    try:
        receipt = await _post_charge(payments, order_id, amount_cents, card)
    except (BreakerOpen, CallThrottled) as refused:
        raise PaymentsAway(str(refused)) from refused
    except httpx.TimeoutException as late:
        raise PaymentTimeout(f"no answer within {TIMEOUT_S} s") from late
    except (httpx.HTTPError, ValidationError) as bad:
        raise PaymentFailed(f"{type(bad).__name__} from the provider") from bad
    return receipt.charge_id


async def _post_charge(
    payments: httpx.AsyncClient, order_id: str, amount_cents: int, card: str
) -> Receipt:
    reply = await payments.post(
        "/charges",
        json={"amount_cents": amount_cents, "card": card},
        headers={"Idempotency-Key": order_id},
    )
    if reply.status_code == 402:
        raise CardDeclined(reply.json()["detail"])
    reply.raise_for_status()
    return Receipt.model_validate_json(reply.content)
