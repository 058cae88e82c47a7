"""`failsoft top`: the terminal UI, imported only here."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from failsoft.cli._session import add_store, store_url
from failsoft.errors import MissingExtraError
from failsoft.ops import connect
from failsoft.ops.operator import Operator

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `failsoft top`."""
    add_store(parser)
    parser.add_argument("--read-only", action="store_true", help="no writes at all")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse alone")
    parser.add_argument("--ascii", action="store_true", help="no block characters")


def main(values: argparse.Namespace) -> int:
    """Run the terminal UI; MissingExtraError without Textual."""
    url = store_url(values)
    if find_spec("textual") is None:
        raise MissingExtraError("failsoft top", "Textual", "tui")
    from failsoft_tui import run

    async def operator() -> Operator:
        return await connect(url, values.env, read_only=values.read_only)

    ascii_only = True if values.ascii else None
    return run(operator, ascii_only=ascii_only, mouse=not values.no_mouse)
