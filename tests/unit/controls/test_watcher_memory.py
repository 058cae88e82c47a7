"""The watcher on the store of one process: no server, no staleness."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from failsoft.controls.watcher import ControlState, Watcher
from failsoft.store.memory import MemoryStore
from failsoft.store.protocols import Call, Change, Entry

pytestmark = pytest.mark.anyio


def call(name: str, until: str = "0", op: str = "put") -> Call:
    change = Change("kill", name, op, until=until, json=b"{}")  # type: ignore[arg-type]
    return Call(f"{op}-{name}", "ana", "a test", (change,))


async def turns_true(check: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if check():
            return
        await asyncio.sleep(0)
    raise AssertionError("never became true")


class Told:
    """Collects states; `until` waits for one that meets a condition."""

    def __init__(self) -> None:
        self.states: list[ControlState] = []
        self._more = asyncio.Event()

    def __call__(self, state: ControlState) -> None:
        self.states.append(state)
        self._more.set()

    async def until_rev(self, rev: int) -> ControlState:
        async with asyncio.timeout(5):
            while not self.states or self.states[-1].rev < rev:
                self._more.clear()
                await self._more.wait()
        return self.states[-1]


@pytest.fixture
def told(anyio_backend: str) -> Told:
    return Told()


@pytest.fixture
async def store(anyio_backend: str) -> MemoryStore:
    return MemoryStore("test")


@pytest.fixture
async def watcher(store: MemoryStore, told: Told) -> AsyncIterator[Watcher]:
    running = Watcher(
        store, node_id="n1", heartbeat=lambda: b"", on_change=told, beat_s=0.02
    )
    running.start()
    yield running
    await running.stop()


async def test_the_store_of_one_process_is_local(watcher: Watcher, told: Told) -> None:
    assert await watcher.first_sync(1.0)

    assert [state.state for state in told.states] == ["local"]


async def test_a_change_is_told_once(
    watcher: Watcher, store: MemoryStore, told: Told
) -> None:
    await watcher.first_sync(1.0)

    await store.apply(call("x"))
    state = await told.until_rev(1)

    assert list(state.records) == [("kill", "x")]
    assert [state.rev for state in told.states] == [0, 1]


async def test_a_watching_reader_leaves_the_records_object_alone(
    watcher: Watcher, store: MemoryStore, told: Told
) -> None:
    await store.apply(call("x"))
    first = await told.until_rev(1)

    await store.read(ticks_after="", flights_after="")
    await turns_true(lambda: watcher.current.watched)

    assert told.states[-1].watched
    assert told.states[-1].records is first.records


async def test_a_failing_listener_does_not_end_the_watch(
    store: MemoryStore, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(state: ControlState) -> None:
        told(state)
        if state.rev == 1:
            raise ValueError("cannot compile")

    watcher = Watcher(store, node_id="n1", heartbeat=lambda: b"", on_change=fail)
    watcher.start()
    await watcher.first_sync(1.0)
    await store.apply(call("x"))
    await told.until_rev(1)
    await store.apply(call("y"))
    await told.until_rev(2)
    await watcher.stop()

    assert "controls at revision 1 were not taken" in caplog.text


async def test_a_listener_that_always_fails_is_told_once_a_minute(
    store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: ControlState) -> None:
        raise ValueError("cannot compile")

    watcher = Watcher(store, node_id="n1", heartbeat=lambda: b"", on_change=fail)
    watcher.start()
    await watcher.first_sync(1.0)
    for name in "xyz":
        await store.apply(call(name))
    await turns_true(lambda: watcher.current.rev == 3)
    await watcher.stop()

    assert caplog.text.count("were not taken") == 1


async def test_a_read_that_the_log_outran_is_made_again(told: Told) -> None:
    class Hasty(MemoryStore):
        misses = 7

        async def after(self, last_id: str, count: int = 500) -> Sequence[Entry]:
            if not self.misses:
                return await super().after(last_id, count)
            self.misses -= 1
            await self.apply(call(f"a{self.misses}"))
            await self.apply(call(f"b{self.misses}"))
            return (await super().after(last_id, count))[1:]

    store = Hasty("test")
    watcher = Watcher(
        store,
        node_id="n1",
        heartbeat=lambda: b"",
        on_change=told,
        beat_s=0.01,
        elapsed=lambda: time.monotonic() * 50,
    )
    watcher.start()

    assert await watcher.first_sync(5.0)
    await told.until_rev(14)
    assert store.misses == 0
    await watcher.stop()


async def test_a_clock_set_back_holds_up_no_kill(told: Told) -> None:
    instants = [1_800_000_000.0]
    store = MemoryStore("test", lambda: instants[-1])
    one = Watcher(store, node_id="n1", heartbeat=lambda: b"", on_change=told)
    one.start()
    await store.apply(call("before"))
    await told.until_rev(1)

    instants.append(instants[0] - 3600)
    await store.apply(call("after"))
    state = await told.until_rev(2)
    await one.stop()

    assert state.state == "local"
    assert list(state.records) == [("kill", "before"), ("kill", "after")]


async def test_a_stopped_node_has_left(watcher: Watcher, store: MemoryStore) -> None:
    await watcher.first_sync(1.0)
    await store.beat("n1", b"seen")

    await watcher.stop()

    assert not (await store.read(ticks_after="", flights_after="")).nodes


async def test_a_watcher_starts_again_after_a_stop(
    watcher: Watcher, store: MemoryStore, told: Told
) -> None:
    await watcher.first_sync(1.0)
    await watcher.stop()
    await store.apply(call("x"))

    watcher.start()
    await told.until_rev(1)


async def test_a_store_that_outlives_its_loop_still_wakes_waiters() -> None:
    store = MemoryStore("test")

    def on_another_loop() -> None:
        async def wait_in_vain() -> None:
            task = asyncio.create_task(store.wait("0-0", 60.0))
            await asyncio.sleep(0)
            task.cancel()

        asyncio.run(wait_in_vain())

    await asyncio.to_thread(on_another_loop)
    waiting = asyncio.create_task(store.wait("0-0", 5.0))
    await asyncio.sleep(0)
    await store.apply(call("x"))

    assert len(await asyncio.wait_for(waiting, 2.0)) == 1
