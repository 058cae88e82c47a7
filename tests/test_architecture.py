"""The rules of the code base, each as a check that can fail.

A check takes sources and returns what breaks the rule; next to each stands a test
that plants a violation and sees it found.
"""

import ast
import io
import json
import re
import shutil
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from failsoft.cli import run

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "middleware").rglob("*.py"))
TUI = sorted((ROOT / "tui").rglob("*.py"))
CODE = [*LIBRARY, *TUI]
PROJECT = ROOT / "pyproject.toml"
WALKS = ROOT / "middleware" / "ARCHITECTURE.md"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def breaches(
    check: Callable[[str], Sequence[Any]], paths: Iterable[Path]
) -> dict[str, Sequence[Any]]:
    """Return what a check finds, by path, without the clean files."""
    found = {str(path.relative_to(ROOT)): check(path.read_text()) for path in paths}
    return {path: wrong for path, wrong in found.items() if wrong}


@cache
def parsed(source: str) -> ast.Module:
    """Return the tree of a file, which several checks look at."""
    return ast.parse(source)


# --- sizes -----------------------------------------------------------------


def docstring_lines(tree: ast.AST) -> set[int]:
    """Return the numbers of the lines that docstrings take."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                lines |= set(range(first.lineno, (first.end_lineno or 0) + 1))
    return lines


@cache
def code_lines(source: str) -> set[int]:
    """Return the numbers of lines that are no blank, comment or docstring."""
    skipped = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return lines - docstring_lines(parsed(source))


def function_sizes(source: str) -> dict[str, int]:
    """Return code lines of each function, its signature included."""
    code = code_lines(source)
    return {
        f"{node.name}:{node.lineno}": len(
            code & set(range(node.lineno, (node.end_lineno or 0) + 1))
        )
        for node in ast.walk(parsed(source))
        if isinstance(node, Function)
    }


def too_long(source: str) -> list[str]:
    sizes = function_sizes(source)
    found = [f"{name} has {size} lines" for name, size in sizes.items() if size > 60]
    if len(code_lines(source)) > 400:
        found.append(f"the module has {len(code_lines(source))} code lines")
    return found


def too_many_methods(source: str) -> list[str]:
    classes = [n for n in ast.walk(parsed(source)) if isinstance(n, ast.ClassDef)]
    counts = {
        c.name: sum(isinstance(part, Function) for part in c.body) for c in classes
    }
    return [
        f"{name} has {count} methods" for name, count in counts.items() if count > 25
    ]


def test_functions_modules_and_classes_stay_small() -> None:
    assert breaches(too_long, CODE) == {}
    assert breaches(too_many_methods, CODE) == {}


def test_a_planted_long_function_module_and_class_are_found() -> None:
    function = "def f():\n" + "    x = 1\n" * 60
    module = "x = 1\n" * 401
    crowd = "class C:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(26))

    assert too_long(function) == ["f:1 has 61 lines"]
    assert too_long(module) == ["the module has 401 code lines"]
    assert too_many_methods(crowd) == ["C has 26 methods"]


def test_most_functions_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = sorted(
        size for path in CODE for size in function_sizes(path.read_text()).values()
    )
    median, p90 = statistics.median(sizes), sizes[int(len(sizes) * 0.9)]
    with capsys.disabled():
        print(f"\n{len(sizes)} functions: median {median} code lines, p90 {p90}")

    assert median <= 8
    assert p90 <= 25


def test_a_docstring_and_comments_are_no_code() -> None:
    source = 'def f():\n    """One.\n\n    Two.\n    """\n    # why\n\n    return 1\n'

    assert function_sizes(source) == {"f:1": 2}


# --- complexity, parameters, imports: the tools, and that they can fail ----


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


def lint(path: Path) -> list[str]:
    settings = ("--output-format=json", "--no-cache", "--config", f"{PROJECT}")
    done = python("-m", "ruff", "check", *settings, str(path))
    return [finding["code"] for finding in json.loads(done.stdout)]


def test_a_planted_tangle_and_a_long_signature_are_found(tmp_path: Path) -> None:
    branches = "".join(f"    if a == {n}:\n        return {n}\n" for n in range(13))
    planted = tmp_path / "planted.py"
    planted.write_text(f"def f(a, b, c, d, e, g, h):\n{branches}")

    assert {"C901", "PLR0913"} <= set(lint(planted))


def lint_imports(root: Path) -> tuple[int, str]:
    program = "from importlinter.cli import lint_imports_command as run; run()"
    paths = {"PYTHONPATH": f"{root / 'middleware'}:{root / 'tui'}"}
    done = python("-c", program, "--no-cache", "--config", f"{PROJECT}", env=paths)
    return done.returncode, done.stdout + done.stderr


PLANTED_IMPORTS = {
    "A part imports only what lies below it": ("store/planted.py", "failsoft.ops"),
    "The library runs without the terminal UI": ("store/planted.py", "textual"),
    "Operators' tools reach no web framework": ("ops/planted.py", "starlette"),
    "Pure unless listed": ("controls/planted.py", "time"),
    "Only store.redis talks to Redis": ("ops/sources/planted.py", "redis"),
    "Only the provider knows OpenFeature": ("routes/planted.py", "openfeature"),
    "Nothing inside imports the root": ("store/planted.py", "failsoft"),
    "The terminal UI knows ops only": ("failsoft_tui/planted.py", "failsoft.store"),
    "No cycles": ("store/planted.py", "failsoft.controls.planted"),
}


@pytest.fixture(scope="module")
def broken_imports(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Report of the import rules on a copy of the tree with one breach of each."""
    root = tmp_path_factory.mktemp("tree")
    for part in ("middleware", "tui"):
        shutil.copytree(ROOT / part, root / part)
    sources: dict[Path, str] = {}
    for place, name in PLANTED_IMPORTS.values():
        home = root / ("tui" if place.startswith("failsoft_tui") else "middleware")
        path = home / (place if home.name == "tui" else f"failsoft/{place}")
        sources[path] = sources.get(path, "") + f"import {name}\n"
    # One half of the cycle stands in the store already.
    sources[root / "middleware/failsoft/controls/planted.py"] += (
        "import failsoft.store.planted\n"
    )
    for path, text in sources.items():
        path.write_text(text)
    code, report = lint_imports(root)
    assert code == 1, report
    return re.sub(r"\s+", " ", report)


