"""`failsoft demo`: a shop under traffic on two nodes, with an incident, watched live.

Decides what runs, where, for how long.  The shop itself is examples/shop, which the
wheel carries as failsoft/_examples/shop.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from failsoft.cli._demo_fleet import ChildEnded, Fleet, free_ports
from failsoft.errors import Invalid, MissingExtraError, StoreUnavailable
from failsoft.ops import connect
from failsoft.ops.text import safe
from failsoft.ops.views import FleetView
from failsoft.settings import mask_url

__all__ = ["add_arguments", "main"]

MAX_SECONDS = 3600.0
MAX_RATE = 500.0
STORE_WITHIN_S = 5.0
# Twice within a quarter of an hour and the mode would latch: a person has to look then.
INCIDENT_AFTER_S, INCIDENT_EVERY_S = 20.0, 900.0
NEEDS = {
    "fastapi": "FastAPI",
    "uvicorn": "uvicorn",
    "httpx": "httpx",
    "aiosqlite": "aiosqlite",
    "fakeredis": "fakeredis",
    "lupa": "fakeredis[lua]",
    "textual": "Textual",
}
ENDINGS = ("SIGINT", "SIGTERM", "SIGHUP")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `failsoft demo`."""
    parser.add_argument(
        "--redis", metavar="URL", help="use this Redis, not an embedded one"
    )
    parser.add_argument(
        "--seconds", type=float, default=MAX_SECONDS, help="end by itself (3600)"
    )
    parser.add_argument(
        "--rate", type=float, default=40.0, help="requests per second (40)"
    )
    parser.add_argument(
        "--no-incident", action="store_true", help="payments stays healthy"
    )
    parser.add_argument("--env", default="demo", help="environment name (demo)")


@dataclass(frozen=True)
class Plan:
    """One demo: its addresses and bounds."""

    redis: str
    env: str
    seconds: float
    rate: float
    has_incident: bool
    redis_port: int  # 0: the operator brought one
    payments_port: int
    node_ports: tuple[int, ...]

    def node_urls(self) -> tuple[str, ...]:
        return tuple(f"http://127.0.0.1:{port}" for port in self.node_ports)

    def payments_url(self) -> str:
        return f"http://127.0.0.1:{self.payments_port}"


AGAIN_S = 3.0
_again: list[threading.Timer] = []


class Ended(SystemExit):
    """A signal asked the demo to end (asyncio lets only a SystemExit through)."""


def main(args: argparse.Namespace) -> int:
    """Run the demo until `q`, a signal, its time, or the death of a process.

    Returns 0, or 1 when a process died.  Raises Invalid,
    MissingExtraError, and StoreUnavailable when `--redis` does not answer.
    """
    _check_packages(args.redis)
    plan = _plan(args)
    if args.redis:
        asyncio.run(_check_store(plan))
    with (
        tempfile.TemporaryDirectory(prefix="failsoft-demo-") as home,
        _ends_by_signal(),
    ):
        fleet = Fleet(Path(home), _environ(plan, Path(home)))
        try:
            print("starting a shop on two nodes ...", flush=True)
            _start(fleet, plan)
            _show(fleet, plan)
        except Ended:
            pass
        except (ChildEnded, TimeoutError) as failure:
            print(f"failsoft demo: {failure}", file=sys.stderr)
            return 1
        finally:
            _ignore_signals()
            fleet.stop()
    return 0


def _plan(args: argparse.Namespace) -> Plan:
    if not 0 < args.seconds <= MAX_SECONDS:
        raise Invalid("--seconds", f"{args.seconds} must be above 0, 3600 at most")
    if not 0 < args.rate <= MAX_RATE:
        raise Invalid("--rate", f"{args.rate} must be above 0, {MAX_RATE:.0f} at most")
    redis_port, payments_port, *node_ports = free_ports(4)
    return Plan(
        redis=args.redis or f"redis://127.0.0.1:{redis_port}/0",
        env=args.env,
        seconds=args.seconds,
        rate=args.rate,
        has_incident=not args.no_incident,
        redis_port=0 if args.redis else redis_port,
        payments_port=payments_port,
        node_ports=tuple(node_ports),
    )


def _check_packages(redis: str | None) -> None:
    own = {"fakeredis", "lupa"} if redis else set()
    if not _is_interactive():
        own.add("textual")
    for module, package in NEEDS.items():
        if module not in own and find_spec(module) is None:
            raise MissingExtraError("failsoft demo", package, "demo")


def _examples() -> Path:
    package = Path(__file__).resolve().parents[1]
    shipped, checkout = package / "_examples", package.parents[1] / "examples"
    return shipped if shipped.is_dir() else checkout


def _environ(plan: Plan, home: Path) -> dict[str, str]:
    # The operator's own FAILSOFT_* settings must not reach the demo.
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FAILSOFT_")}
    examples = _examples()
    path = os.pathsep.join([str(examples), *filter(None, [kept.get("PYTHONPATH")])])
    return kept | {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "FAILSOFT_REDIS_URL": plan.redis,
        "FAILSOFT_ENV": plan.env,
        "FAILSOFT_CONFIG": str(examples / "shop" / "failsoft.toml"),
        "FAILSOFT_TELEMETRY_APP": "shop",
        "FAILSOFT_TELEMETRY_RELEASE": "1.0",
        "FAILSOFT_STORE_REWIND": "accept",
        "FAILSOFT_STORE_STATE_DIR": str(home / "state"),
        "SHOP_DB": str(home / "shop.db"),
        "SHOP_PAYMENTS_URL": plan.payments_url(),
    }


