"""What the shop promised its clients, version by version; the code is the newest.

No route knows of any of this: failsoft reads and answers in the words of the version
a request asks for.  In examples/,
`failsoft contract check shop.api:app --lock shop/contract.lock.json` fails when a
change of the code breaks what was published and no version says so.
"""

from __future__ import annotations

from failsoft.versions import (
    Contract,
    Header,
    Query,
    Version,
    add,
    enum_map,
    gone,
    rename,
    split,
)

KNOWN = {"paid": "paid", "confirmed": "confirmed"}
DOCS = "https://docs.shop.example/versions"

# after="serve": announced, never ended, so that the demo runs on any day.  Without it
# a version answers 410 from its sunset on.
contract = Contract(
    [
        Version(
            "2025-03-01",
            deprecated="2026-03-01",
            sunset="2026-12-31",
            link=f"{DOCS}/2025-03-01",
            after="serve",
        ),
        Version(
            "2025-11-15",
            rename("CartItem.qty", to="quantity"),
            split("Recipient.name", into=["first_name", "last_name"]),
            deprecated="2026-11-01",
            sunset="2027-06-30",
            link=f"{DOCS}/2025-11-15",
            after="serve",
        ),
        Version(
            "2026-09-01",
            # Old clients sold in one country only.
            add("Recipient.country", default="DE"),
            gone("GET /v1/orders/{order_id}/status", link=f"{DOCS}/order-events"),
            # Taken, and charged once payments is back: to them it always looked paid.
            enum_map("Order.status", KNOWN, fallback="paid"),
            enum_map("OrderStatus.status", KNOWN, fallback="paid"),
        ),
    ],
    read=[Header("X-API-Version"), Query("api-version")],
    # The shop is older than its versions: who asks for none knows the first.
    default="oldest",
    exclude=["/healthz"],
)