def test_the_import_rules_hold() -> None:
    code, report = lint_imports(ROOT)

    assert code == 0, report


@pytest.mark.parametrize("rule", PLANTED_IMPORTS)
def test_a_planted_import_breaks_its_rule(rule: str, broken_imports: str) -> None:
    assert re.search(rf"{re.escape(rule)}[^.]*? BROKEN", broken_imports)


# --- what an import loads --------------------------------------------------

HEAVY = [
    "textual",
    "rich",
    "fakeredis",
    "httpx",
    "httpx2",
    "redis",
    "limits",
    "fastapi",
    "uvicorn",
    "opentelemetry.sdk",
    "openfeature",
    "failsoft_tui",
]


def loaded_by(statement: str, among: list[str]) -> list[str]:
    program = (
        f"import sys; {statement}; print([m for m in {among} if m in sys.modules])"
    )
    done = python("-c", program, check=True)
    return list(ast.literal_eval(done.stdout))


def test_importing_failsoft_loads_nothing_heavy() -> None:
    assert loaded_by("import failsoft", HEAVY) == []


def test_the_operators_tools_load_no_web_framework() -> None:
    assert loaded_by("import failsoft.ops", ["starlette", *HEAVY]) == []


def test_a_heavy_import_would_be_seen() -> None:
    assert "redis" in loaded_by("import failsoft, redis", HEAVY)


# --- tests that wait -------------------------------------------------------


