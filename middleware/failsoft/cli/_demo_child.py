"""What each process of the demo runs in: `python -m ..._demo_child MODULE ARGUMENTS`.

Standard input is a pipe whose other end only the demo holds.  When it ends, the demo
is gone, however it went (SIGKILL too), and this process ends as well.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

__all__ = ["main"]

GRACE_S = 2.0


def main() -> None:
    """Run a module as a script, for as long as the demo lives."""
    threading.Thread(target=_end_with_the_demo, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_the_demo() -> None:
    # os.read: sys.stdin holds a lock that aborts the interpreter's own exit.
    while os.read(0, 64):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    main()
