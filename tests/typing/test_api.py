"""How users write failsoft must type-check under `mypy --strict`, and run."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, assert_type

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware

import failsoft
from failsoft import Exchange, Failsoft, FlagDetails
from failsoft.testing import override

Message = MutableMapping[str, Any]


async def plain_app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None: ...


def test_it_is_added_to_fastapi_and_starlette() -> None:
    FastAPI().add_middleware(Failsoft)
    Starlette().add_middleware(Failsoft, env="shop", store={"beat": "500ms"})
    Starlette(middleware=[Middleware(Failsoft, redis_url="redis://localhost")])


def test_it_wraps_any_asgi_application() -> None:
    assert_type(Failsoft(plain_app), Failsoft)
    assert_type(Failsoft(FastAPI(), env="shop"), Failsoft)
    assert_type(Failsoft(Failsoft(plain_app)), Failsoft)


def test_a_flag_has_the_type_of_its_default() -> None:
    assert_type(failsoft.flag("a", default=False), bool)
    assert_type(failsoft.flag("a", default="blue"), str)
    assert_type(failsoft.flag("a", default=3), int)
    assert_type(failsoft.flag("a", default=0.5), float)
    assert_type(failsoft.flag_details("a", False, targeting_key="u"), FlagDetails)


def test_a_declared_flag_has_the_type_of_its_default() -> None:
    flag = failsoft.Flag("typed", default="blue", fail="off", owner="pay")

    assert_type(flag, failsoft.Flag[str])
    assert_type(flag(targeting_key="u"), str)
    assert_type(flag.details(), FlagDetails)
    assert_type(failsoft.Flag("typed.n", default=False)(), bool)


def test_a_test_keeps_its_type_when_flags_are_set_for_it() -> None:
    @override({"typed": "red"})
    async def one(number: int) -> str:
        return failsoft.flag("typed", "blue")

    assert_type(one(7).close(), None)
    with override({"typed": "green"}):
        assert failsoft.flag("typed", "blue") == "green"


def test_outside_of_a_request_there_is_no_current_one() -> None:
    assert_type(failsoft.current(), Exchange | None)

    assert failsoft.current() is None


def test_a_decorated_handler_keeps_its_signature() -> None:
    @failsoft.route(criticality="critical_plus", tags=["revenue"], bypass=False)
    async def checkout(cart: int) -> str:
        return f"cart {cart}"

    assert_type(checkout(7).close(), None)
    assert checkout.__name__ == "checkout"


def test_an_unknown_criticality_is_refused() -> None:
    with pytest.raises(
        ValueError, match='criticality = "high" must be one of critical_plus'
    ):
        failsoft.route(criticality="high")  # type: ignore[arg-type]


async def ask(number: int) -> str:
    return str(number)


def test_a_call_has_the_type_of_its_function() -> None:
    bank = failsoft.dependency("bank")

    async def calls() -> None:
        assert_type(await bank.call(ask, 7, timeout=2.0), str)

    assert_type(bank, failsoft.Dependency)
    assert_type(bank.call_sync(len, "abc", idempotent=True), int)
    assert_type(bank(ask)(7).close(), None)
    assert_type(bank.state().calls, int)
    calls().close()
