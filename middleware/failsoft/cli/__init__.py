"""The command line: `failsoft VERB`.

Decides which verb is meant and turns every failure into one clear line and an exit
status: 0 done, 1 error, 2 bad input or missing extra, 3 written but not enforced by
all, 4 conflict, 5 not permitted, 6 store unreachable, 7 not confirmed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version

from failsoft.cli._answers import fail
from failsoft.cli._audit import audit_file
from failsoft.errors import FailsoftError, Invalid
from failsoft.ops.flagverbs import FLAG_VERBS
from failsoft.ops.verbs import VERBS, Grammar, Verb, find_verb, parse_words

__all__ = ["main", "run"]

# Verbs of the command line alone; the others come from the registry.
_OWN = {
    "run": "serve module:app by uvicorn with failsoft around it",
    "demo": "a shop under load, with its incident and the terminal UI",
    "top": "the terminal UI",
    "acl": "print the Redis rules of each role",
    "dependencies": "third parties: how calls fare, what they announce of their ends",
    "matrix": "which routes depend on whom, and what protects them; gaps first",
    "slo list": "objectives: what is left of their budgets, how fast they burn",
    "slo show": "one objective with every rule and its windows",
    "alerts list": "what fires, what may soon, and since when",
    "alerts test": "send a test alert to each webhook of failsoft.toml from here",
    "doctor": "check the settings, the store, its rights and the nodes",
    "log export": "the whole kept log as JSON lines, oldest first",
    "store status": "revision, digest and records of the store, and of each node",
    "store export": "the file a node can begin with (store.bootstrap)",
    "store rewound": "what nodes still enforce that Redis lost",
    "store restore": "write an offered set back",
    "store accept": "let the nodes adopt what Redis holds",
    "contract check": "faults of an app's contract, opaque models, undeclared changes",
    "contract lock": "write the lock file that CI compares the code with",
    "contract diff": "what differs between two OpenAPI documents or versions",
    "contract suggest": "the changes that would cover what differs, as TOML",
    "contract export": "write one OpenAPI file for each version",
    "contract test": "run the contract tests of an app",
}
_HOMES = {"run": "_run", "demo": "_demo", "top": "_top", "acl": "_acl"}
_HOMES |= {"doctor": "_doctor", "log export": "_log", "matrix": "_matrix"}
_HOMES["dependencies"] = "_dependencies"
_HOMES |= {name: "_store" for name in _OWN if name.startswith("store ")}
_HOMES |= {name: "_contract" for name in _OWN if name.startswith("contract ")}
_HOMES |= {name: "_slo" for name in _OWN if name.startswith(("slo ", "alerts "))}
_CONTRACT_HOMES = {
    group: f"_{group}"
    for group in (
        *("versions", "brownout", "drift", "tolerance", "breaker", "limits", "mode"),
    )
}
_REGISTERED = {verb.name: verb for verb in (*VERBS, *FLAG_VERBS)}


def run(argv: list[str]) -> int:
    """Run one verb; returns the exit status, never raises a failsoft error."""
    try:
        return main(argv)
    except FailsoftError as error:
        return fail(error, as_json="--json" in argv)
    except BrokenPipeError:
        # `failsoft log | head`: the reader left, nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def main(argv: list[str]) -> int:
    """Run one verb; raises FailsoftError."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(_version())
        return 0
    if _asks_for_group(argv):
        print(_overview(argv[0]))
        return 0 if argv[1:] else 2
    if argv[0].startswith("-"):
        raise Invalid(argv[0], "comes after a verb: failsoft VERB ...")
    name, rest = find_verb(argv, [*_OWN, *_REGISTERED])
    home = _HOMES.get(name)
    if home is None:
        parser, act = _registered(_REGISTERED[name])
    else:
        parser, act = _own(name, home)
    if name == "run":
        values, others = parser.parse_known_args(rest)
        values.uvicorn = others  # uvicorn judges what we do not know
    else:
        values = parse_words(parser, rest)
    with audit_file(os.environ):
        return act(values)


_Act = Callable[[argparse.Namespace], int]


def _registered(verb: Verb) -> tuple[argparse.ArgumentParser, _Act]:
    about = "_flags" if verb in FLAG_VERBS else ""
    home = f"{about}_{'write' if verb.role == 'operator' else 'read'}"
    group = verb.name.partition(" ")[0]
    home = {"guard": "_guard", **_CONTRACT_HOMES}.get(group, home)
    module = import_module(f"failsoft.cli.{home}")
    parser = Grammar(
        prog=f"failsoft {verb.name}", description=verb.help, allow_abbrev=False
    )
    module.add_arguments(parser, verb)
    return parser, lambda values: int(module.main(verb, values))


def _own(name: str, home: str) -> tuple[argparse.ArgumentParser, _Act]:
    module = import_module(f"failsoft.cli.{home}")
    parser = Grammar(
        prog=f"failsoft {name}", description=_OWN[name], allow_abbrev=False
    )
    module.add_arguments(parser)
    return parser, lambda values: int(module.main(values))


def _asks_for_group(argv: list[str]) -> bool:
    """Whether `failsoft flags`, or `failsoft flags --help`, was said."""
    group = bool(_known(argv[0])) and argv[0] not in _REGISTERED
    return group and argv[1:2] in ([], ["-h"], ["--help"], ["help"])


def _known(group: str) -> list[tuple[str, str]]:
    verbs = ((name, verb.help) for name, verb in _REGISTERED.items())
    known = [*_OWN.items(), *verbs]
    return [one for one in known if not group or one[0].startswith(f"{group} ")]


def _overview(group: str = "") -> str:
    verb = f"{group} VERB".strip()
    lines = [f"failsoft {verb} ...   (failsoft {verb} --help says more)", ""]
    known = _known(group)
    lines += [f"  {name:<17} {text}" for name, text in known]
    lines += [
        "",
        "FAILSOFT_REDIS_URL and FAILSOFT_ENV name the store, or --redis --env.",
        "FAILSOFT_AUDIT_LOG names a file that gets a line of JSON for each write.",
    ]
    return "\n".join(lines)


def _version() -> str:
    return f"failsoft {version('failsoft')}"
