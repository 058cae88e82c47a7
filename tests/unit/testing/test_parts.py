"""The parts that tests are made of: clock, proxy, server; and that they are light."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from failsoft.testing import FaultProxy, ManualClock, RedisServer


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(10.0)

    assert (clock(), clock.advance(2.5), clock()) == (10.0, 12.5, 12.5)
    with pytest.raises(ValueError, match="cannot advance"):
        clock.advance(-1)


def test_importing_the_test_parts_loads_no_heavy_package() -> None:
    code = (
        "import sys, failsoft.testing, failsoft.store.open, failsoft.store.memory;"
        "heavy = {'redis', 'fakeredis', 'starlette', 'httpx', 'textual'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


@pytest.fixture
def echo_url() -> Iterator[str]:
    """A server that answers each line with itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
        yield f"redis://ana:pw@127.0.0.1:{listener.getsockname()[1]}/0"
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(link,), daemon=True).start()


def _echo(link: socket.socket) -> None:
    with link:
        while chunk := link.recv(1024):
            link.sendall(chunk)


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3)


def answer(link: socket.socket, text: bytes) -> bytes:
    link.sendall(text)
    return link.recv(1024)


def test_a_healthy_proxy_passes_everything(echo_url: str) -> None:
    with FaultProxy(echo_url) as proxy, connect(proxy) as link:
        assert answer(link, b"hello") == b"hello"
        assert proxy.url == f"redis://ana:pw@127.0.0.1:{proxy.port}/0"


def test_a_refusing_proxy_accepts_again_on_the_same_port(echo_url: str) -> None:
    with FaultProxy(echo_url) as proxy:
        port = proxy.port
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        proxy.accept()

        with connect(proxy) as link:
            assert answer(link, b"again") == b"again"
        assert proxy.port == port


def test_a_cut_ends_only_the_named_connections(echo_url: str) -> None:
    with FaultProxy(echo_url) as proxy, connect(proxy) as one, connect(proxy) as two:
        answer(one, b"first")
        answer(two, b"second")
        proxy.cut(only=b"first")

        assert one.recv(1) == b""
        assert answer(two, b"still") == b"still"


def test_a_black_hole_takes_and_never_answers_until_healed(echo_url: str) -> None:
    with FaultProxy(echo_url) as proxy:
        with connect(proxy) as link:
            proxy.swallow()
            with pytest.raises(TimeoutError):
                answer(link, b"anyone?")
        proxy.heal()
        with connect(proxy) as link:
            assert answer(link, b"back") == b"back"


def test_lost_replies_end_the_connection(echo_url: str) -> None:
    with FaultProxy(echo_url) as proxy, connect(proxy) as link:
        proxy.lose_replies(lambda: True)

        assert answer(link, b"lost") == b""


def test_a_delay_holds_an_answer_back(echo_url: str) -> None:
    with FaultProxy(echo_url) as proxy, connect(proxy) as link:
        proxy.delay_s = 0.4

        with pytest.raises(TimeoutError):
            answer(link, b"slow")


def test_a_killed_server_comes_back_on_its_port(redis_server: RedisServer) -> None:
    url, pid = redis_server.url, redis_server.pid
    if pid is None:
        pytest.skip("needs a redis-server of its own")

    redis_server.kill()
    assert redis_server.ask("PING") == ""
    redis_server.start()

    assert redis_server.ask("PING") == "PONG"
    assert (redis_server.url, redis_server.pid != pid) == (url, True)
