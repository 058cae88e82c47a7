"""`failsoft` and `python -m failsoft`."""

from __future__ import annotations

import sys

from failsoft.cli import run

__all__ = ["main"]


def main() -> None:
    """Run one verb and exit with its status."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