def sleeps(source: str) -> list[int]:
    """Return lines that call time.sleep, or asyncio/anyio.sleep with more than 0."""
    return [
        node.lineno
        for node in ast.walk(parsed(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "sleep"
        and isinstance(node.func.value, ast.Name)
        and (
            node.func.value.id == "time"
            or (
                node.func.value.id in ("asyncio", "anyio") and not is_zero(node.args[0])
            )
        )
    ]


def is_zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0


def test_no_unit_test_sleeps() -> None:
    assert breaches(sleeps, (ROOT / "tests" / "unit").rglob("*.py")) == {}


def test_a_planted_sleep_is_found() -> None:
    planted = "time.sleep(0)\nasyncio.sleep(0)\nasyncio.sleep(0.1)\nanyio.sleep(x)\n"

    assert sleeps(planted) == [1, 3, 4]


# --- words -----------------------------------------------------------------


def banned() -> dict[str, str]:
    lines = (ROOT / "tests" / "words.txt").read_text().splitlines()
    pairs = (line.split(": ", 1) for line in lines if not line.startswith("#"))
    return dict(pairs)


def wrong_words(text: str) -> list[str]:
    words = set(re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower()))
    return [f"{word}: say {right}" for word, right in banned().items() if word in words]


def shown_texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield texts a person could read: no docstrings, no identifiers, no CSS."""
    tree = parsed(source)
    documentation = docstring_lines(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            is_css = "{" in text and ";" in text
            is_prose = " " in text.strip() or text[:1].isupper()
            if is_prose and not is_css and node.lineno not in documentation:
                yield node.lineno, text


def wrong_texts(source: str) -> list[str]:
    return [
        f"line {line}: {wrong}"
        for line, text in shown_texts(source)
        for wrong in wrong_words(text)
    ]


def test_the_terminal_ui_uses_our_words_only() -> None:
    assert breaches(wrong_texts, TUI) == {}


def help_of(*verb: str) -> str:
    """Return what `failsoft VERB --help` prints."""
    out = io.StringIO()
    with redirect_stdout(out), suppress(SystemExit):
        run([*verb, "--help"])
    return out.getvalue()


def test_the_help_of_every_verb_uses_our_words_only() -> None:
    overview = help_of()
    verbs = re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S", overview, re.MULTILINE)

    wrong = {verb: wrong_words(help_of(*verb.split())) for verb in verbs}

    assert len(verbs) > 10
    assert wrong_words(overview) == []
    assert {verb: found for verb, found in wrong.items() if found} == {}


def test_a_planted_word_is_found() -> None:
    source = '"""toggle"""\nX = "toggle_it"\nY = "Toggle the upstream"\n'

    assert sorted(wrong_texts(source)) == [
        "line 3: toggle: say flag",
        "line 3: upstream: say dependency",
    ]


# --- names that promise something ------------------------------------------


def names_of(tree: ast.Module) -> set[str]:
    """Return `function` and `Class.method` names, and what else a module binds."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            parts = [part for part in node.body if isinstance(part, Function)]
            names |= {node.name, *(f"{node.name}.{part.name}" for part in parts)}
        elif isinstance(node, Function):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {name.asname or name.name for name in node.names}
        else:
            stored = (part for part in ast.walk(node) if isinstance(part, ast.Name))
            names |= {part.id for part in stored if isinstance(part.ctx, ast.Store)}
    return names


def rank(name: str) -> tuple[int, str]:
    """Constants come first, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def wrong_exports(source: str) -> list[str]:
    tree = parsed(source)
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            exported = list(ast.literal_eval(node.value))
            bound = names_of(tree)
            lazy = "__getattr__" in bound
            missing = [name for name in exported if name not in bound and not lazy]
            unsorted = [] if exported == sorted(exported, key=rank) else ["not sorted"]
            return missing + unsorted
    return []


def test_all_is_sorted_and_bound() -> None:
    assert breaches(wrong_exports, CODE) == {}


def test_a_planted_export_is_found() -> None:
    assert wrong_exports('__all__ = ["b", "a"]\na = 1\n') == ["b", "not sorted"]


def missing_hops(text: str, root: Path) -> list[str]:
    """Return hops `file.py:name` of a text that lead nowhere."""
    missing = []
    for file, name in re.findall(r"`([\w/]+\.py):([\w.]+)`", text):
        places = [root / source / file for source in ("middleware", "tui")]
        known = [names_of(parsed(p.read_text())) for p in places if p.is_file()]
        if not any(name in names for names in known):
            missing.append(f"{file}:{name}")
    return missing


def test_every_hop_of_the_walks_exists() -> None:
    text = WALKS.read_text()

    assert text.count(".py:") >= 10
    assert missing_hops(text, ROOT) == []


def test_a_planted_hop_is_found(tmp_path: Path) -> None:
    (tmp_path / "tui").mkdir()
    (tmp_path / "tui" / "a.py").write_text("class A:\n    def b(self): ...\n")
    text = "`a.py:A.b` then `a.py:A.c` then `b.py:d`"

    assert missing_hops(text, tmp_path) == ["a.py:A.c", "b.py:d"]


def test_the_version_heads_the_changelog() -> None:
    source = (ROOT / "middleware/failsoft/__init__.py").read_text()
    version = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    heads = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)

    assert version
    assert heads[:2] == ["Unreleased", version[1]]
