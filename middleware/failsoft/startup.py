"""`failsoft.start` and `failsoft.stop`, for processes that serve no ASGI scope."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from pathlib import Path
from typing import Any

from failsoft.process import resign
from failsoft.routes.table import build_table
from failsoft.runtime import Runtime, current_runtime
from failsoft.settings import load_settings

__all__ = ["start", "stop"]

_log = logging.getLogger("failsoft")
_MARGIN_S = 5.0  # beyond `start_deadline`: it has taken its time by then
_STOP_S = 3.0

_lock = threading.Lock()
_begun: Runtime | None = None
_has_exit = False


def start(*, url: str | None = None, env: str | None = None, **overrides: Any) -> None:
    """Follow the control store in a thread, so that flags work without ASGI.

    For Celery, scripts and sync applications; `failsoft.Failsoft` does the same by
    itself.  url, env, `config` and sections as dicts win over environment and
    failsoft.toml.  No effect while this process follows a store already; after a
    fork children go on by themselves.  Waits at most `store.start_deadline`.
    Raises DefinitionError, and StoreUnavailable with `store.require`.
    """
    global _begun, _has_exit
    given = {"redis_url": url, "env": env} | overrides
    settings = load_settings(
        {key: value for key, value in given.items() if value is not None},
        os.environ,
        Path.cwd(),
    )
    with _lock:
        running = current_runtime()
        if running is not None and running.is_up:
            if running.settings != settings:
                _log.warning("failsoft.start: already started, with other settings")
            return
        runtime = Runtime(settings, build_table((), settings.routes))
        if not _has_exit:
            _has_exit = True
            atexit.register(stop)
        first, _begun = runtime.live_alone(), runtime
        try:
            first.result(settings.store.start_deadline_s + _MARGIN_S)
        except BaseException:
            resign(runtime, _STOP_S)
            raise


def stop() -> None:
    """End what `failsoft.start` began; flags then give their coded defaults."""
    global _begun
    with _lock:
        runtime, _begun = _begun, None
        if runtime is not None:
            resign(runtime, _STOP_S)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # the parent's may be held by a thread that is not here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
