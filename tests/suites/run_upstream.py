"""Run Starlette's and FastAPI's own tests bare and with failsoft around every app.

    python tests/suites/run_upstream.py [starlette] [fastapi] [--wrap WRAP ...]
                                        [--keep DIR] [--select EXPRESSION]
                                        [--fastapi VERSION]

WRAP: failsoft (as it comes), off, observe, tolerate (that handling, with the models
read before each first request), versioned (a contract, all clients at its head), or
passthrough (a plain wrapper, to try the harness).

Takes the sdists of the versions installed here (they carry the tests), gives each
a virtual environment of its own with what its tests ask for, runs it twice and
compares the sets of passed tests.  Exit status 1 when failsoft loses one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Suite:
    """One project's tests.  group: its dependency group; left_out: path -> why.

    unselected: test id, or a word of test names -> why.
    """

    project: str
    group: str
    extras: str
    left_out: dict[str, str]
    unselected: dict[str, str]


TRIO = {"trio": "failsoft runs on asyncio only"}
TIMING = "measures speed under a plugin of its own, asserts no behaviour"
LOOKUPS = (
    "tests/test_telemetry/test_tracer.py::"
    "test_tracer_lookup_preserves_warning_deduplication"
)
SUITES = {
    "starlette": Suite(
        "starlette",
        "dev",
        "[full]",
        left_out={},
        unselected=TRIO
        | {
            "test_instrumentation_uses_actual_route_match_once": "counts calls of "
            "matches() of a route class of its own; failsoft asks such a class too"
        },
    ),
    "fastapi": Suite(
        "fastapi",
        "tests",
        "[standard]",
        left_out={"tests/benchmarks": TIMING, "tests/memory_benchmarks": TIMING},
        unselected=TRIO
        | {
            "test_app_can_be_reused_across_event_loops": "ends on a trio loop",
            **dict.fromkeys(
                [f"{LOOKUPS}[http-True]", f"{LOOKUPS}[websocket-True]"],
                "counts look-ups of a tracer in the process; failsoft has its own",
            ),
        },
    ),
}

WRAPS = ("failsoft", "off", "observe", "tolerate", "versioned", "passthrough")

# No part of what the tests need at run time.
TOOLS = ("ruff", "mypy", "ty", "twine", "types-pyyaml", "coverage", "pytest-cov")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", default=list(SUITES))
    parser.add_argument("--wrap", nargs="+", choices=WRAPS, default=["failsoft"])
    parser.add_argument("--fastapi", default="", help="version, else the one here")
    parser.add_argument("--keep", type=Path, help="work here and keep it")
    parser.add_argument("--select", default="", help="pytest -k expression")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.keep or Path(scratch)
        lost = [
            compare(SUITES[name], work.resolve(), options) for name in options.suites
        ]
    return 1 if any(lost) else 0


def compare(suite: Suite, work: Path, options: argparse.Namespace) -> set[str]:
    wanted = options.fastapi if suite.project == "fastapi" else ""
    wanted = wanted or version(suite.project)
    source = fetch(suite, wanted, work)
    python = environment(suite, source, work, wanted)
    bare = passed(suite, source, python, "", options.select)
    lost: set[str] = set()
    for wrap in options.wrap:
        around = passed(suite, source, python, wrap, options.select)
        print(f"\n{suite.project} {wanted}: {len(bare)} pass bare, ", end="")
        print(f"{len(around)} with {wrap} around every app")
        titles = {"passes only bare": bare - around, "only wrapped": around - bare}
        for title, ids in titles.items():
            for test in sorted(ids):
                print(f"  {title}: {test}")
        lost |= bare - around
    for what, why in {**suite.left_out, **suite.unselected}.items():
        print(f"  left out: {what}: {why}")
    return lost


def fetch(suite: Suite, wanted: str, work: Path) -> Path:
    """Download and unpack the sdist of a version, once."""
    name = f"{suite.project}-{wanted}"
    if not (work / name).is_dir():
        pinned = f"{suite.project}=={wanted}"
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps"]
        python = venv_with_pip(work / "pip") if not has_pip() else Path(sys.executable)
        command[0] = str(python)
        run([*command, "--no-binary", ":all:", "-d", str(work), pinned])
        with tarfile.open(work / f"{name}.tar.gz") as archive:
            archive.extractall(work, filter="data")
    return work / name


def has_pip() -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--version"], capture_output=True, check=False
    )
    return done.returncode == 0


def venv_with_pip(path: Path) -> Path:
    if not path.exists():
        venv.create(path, with_pip=True)
    return path / "bin" / "python"


def environment(suite: Suite, source: Path, work: Path, wanted: str) -> Path:
    """Make the virtual environment of a suite, once; return its interpreter."""
    home = work / f"{suite.project}-{wanted}-venv"
    python = venv_with_pip(home)
    if not (home / "ready").exists():
        project = tomllib.loads((source / "pyproject.toml").read_text())
        groups = project.get("dependency-groups")
        wished = (
            group(groups, suite.group)
            if groups
            else listed(source / f"requirements-{suite.group}.txt")
        )
        needed = [one for one in wished if not one.lower().startswith(TOOLS)]
        is_here = wanted == version(suite.project)
        pinned = [f"{name}=={version(name)}" for name in SUITES if is_here]
        pinned.append(f"{suite.project}{suite.extras}=={wanted}")
        install = [str(python), "-m", "pip", "install", "-qq"]
        # Older releases do not ask for the client that newest Starlette tests want.
        run([*install, *pinned, "pytest-timeout", "httpx2", str(ROOT), *needed])
        (home / "ready").touch()
    return python


def group(groups: dict[str, list[Any]], name: str) -> list[str]:
    """Return the requirements of a dependency group, those it includes too."""
    found: list[str] = []
    for entry in groups[name]:
        found += (
            [entry] if isinstance(entry, str) else group(groups, entry["include-group"])
        )
    return found


def listed(path: Path) -> list[str]:
    """Return the requirements of a file, as older releases have it, and its parts."""
    found: list[str] = []
    for line in path.read_text().splitlines():
        option, _, rest = line.strip().partition(" ")
        if option == "-r":
            found += listed(path.parent / rest)
        elif option and not option.startswith(("-", "#")):
            found.append(line.partition("#")[0].strip())
    return found


def passed(
    suite: Suite, source: Path, python: Path, wrap: str, select: str
) -> set[str]:
    """Run the suite once and return the ids of the tests that passed."""
    log = source.parent / f"{suite.project}-{wrap or 'bare'}.passed"
    log.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", "-q", "--no-header", "--tb=short"]
    command += ["-p", HERE.name + ".around_every_app", "-p", "no:cacheprovider"]
    command += ["--continue-on-collection-errors"]  # of old tests on new libraries
    command += [f"--ignore={path}" for path in suite.left_out]
    wanted = [f"({select})"] if select else []
    for what in suite.unselected:
        if "::" in what:
            command.append(f"--deselect={what}")
        else:
            wanted.append(f"not {what}")
    command += ["-k", " and ".join(wanted), "tests"]
    # Two copies of the tree: the working copy of failsoft, not an installed one.
    paths = f"{HERE.parent}{os.pathsep}{ROOT / 'middleware'}"
    settings = {"SUITE_WRAP": wrap, "SUITE_PASSED": str(log), "PYTHONPATH": paths}
    print(f"--- {suite.project}, {wrap or 'bare'}", flush=True)
    with (source.parent / f"{log.stem}.log").open("w") as output:
        subprocess.run(
            command,
            cwd=source,
            env={**os.environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    print(*Path(output.name).read_text().splitlines()[-2:], sep="\n", flush=True)
    return set(log.read_text().splitlines()) if log.exists() else set()


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
