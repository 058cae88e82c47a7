"""Last good sets that nodes keep in a rewound store, for operators and for peers.

Redis lost them; the nodes still enforce them.  What is kept there is the file of
`lastgood`, compressed, under the digest of its records.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable

from failsoft import clock, dice
from failsoft.controls.held import Held
from failsoft.controls.lastgood import Saved, decode_file, encode_file
from failsoft.controls.rewind import offers_of
from failsoft.controls.watcher import Watcher
from failsoft.errors import StoreError
from failsoft.store.protocols import NodeStore

__all__ = ["Offers", "decode_offer", "encode_offer"]

LOG = logging.getLogger("failsoft.controls")

_AFTER_S, _JITTER_S = 2.0, 1.0
_AGAIN_S = 30.0  # a store that was emptied may be emptied again
_LOOK_S = 30.0  # how long a new node looks for peers that know better
_LOOK_EVERY_S = 3.0
_MOST_BYTES = 8 * 1024 * 1024
_MOST_DECODED_BYTES = 40 * _MOST_BYTES


def encode_offer(held: Held, env: str) -> bytes:
    """Return a set as an offer; O(records), for threads."""
    return zlib.compress(encode_file(Saved(env, held, clock.unix())))


def decode_offer(blob: bytes, env: str, digest: str) -> Held:
    """Return the set of an offer; ValueError when it is not the one of `digest`."""
    unpack = zlib.decompressobj()
    try:
        raw = unpack.decompress(blob, _MOST_DECODED_BYTES)
    except zlib.error as error:
        raise ValueError(f"offer {digest} cannot be unpacked: {error}") from None
    held = decode_file(raw, env).held
    if held.digest != digest:
        raise ValueError(f"offer {digest} holds the set {held.digest}")
    return held


class Offers:
    """Offers what a node holds while the store is rewound; a new node takes it."""

    def __init__(
        self,
        store: NodeStore,
        watcher: Watcher,
        *,
        rand: Callable[[], float] = dice.random,
    ) -> None:
        self._store = store
        self._watcher = watcher
        self._rand = rand
        self._good: Held | None = None
        self._due_at = self._look_at = 0.0
        self._synced_at: float | None = None
        self._tried: set[str] = set()

    async def run(self) -> None:
        """Go on until cancelled."""
        while not self._store.local:
            try:
                await self.step(clock.elapsed())
            except StoreError as error:
                LOG.debug("offers: %s", error)
            except ValueError as error:
                LOG.warning("%s", error)
            await asyncio.sleep(self._watcher.beat_s)

    async def step(self, now: float) -> None:
        """Do what is due; now: seconds, never set back.  Raises StoreError."""
        good = self._watcher.current.good
        if good is None:
            self._good = None
            if self._is_new(now) and now >= self._look_at:
                await self._take()
                self._look_at = now + _LOOK_EVERY_S
        elif good is not self._good:
            # Not at once: all nodes notice together, and one offer is enough.
            self._good, self._due_at = good, now + _AFTER_S + _JITTER_S * self._rand()
        elif now >= self._due_at:
            self._due_at = now + _AGAIN_S
            await self._offer(good)

    async def _offer(self, good: Held) -> None:
        if await self._store.keep_offer(good.digest):
            return
        blob = await asyncio.to_thread(encode_offer, good, self._store.env)
        if len(blob) > _MOST_BYTES:
            LOG.warning(
                "the last good set is not offered: %d bytes, the limit is %d",
                *(len(blob), _MOST_BYTES),
            )
            return
        await self._store.offer(good.digest, blob)

    def _is_new(self, now: float) -> bool:
        """Whether this node began without a set, a short while ago."""
        watcher = self._watcher
        if watcher.rewind != "hold" or not watcher.is_synced:
            return False
        if self._synced_at is None:
            self._synced_at = now
        began_with = watcher.good.rev if watcher.good else 0
        return not began_with and now - self._synced_at < _LOOK_S

    async def _take(self) -> None:
        """Begin with what most rewound peers hold, if they know better."""
        for digest in offers_of(await self._store.peers()):
            if digest in self._tried:
                continue
            blob = await self._store.offered(digest)
            if blob is None:
                continue
            try:
                good = await asyncio.to_thread(
                    decode_offer, blob, self._store.env, digest
                )
            except ValueError:
                self._tried.add(digest)
                raise
            # Tried only once it is decided: a lost connection decides nothing.
            if await self._watcher.begin_with(good):
                self._tried.add(digest)
            return
