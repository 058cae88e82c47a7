from __future__ import annotations

import os
import random

from failsoft import dice


def test_what_we_draw_leaves_the_numbers_of_the_application_alone() -> None:
    before = random.getstate()
    drawn = {dice.random(), dice.uniform(1, 2), dice.getrandbits(128)}
    assert len(drawn) == 3
    assert random.getstate() == before


def test_a_seed_of_the_application_does_not_bring_back_our_numbers() -> None:
    random.seed(7)
    first = dice.getrandbits(128)
    random.seed(7)
    assert dice.getrandbits(128) != first


def test_a_forked_child_draws_other_numbers_than_its_parent() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, dice.getrandbits(64).to_bytes(8, "big"))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = int.from_bytes(os.read(reading, 8), "big")
    os.close(reading)
    os.close(writing)
    assert theirs != dice.getrandbits(64)
