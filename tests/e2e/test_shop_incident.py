"""The shop's incident as a whole: nobody lifts a hand, and no order is lost."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.verbs import runner
from failsoft.testing import RedisServer
from load.servers import EXAMPLES, eventually, served
from shop.dialects import NEWEST

OwnRedis = Callable[..., AbstractContextManager[RedisServer]]
HEADERS = {"x-api-version": NEWEST.version}
# The same story in seconds, and on a busy machine too: slow is far from the time-out,
# and nothing is shed.
HASTE = {
    '[dependency.payments]\ntimeout = "1s"': (
        '[shed]\nhandling = "off"\n'
        '[dependency.payments]\ntimeout = "8s"\nslow = "400ms"'
    ),
    'open_for = "5s"': 'open_for = "500ms"',
    'hold = "2s", exit_hold = "15s", dwell = "15s"': (
        'hold = "500ms", exit_hold = "1s", dwell = "1s"'
    ),
}


@dataclass
class Shop:
    """Two nodes, their payments and their database."""

    nodes: tuple[str, ...]
    payments: str
    database: Path
    orders: list[str] = field(default_factory=list)

    def behave(self, **behaviour: Any) -> None:
        httpx.post(f"{self.payments}/admin", json=behaviour).raise_for_status()

    def check_out(self, node: int = 0) -> tuple[int, str]:
        with httpx.Client(
            base_url=self.nodes[node], headers=HEADERS, timeout=10
        ) as link:
            items = [NEWEST.item("mug-blue", 1)]
            made = link.post("/v1/cart", json={"items": items})
            assert made.status_code == 201, made.text
            cart = made.json()["cart_id"]
            to = NEWEST.to("Ada", "Lovelace")
            body = {"cart_id": cart, "card": "tok_visa", "recipient": to}
            answer = link.post("/v1/checkout", json=body)
        if answer.is_success:
            self.orders.append(answer.json()["order_id"])
        return answer.status_code, answer.headers.get("failsoft-notice", "")

    def get(self, path: str, node: int = 0) -> httpx.Response:
        return httpx.get(self.nodes[node] + path, headers=HEADERS)

    def status(self, node: int) -> dict[str, Any]:
        told = self.get("/_failsoft/status", node).json()
        found: dict[str, Any] = {one["id"]: one for one in told["components"]}
        found.update(told["status"])
        return found

    def paid(self) -> bool:
        with sqlite3.connect(self.database) as reader:
            found = dict(reader.execute("SELECT order_id, charge_id FROM orders"))
        return all(found[order] for order in self.orders)

    @contextmanager
    def broken_database(self) -> Iterator[None]:
        """Take tables away that the catalogue and the queue of charges read."""
        names = ("products", "charges_due")
        with sqlite3.connect(self.database, isolation_level=None) as writer:
            for name in names:
                writer.execute(f"ALTER TABLE {name} RENAME TO {name}_away")
            yield
            for name in names:
                writer.execute(f"ALTER TABLE {name}_away RENAME TO {name}")


def config(home: Path, haste: dict[str, str]) -> dict[str, str]:
    """Write the shop's settings with changes; return the environment of a node."""
    text = (EXAMPLES / "shop" / "failsoft.toml").read_text()
    for slow, fast in haste.items():
        assert slow in text
        text = text.replace(slow, fast)
    (home / "failsoft.toml").write_text(text)
    shutil.copy(EXAMPLES / "shop" / "flags.json", home)
    return {
        "SHOP_DB": str(home / "shop.db"),
        "FAILSOFT_CONFIG": str(home / "failsoft.toml"),
    }


@pytest.fixture
def shop(own_redis: OwnRedis, tmp_path: Path) -> Iterator[Shop]:
    with own_redis() as redis, served("shop.payments:app", home=tmp_path) as payments:
        env = config(tmp_path, HASTE) | {
            "SHOP_PAYMENTS_URL": payments,
            "FAILSOFT_REDIS_URL": redis.url,
        }
        with (
            served("shop.api:app", home=tmp_path, env=env) as first,
            served("shop.api:app", home=tmp_path, env=env) as second,
        ):
            yield Shop((first, second), payments, tmp_path / "shop.db")


def test_slow_payments_degrade_checkout_and_recover_without_a_hand(shop: Shop) -> None:
    kept = shop.get("/v1/products/mug-blue").json()
    shop.behave(delay_ms=600)
    with ThreadPoolExecutor(24) as customers:  # slow, but each of them is served
        slow = list(customers.map(shop.check_out, [0, 1] * 12))

    def mode() -> bool:
        return all("charge-later" in read_modes(shop, node) for node in (0, 1))

    eventually(mode, within_s=6)
    degraded = [shop.check_out(node) for node in (0, 1)]
    told = shop.status(1)
    with shop.broken_database():
        stale = shop.get("/v1/products/mug-blue")
        lost = shop.get("/v1/products/mug-white")
    shop.behave()

    def normal() -> bool:
        shop.check_out(1)
        return all(shop.status(node)["indicator"] == "none" for node in (0, 1))

    eventually(normal, within_s=12)
    recovered = shop.check_out()

    assert {status for status, _ in slow} == {201}
    assert [status for status, _ in degraded] == [202, 202]
    assert all('mode="charge-later"' in notice for _, notice in degraded)
    assert told["description"] == "Orders are taken; cards are charged a little later"
    assert told["checkout"]["modes"] == ["charge-later"]
    assert told["shop"]["status"] == "operational"
    assert (stale.status_code, stale.json(), lost.status_code) == (200, kept, 500)
    assert stale.headers["cache-status"].startswith("failsoft; hit")
    assert recovered == (201, "")
    eventually(shop.paid, within_s=3)


def read_modes(shop: Shop, node: int) -> list[str]:
    modes: list[str] = shop.status(node)["checkout"].get("modes", [])
    return modes


def test_an_operator_gives_up_reviews_first(
    own_redis: OwnRedis,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reviews = "/v1/products/mug-blue/reviews"
    with own_redis() as redis:
        env = config(tmp_path, {}) | {"FAILSOFT_REDIS_URL": redis.url}
        with served("shop.api:app", home=tmp_path, env=env) as url:
            monkeypatch.setenv("FAILSOFT_REDIS_URL", redis.url)
            shop = Shop((url,), "", tmp_path / "shop.db")
            before = shop.get(reviews).status_code
            words = ("--for", "1m", "-m", "busy", "--confirm", "default")
            entered = runner(capsys)("mode", "enter", "essentials", *words)
            under = [shop.get(path) for path in (reviews, "/v1/products", "/v1/orders")]

    assert entered.code == 0, entered
    assert before == 200
    assert [answer.status_code for answer in under] == [503, 200, 200]
    assert 'mode="essentials"' in under[0].headers["failsoft-notice"]
