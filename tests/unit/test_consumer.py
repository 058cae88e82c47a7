"""Who calls: what a name is made of, and what never shows in it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failsoft.consumer import Consumers


def scope(*headers: tuple[str, str]) -> dict[str, object]:
    return {"headers": [(name.encode(), value.encode()) for name, value in headers]}


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("ShopApp/3.2.1 (iPhone; iOS 26)", "ShopApp-3"),
        ("Shop App/v2", "Shop_App-2"),
        ("cron", "cron"),
        ("python-httpx/0.28.1", "python-httpx-0"),
        ("Mozilla/5.0 (X11) AppleWebKit/537 Chrome/140.0 Safari/537", "chrome"),
        ("Mozilla/5.0 (X11; rv:140.0) Gecko/2010 Firefox/140.0", "firefox"),
        ("Mozilla/5.0 (compatible; bot)", "browser"),
        ("(odd)", "(anonymous)"),
        ("", "(anonymous)"),
    ],
)
def test_a_user_agent_is_reduced_to_its_family(agent: str, name: str) -> None:
    assert Consumers().name(scope(("user-agent", agent))) == name


def test_the_first_configured_header_wins_over_the_user_agent() -> None:
    consumers = Consumers(("x-app", "x-client"))
    asked = scope(("x-client", "b"), ("user-agent", "cron/1"), ("x-app", "acct_42"))

    assert consumers.name(asked) == "acct_42"


def test_an_app_is_known_by_its_agent_a_library_by_the_key_it_brings() -> None:
    consumers = Consumers()
    consumers.salt = b"salt"
    key = ("authorization", "Bearer s3cret")

    assert consumers.name(scope(("user-agent", "ShopApp/3"), key)) == "ShopApp-3"
    hashed = consumers.name(scope(("user-agent", "curl/8.1"), key))
    assert re.fullmatch("[0-9a-f]{16}", hashed)
    assert hashed == consumers.name(scope(("x-api-key", "Bearer s3cret")))


def test_another_salt_gives_another_name() -> None:
    asked, names = scope(("x-api-key", "k")), set()
    consumers = Consumers()

    for salt in (b"", b"one", b"two"):
        consumers.salt = salt
        names.add(consumers.name(asked))

    assert len(names) == 3
    assert "(unsalted)" in names


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"x-app", b"user-agent", b"authorization", b"accept"]),
            st.binary(max_size=200),
        )
    )
)
def test_any_headers_give_a_short_name_of_safe_characters(
    headers: list[tuple[bytes, bytes]],
) -> None:
    name = Consumers(("x-app",)).name({"headers": headers})

    assert re.fullmatch(r"[A-Za-z0-9_.@()-]{1,64}", name)


def test_endless_names_do_not_grow_the_memory_of_a_process() -> None:
    consumers = Consumers(("x-app",))

    names = {consumers.name(scope(("x-app", str(n)))) for n in range(3000)}

    assert len(names) == 3000
