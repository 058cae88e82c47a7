"""Who listens to a process hears it, however many come and go at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from failsoft.events import Swapped, listen, tell


@pytest.fixture
def hasty() -> Iterator[None]:
    """Have threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_one_that_comes_while_another_goes_is_heard(hasty: None) -> None:
    heard: list[int] = []
    kept = [listen(lambda event: None) for _ in range(50)]

    def come(number: int) -> None:
        both.wait()
        kept.append(listen(lambda event: heard.append(number)))

    def go() -> None:
        both.wait()
        kept.pop(0)()

    for number in range(200):
        both = threading.Barrier(2)
        threads = [
            threading.Thread(target=come, args=(number,)),
            threading.Thread(target=go),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept.insert(0, listen(lambda event: None))
    tell(Swapped(None, "live", None))
    for end in kept:
        end()

    assert sorted(heard) == list(range(200))
    tell(Swapped(None, "live", None))
    assert len(heard) == 200
