"""The stage around a node's loop in virtual time: nothing here waits, or is noisy."""

from __future__ import annotations

import pytest

from bench.loop_model import CAPACITY, Node, critical, in_time, p99_s, refused

WAITS_S = [0.0, 0.02]


@pytest.mark.parametrize("wait_s", WAITS_S)
def test_twice_the_capacity_is_answered_in_time_as_far_as_it_can_be(
    wait_s: float,
) -> None:
    node = Node(lambda: wait_s)
    unloaded = Node(lambda: wait_s, is_even=False).offer(0.2 * CAPACITY, 10)

    done = node.offer(2 * CAPACITY, 20)

    first = critical(done)
    assert len(in_time(done)) / 20 >= 0.9 * CAPACITY
    assert len(in_time(first)) / len(first) >= 0.99
    assert p99_s(done[len(done) // 10 :]) <= 10 * p99_s(unloaded)


def test_without_failsoft_nearly_all_of_it_is_late() -> None:
    done = Node(is_guarded=False).offer(2 * CAPACITY, 20)

    assert len(in_time(done)) / 20 <= 0.1 * CAPACITY


@pytest.mark.parametrize("wait_s", WAITS_S)
def test_all_is_normal_soon_after(wait_s: float) -> None:
    node = Node(lambda: wait_s)
    node.offer(2 * CAPACITY, 10)

    node.offer(0.5 * CAPACITY, 5)
    after = node.offer(0.5 * CAPACITY, 40)

    assert refused(after) < 0.01
    assert refused(critical(after)) == 0
    assert node.stage.shedder.limit is None


@pytest.mark.parametrize("wait_s", WAITS_S)
def test_the_limit_does_not_creep_up_in_long_overload(wait_s: float) -> None:
    node = Node(lambda: wait_s, is_even=False)
    node.offer(1.5 * CAPACITY, 10)

    second = node.offer(1.5 * CAPACITY, 20)
    node.offer(1.5 * CAPACITY, 40)
    last = node.offer(1.5 * CAPACITY, 20)

    assert len(in_time(last)) >= 0.95 * len(in_time(second))
    assert p99_s(last) <= 1.5 * p99_s(second)


def test_a_slow_dependency_alone_refuses_nobody() -> None:
    node = Node(lambda: 4.0, is_even=False)

    done = node.offer(0.6 * CAPACITY, 10)

    assert refused(done) == 0
    assert len(node.stage.inside) > 400


def test_a_stall_a_second_refuses_nobody() -> None:
    node = Node(lambda: 0.5)
    rate = 0.4 * CAPACITY
    turns = iter(range(10**6))
    node.cpu_s = lambda: 0.15 if next(turns) % round(rate) == 0 else 0.003

    done = node.offer(rate, 20)

    assert refused(done) == 0


def test_near_its_capacity_a_node_refuses_few_and_none_that_is_critical() -> None:
    node = Node(lambda: 0.02)
    node.offer(2 * CAPACITY, 5)

    done = node.offer(0.9 * CAPACITY, 20)

    assert refused(critical(done)) == 0
    assert refused(done) <= 0.04
