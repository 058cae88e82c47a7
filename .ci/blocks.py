"""Run every `sh` and `python` block of the pages, in order: `blocks.py README.md ...`.

`sh` runs where the page stands, `python` in a new directory.  The first block that
fails, or takes more than two minutes, ends the run with status 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT_S = 120


def run_all(page: Path) -> int:
    """Run the blocks of one page; return the status."""
    text = page.read_text()
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for kind, code in blocks:
        print(f"--- {kind}\n{code.strip()}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            is_shell = kind == "sh"
            command = (
                ["bash", "-ec", code] if is_shell else [sys.executable, "-c", code]
            )
            folder = page.parent if is_shell else scratch
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                timeout=LIMIT_S,
                check=False,
            )
        if done.returncode:
            print(f"status {done.returncode}")
            return 1
    print(f"{page.name}: {len(blocks)} blocks run")
    return 0


if __name__ == "__main__":
    sys.exit(max(run_all(Path(name).resolve()) for name in sys.argv[1:]))
