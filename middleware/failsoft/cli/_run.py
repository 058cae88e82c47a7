"""`failsoft run module:app`: uvicorn with failsoft around an app that knows nothing.

Worker processes import `failsoft.cli._run:app` and find the real app's name in the
environment, so `--workers` and `--reload` work as ever.
"""

from __future__ import annotations

import argparse
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from failsoft.errors import Invalid, MissingExtraError

if TYPE_CHECKING:
    from failsoft.asgi import Failsoft

__all__ = ["add_arguments", "app", "main"]

_APP = "FAILSOFT_APP"
_CALL = "()"  # ends the name of an app that is a factory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `failsoft run`; all others are uvicorn's."""
    parser.add_argument("app", help="module:attribute, as uvicorn takes it")
    parser.add_argument("--redis", "--url", dest="url", metavar="URL")
    parser.add_argument("--env", metavar="NAME", help="environment (FAILSOFT_ENV)")
    parser.add_argument("--factory", action="store_true", help="app is a factory")
    parser.epilog = "Everything else is handed to uvicorn: --host --port --workers ..."


def main(values: argparse.Namespace) -> int:
    """Run uvicorn until it ends; MissingExtraError without it."""
    module, colon, name = values.app.partition(":")
    if not (module and colon and name):
        raise Invalid("app", f"{values.app!r} must be module:attribute, e.g. shop:app")
    if find_spec("uvicorn") is None:
        raise MissingExtraError("failsoft run", "uvicorn", "demo")
    import uvicorn.main

    os.environ[_APP] = values.app + (_CALL if values.factory else "")
    chosen = {"FAILSOFT_REDIS_URL": values.url, "FAILSOFT_ENV": values.env}
    os.environ.update({key: value for key, value in chosen.items() if value})
    uvicorn.main.main(
        args=["failsoft.cli._run:app", "--factory", *values.uvicorn],
        prog_name="failsoft run",
    )
    return 0


def app() -> Failsoft:
    """Import the app named by the environment and wrap it (uvicorn's factory)."""
    from uvicorn.importer import import_from_string

    from failsoft.asgi import Failsoft

    name = os.environ[_APP]
    inner: Any = import_from_string(name.removesuffix(_CALL))
    return Failsoft(inner() if name.endswith(_CALL) else inner)
