"""The scripted incident: a bad release of payments, slow, failing, taken back.

Nobody has to act: the breaker opens for both nodes, the mode `charge-later` is entered
and told to users, orders wait for their charge; once payments is back all of it ends.
From its start it also sends an amount as text: nothing breaks, but the drift ledger
says so within two seconds.

`python -m shop.incident --payments http://127.0.0.1:8900 --after 5 --times 1`
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import dataclass
from types import FrameType
from typing import Any

import httpx

from shop.loopback import is_loopback

MAX_SECONDS = 3600.0


@dataclass(frozen=True)
class Phase:
    """What payments does for a while; `behaviour` is the body of its `/admin`."""

    name: str
    lasts_s: float
    behaviour: dict[str, Any]


# Half a minute of calls has to turn slow before the breaker opens, some 16 s; from then
# on payments is asked by few probes, which fail, until one finds it back.
PHASES = (
    Phase("slow", 25.0, {"delay_ms": 900, "shape": "v1-bad"}),
    Phase("failing", 12.0, {"delay_ms": 400, "fail_ratio": 0.6, "shape": "v1-bad"}),
    Phase("timing out", 8.0, {"delay_ms": 4000}),
)
RECOVERED: dict[str, Any] = {}


@dataclass(frozen=True)
class Script:
    """When the incident starts, how often it comes back, how fast it plays."""

    payments: str
    after_s: float = 20.0
    every_s: float = 900.0
    times: int = 1
    pace: float = 1.0

    def faults(self) -> list[str]:
        """Name everything that must not be run."""
        found = []
        if not is_loopback(self.payments):
            found.append(f"--payments {self.payments}: must be on this machine")
        if not 0.01 <= self.pace <= 10:
            found.append(f"--pace {self.pace}: must be from 0.01 to 10")
        if self.lasts_s() > MAX_SECONDS:
            found.append(f"lasts {self.lasts_s():.0f} s: {MAX_SECONDS:.0f} s at most")
        if self.every_s < one_incident_s(self.pace):
            found.append(f"--every {self.every_s}: shorter than the incident itself")
        return found

    def lasts_s(self) -> float:
        return self.after_s + self.every_s * self.times


def one_incident_s(pace: float) -> float:
    """Return how long one incident lasts; pace 2 = twice as slow."""
    return pace * sum(phase.lasts_s for phase in PHASES)


def play(script: Script) -> None:
    """Play the script; payments is put back to normal however it ends."""
    try:
        time.sleep(script.after_s)
        for _ in range(script.times):
            started = time.monotonic()
            for phase in PHASES:
                behave(script.payments, phase.name, phase.behaviour)
                time.sleep(phase.lasts_s * script.pace)
            behave(script.payments, "recovered", RECOVERED)
            time.sleep(max(0.0, started + script.every_s - time.monotonic()))
    finally:
        behave(script.payments, "over", RECOVERED)


def behave(payments: str, name: str, behaviour: dict[str, Any]) -> None:
    """Tell payments how to behave and say so; a payments that is gone is no error."""
    try:
        httpx.post(
            f"{payments}/admin", json=behaviour, timeout=2.0, trust_env=False
        ).raise_for_status()
    except httpx.TransportError as gone:
        print(f"payments: {name}: not reached: {gone}", flush=True)
    else:
        print(f"payments: {name} {behaviour or ''}".rstrip(), flush=True)


def _stop(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> int:
    """Play the incident of the command line."""
    parser = argparse.ArgumentParser(prog="python -m shop.incident")
    parser.add_argument("--payments", required=True, help="URL of shop.payments")
    parser.add_argument("--after", type=float, default=20.0, help="seconds")
    parser.add_argument("--every", type=float, default=900.0, help="seconds")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--pace", type=float, default=1.0, help="2 = twice as slow")
    given = parser.parse_args()
    script = Script(
        given.payments.rstrip("/"), given.after, given.every, given.times, given.pace
    )
    if faults := script.faults():
        parser.error("; ".join(faults))
    signal.signal(signal.SIGTERM, _stop)
    play(script)
    return 0


if __name__ == "__main__":
    sys.exit(main())
