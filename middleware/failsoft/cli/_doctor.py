"""`failsoft doctor`: can the settings be used, is the store fit, do nodes agree?"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from failsoft.cli._answers import ERROR, OK, answer, plain, table
from failsoft.cli._session import add_store, store_url
from failsoft.errors import DefinitionError, Invalid, StoreError
from failsoft.ops.connect import DEFAULT_ENV, open_session
from failsoft.ops.stale import span
from failsoft.ops.views import FleetView, NodeRow
from failsoft.settings import load_settings, unset_variables
from failsoft.store.redis.store import RedisStore

__all__ = ["add_arguments", "main"]

_OLDEST = (7, 0)
_CLOCK_OFF_S = 1.0


class Check(msgspec.Struct, frozen=True):
    """One finding.  state: ok warn fail skip."""

    name: str
    state: str
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `failsoft doctor`."""
    text = "module:attribute, to check its routes too; it is imported, not started"
    parser.add_argument("app", nargs="?", metavar="APP", help=text)
    parser.add_argument("--settings", metavar="FILE", help="a failsoft.toml")
    add_store(parser)


def main(values: argparse.Namespace) -> int:
    """Print all checks; returns 1 when one failed."""
    env = values.env or os.environ.get("FAILSOFT_ENV") or DEFAULT_ENV
    checks = _settings(values)
    try:
        checks += asyncio.run(_examine(store_url(values), env))
    except (Invalid, StoreError) as error:
        if all(check.state != "fail" for check in checks):
            raise  # its own exit status says more
        checks.append(Check("store", "fail", str(error)))
    failed = [check for check in checks if check.state == "fail"]
    if values.json:
        answer({"ok": not failed, "env": env, "checks": plain(checks)})
    else:
        rows = [(check.state.upper(), check.name, check.text) for check in checks]
        print(table(("", "CHECK", "FINDING"), rows))
    return ERROR if failed else OK


def _settings(values: argparse.Namespace) -> list[Check]:
    """Return what is wrong with failsoft.toml and, if one is named, with an app."""
    try:
        settings = load_settings({"config": values.settings}, os.environ, Path.cwd())
        faults, doubts = (
            _declared_by(values.app)
            if values.app
            else ([], unset_variables(settings.alerts, os.environ))
        )
    except DefinitionError as error:
        return [Check("settings", "fail", finding) for finding in error.findings]
    checks = [Check("settings", "fail", fault) for fault in faults]
    checks += [Check("settings", "warn", doubt) for doubt in doubts]
    named = values.app or values.settings or Path("failsoft.toml").is_file()
    if named and not checks:
        checks.append(Check("settings", "ok", "can be used"))
    return checks


def _declared_by(name: str) -> tuple[list[str], list[str]]:
    """Return faults and doubts of an application."""
    from failsoft.testing.contractapp import failsoft_of, import_app

    found = failsoft_of(import_app(name))
    if found is None:
        raise Invalid(
            "app", f"{name!r} has no Failsoft around it, or in its middleware"
        )
    if found._fault is not None:
        raise found._fault
    planner = found.runtime.planner
    return planner.faults(), planner.doubts()


async def _examine(url: str, env: str) -> list[Check]:
    store = RedisStore(url, env)
    session = await open_session(store, store.address, needs_arming=False)
    try:
        view = await session.ready()
        checks = [
            Check("store", "ok", f"{store.address} answers"),
            await _server(store),
            await _policy(store),
            await _replica(store),
            await _clock(store),
            _rights(session.identity.user, session.identity.verified, session.role),
        ]
        return [*checks, *_nodes(view)]
    finally:
        await session.aclose()


async def _ask(store: RedisStore, *command: str) -> Any:
    """Return the reply, None where the user lacks the right to ask."""
    try:
        return await store.server.ask("examining", *command)
    except StoreError:
        return None


def _text(reply: Any) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)


async def _server(store: RedisStore) -> Check:
    info = await _ask(store, "INFO", "server")
    if info is None:
        return Check("version", "skip", "this user may not read INFO")
    version = str(info.get("redis_version", "?"))
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts and parts < _OLDEST:
        return Check("version", "fail", f"Redis {version}; 7.0 or newer is needed")
    return Check("version", "ok", f"Redis {version}")