def _start(fleet: Fleet, plan: Plan) -> None:
    if plan.redis_port:
        fleet.start("redis", "failsoft.cli._demo_redis", str(plan.redis_port))
        fleet.wait_for(plan.redis_port)
    _serve(fleet, "payments", "shop.payments:app", plan.payments_port)
    for nth, port in enumerate(plan.node_ports, 1):
        _serve(fleet, f"api-{nth}", "shop.api:app", port)
    fleet.wait_for(plan.payments_port, *plan.node_ports)
    urls = [word for url in plan.node_urls() for word in ("--url", url)]
    bounds = ["--rate", str(plan.rate), "--seconds", str(plan.seconds)]
    fleet.start("traffic", "shop.traffic", *urls, *bounds)
    if plan.has_incident:
        _start_incident(fleet, plan)


def _serve(fleet: Fleet, name: str, app: str, port: int) -> None:
    quiet = ["--no-access-log", "--log-level", "warning"]
    ending = ["--timeout-graceful-shutdown", "1"]
    fleet.start(name, "uvicorn", app, "--port", str(port), *quiet, *ending)


def _start_incident(fleet: Fleet, plan: Plan) -> None:
    times = max(1, int((plan.seconds - INCIDENT_AFTER_S) // INCIDENT_EVERY_S))
    when = ["--after", str(INCIDENT_AFTER_S), "--every", str(INCIDENT_EVERY_S)]
    whom = ["--payments", plan.payments_url(), "--times", str(times)]
    fleet.start("incident", "shop.incident", *whom, *when)


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _show(fleet: Fleet, plan: Plan) -> None:
    _print_addresses(plan)
    if _is_interactive():
        _show_terminal(fleet, plan)
    else:
        with suppress(TimeoutError):
            asyncio.run(_print_status(fleet, plan))


def _print_addresses(plan: Plan) -> None:
    for nth, url in enumerate(plan.node_urls(), 1):
        print(f"api-{nth}     {url}/docs")
    print(f"payments  {plan.payments_url()}/docs")
    print(f"redis     {mask_url(plan.redis)}")
    print(f"operate   failsoft top --redis {mask_url(plan.redis)} --env {plan.env}")
    print(f"ends after {plan.seconds:.0f} s, or with q, Ctrl-C", flush=True)


async def _check_store(plan: Plan) -> None:
    """Raise StoreUnavailable at once rather than show a demo of a lost store."""
    operator = await connect(plan.redis, env=plan.env)
    where = mask_url(plan.redis)
    try:
        async with asyncio.timeout(STORE_WITHIN_S):
            async for view in operator.watch():
                if view.link.state == "up":
                    return
                if view.link.cause:
                    raise StoreUnavailable(view.link.cause, where=where)
    except TimeoutError:
        raise StoreUnavailable("no answer in time", where=where) from None
    finally:
        await operator.aclose()


async def _print_status(fleet: Fleet, plan: Plan) -> None:
    operator = await connect(plan.redis, env=plan.env)
    operator.want(("drift", "dependencies"))
    try:
        async with asyncio.timeout(plan.seconds):
            while True:
                await asyncio.sleep(1)
                fleet.check()
                print(status_line(operator.view()), flush=True)
    finally:
        await operator.aclose()


def status_line(view: FleetView) -> str:
    """Say in one line how the fleet is; a link that is not up comes first."""
    totals = view.totals
    errors = "-" if totals.err_rate is None else f"{totals.err_rate:.1%}"
    p95 = "-" if totals.p95 is None else f"{totals.p95:.0f} ms"
    drift = f"  drift {view.drift.entries}" if view.drift else ""
    link = "" if view.link.state == "up" else f"store {view.link.state}  "
    return (
        f"{link}{totals.rps:.1f} requests/s  errors {errors}  p95 {p95}  "
        f"nodes {totals.nodes_live}/{totals.nodes_known}  "
        f"controls {totals.controls_active}{drift}{_degraded(view)}"
    )


def _degraded(view: FleetView) -> str:
    """Name dependencies that are not closed, and modes that are on."""
    calls = view.dependencies.rows if view.dependencies else ()
    said = [f"{row.name} {row.state}" for row in calls if row.letter not in ".?"]
    said += [f"mode {mode.name} {mode.now}" for mode in view.modes if mode.is_on]
    return "".join(f"  {safe(words)}" for words in said)


def _show_terminal(fleet: Fleet, plan: Plan) -> None:
    from failsoft_tui import run

    watch = threading.Thread(target=_end_on_trouble, args=(fleet, plan), daemon=True)
    watch.start()
    try:
        run(lambda: connect(plan.redis, env=plan.env))
    finally:
        # A dead child is what ended us: say so rather than leave in silence.
        fleet.check()


def _end_on_trouble(fleet: Fleet, plan: Plan) -> None:
    deadline = time.monotonic() + plan.seconds
    with suppress(ChildEnded):
        while time.monotonic() < deadline:
            time.sleep(0.5)
            fleet.check()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _ends_by_signal() -> Iterator[None]:
    before = {}
    for name in ENDINGS:
        signum = getattr(signal, name, None)
        # Started under nohup, a hang-up stays ignored.
        if signum and signal.getsignal(signum) is not signal.SIG_IGN:
            before[signum] = signal.signal(signum, _end)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _end(signum: int, frame: FrameType | None) -> None:
    # Once more later: asyncio ends only when every task has, and on Python 3.11 one
    # inside redis-py may have lost its cancellation.
    again = threading.Timer(AGAIN_S, os.kill, (os.getpid(), signum))
    again.daemon = True
    again.start()
    _again.append(again)
    raise Ended(0)


def _ignore_signals() -> None:
    while _again:
        _again.pop().cancel()
    for name in ENDINGS:
        if signum := getattr(signal, name, None):
            signal.signal(signum, signal.SIG_IGN)
