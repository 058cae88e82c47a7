"""Opens a session on one environment's store."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping

from failsoft.errors import StoreError
from failsoft.ops.reader import Reader
from failsoft.ops.session import Session
from failsoft.ops.sources.store import FleetStore, StoreSource
from failsoft.ops.views import Identity
from failsoft.settings import mask_url
from failsoft.store.open import open_store

__all__ = ["connect", "open_session"]

DEFAULT_ENV = "default"


async def connect(
    url: str | None = None,
    env: str | None = None,
    *,
    identity: Identity | None = None,
    read_only: bool = False,
    needs_arming: bool = True,
    actor: str | None = None,
) -> Session:
    """Return a session whose reader runs; without a URL on this process's memory.

    url, env: default to `FAILSOFT_REDIS_URL` and `FAILSOFT_ENV`.  needs_arming: False
    for tools that bring a reason with each write.  actor: who writes, a claim; who the
    server says it is stands beside it in the log.  A store that is lost later is no
    error: the views say so.  Raises StoreUnavailable when it does not answer now,
    StoreRefused on a wrong login, DefinitionError on a bad URL or environment name.
    """
    url = url or os.environ.get("FAILSOFT_REDIS_URL") or None
    env = env or os.environ.get("FAILSOFT_ENV") or DEFAULT_ENV
    store = open_store(url, env)
    return await open_session(
        store,
        mask_url(url) if url else "memory",
        identity=identity,
        read_only=read_only,
        needs_arming=needs_arming,
        actor=actor,
    )


async def open_session(
    store: FleetStore,
    address: str = "",
    *,
    identity: Identity | None = None,
    read_only: bool = False,
    needs_arming: bool = True,
    actor: str | None = None,
) -> Session:
    """Return a session on a store that is open already; the session closes it."""
    try:
        user, role = await store.identify()
    except StoreError:
        await store.aclose()
        raise
    reader = Reader(StoreSource(store, address), store.env)
    reader.start()
    return Session(
        store,
        reader,
        identity or _identity(user, actor),
        role,
        read_only=read_only,
        needs_arming=needs_arming,
    )


def _identity(user: str, actor: str | None) -> Identity:
    """Return who writes: the server's name if it proves one, else the login name."""
    label = f"{_login(os.environ)}@{socket.gethostname()}"[:100]
    if actor:
        return Identity(actor, False, f"{label} {user}"[:200])
    name = user.removesuffix("?")
    if not user.endswith("?"):
        return Identity(name, True, label)
    plain = name in ("", "default", "local")
    return Identity(_login(os.environ) if plain else name, False, label)


def _login(environ: Mapping[str, str]) -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without an entry for its uid
        return environ.get("USER", "unknown")
