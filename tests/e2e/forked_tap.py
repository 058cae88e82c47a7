"""A process that forks while a contract is loaded; ends with 0 if its child watches."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from failsoft.outbound._transport import open_transport
from failsoft.settings import DependencySettings
from unit.outbound.seen import Seen

seen = Seen()


def main(folder: Path) -> int:
    pipe, file = folder / "contract.json", folder / "third.json"
    os.mkfifo(pipe)  # nobody writes to it: the parent's load never ends
    mock = httpx.MockTransport(lambda _: httpx.Response(200, json={"id": 1}))
    seen.settings = DependencySettings(contract=str(pipe))
    made: Any = open_transport(("x", DependencySettings()), lambda: seen, None, mock)
    with httpx.Client(transport=made, base_url="http://x.test") as client:
        client.get("/charges/1")
        if child := os.fork():
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        seen.settings = DependencySettings(contract=str(file))
        client.get("/charges/1")
        until = time.monotonic() + 5
        while not seen.findings and time.monotonic() < until:
            time.sleep(0.01)
    os._exit(0 if seen.findings else 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