async def _policy(store: RedisStore) -> Check:
    reply = await _ask(store, "CONFIG", "GET", "maxmemory-policy")
    if not reply:
        return Check("eviction", "skip", "this user may not read CONFIG")
    values = reply.values() if isinstance(reply, dict) else reply[1:]
    policy = _text(next(iter(values), "?"))
    if policy.startswith("allkeys"):
        text = f"maxmemory-policy {policy} may evict controls; use noeviction"
        return Check("eviction", "warn", text)
    return Check("eviction", "ok", f"maxmemory-policy {policy}")


async def _replica(store: RedisStore) -> Check:
    info = await _ask(store, "INFO", "replication")
    if info is None:
        return Check("role", "skip", "this user may not read INFO")
    role = str(info.get("role", "?"))
    if role != "master":
        return Check("role", "fail", f"a {role}: writes go to the primary")
    return Check("role", "ok", "primary")


async def _clock(store: RedisStore) -> Check:
    before = time.time()
    reply = await _ask(store, "TIME")
    if reply is None:
        return Check("clock", "fail", "this user may not ask TIME")
    here = (before + time.time()) / 2
    off_s = int(reply[0]) + int(reply[1]) / 1e6 - here
    side = "behind" if off_s > 0 else "ahead of"
    text = f"this host is {abs(off_s):.3f} s {side} the store"
    return Check("clock", "ok" if abs(off_s) <= _CLOCK_OFF_S else "warn", text)


def _rights(user: str, verified: bool, role: str) -> Check:
    who = f"{user}{'' if verified else '?'} is {role}"
    if role not in ("operator", "viewer"):
        return Check("rights", "warn", f"{who}: writes of operators are refused")
    if verified:
        return Check("rights", "ok", who)
    text = f"{who}; names are not proven, see `failsoft acl`"
    return Check("rights", "warn", text)


def _nodes(view: FleetView) -> list[Check]:
    live = [node for node in view.nodes if node.state == "LIVE"]
    checks = []
    if not live:
        checks.append(Check("nodes", "warn", "no live node in this environment"))
    late = [n for n in live if (n.rev, n.epoch) != (view.revision, view.epoch)]
    late = late if view.revision else []
    own = [n for n in live if n.control_state in ("stale", "rewound")]
    if own:
        names = ", ".join(f"{n.short} {n.node} {n.control_state}" for n in own)
        text = f"not what the store holds is in force: {names}"
        checks.append(Check("controls", "fail", text))
    if late:
        names = ", ".join(f"{n.short} {n.node} at rev {n.rev}" for n in late)
        text = f"store at rev {view.revision}, {names}"
        checks.append(Check("revision", "fail", text))
    elif live and not own:
        text = f"{len(live)} live nodes enforce rev {view.revision}"
        checks.append(Check("nodes", "ok", text))
    checks += [
        Check("nodes", "warn", f"{n.short} {n.node} SILENT {span(n.age)}")
        for n in view.nodes
        if n.state == "SILENT"
    ]
    checks += [
        Check(
            "tracing",
            "warn",
            f"{n.short} got {count:,} malformed {name} headers: callers' traces break",
        )
        for n in live
        for name, count in n.bad_headers
    ]
    checks += [
        Check("nodes", "fail", f"{n.short} cannot enforce {', '.join(n.bad)}")
        for n in live
        if n.bad
    ]
    return [*checks, *_files(live)]


def _files(live: list[NodeRow]) -> list[Check]:
    """Say which nodes would lose the last good controls with their host."""
    texts = {
        "temporary": "last-known-good file lies in a temporary folder and is lost "
        "when its host restarts; set store.state_dir",
        "none": "has no folder for its last-known-good file; set store.state_dir",
    }
    return [
        Check("restart", "warn", f"{n.short} {n.node}: {texts[n.lastgood]}")
        for n in live
        if n.lastgood in texts
    ]
