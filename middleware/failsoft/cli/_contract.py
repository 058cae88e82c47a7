"""`failsoft contract check|lock|diff|suggest|export|test`: what a release changes.

Loads the application named `module:attribute`; needs no store.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failsoft.cli._answers import ERROR, OK, answer, table
from failsoft.errors import DefinitionError, Invalid
from failsoft.ops.contractlock import Cover, Lock, cover, make_lock, read_lock
from failsoft.ops.driftreport import ReportRow, markdown
from failsoft.ops.text import safe
from failsoft.outbound._openapi import read_document
from failsoft.routes.models import base_name
from failsoft.shapes.diff import Difference, breaking, report_row
from failsoft.shapes.documents import compare_documents
from failsoft.shapes.graph import reached
from failsoft.shapes.suggest import Suggestion, suggest, toml_lines

if TYPE_CHECKING:
    from failsoft.testing.contractapp import OpenedApp

__all__ = ["add_arguments", "main"]

_LOCK = "contract.lock.json"
# TOML to be pasted: all changes of one kind stand in one line.
_LINE = 100_000
_FORMATS = ("table", "json", "markdown")
_HEADS = ("LEVEL", "ID", "OPERATION", "SECTION", "PATH", "WAS", "NOW")
_APP = "module:attribute of the application, e.g. shop:app"
_SIDE = "an OpenAPI file, a lock file, or module:attribute[@version]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of one verb; its name is the last word of the program's."""
    verb = parser.prog.rpartition(" ")[2]
    parser.add_argument("--json", action="store_true", help="one JSON object")
    if verb in ("check", "lock", "export", "test"):
        parser.add_argument("app", help=_APP)
    if verb in ("check", "lock", "suggest"):
        parser.add_argument("--lock", default=_LOCK, metavar="FILE")
    if verb == "lock":
        text = "also forget undeclared breaking changes"
        parser.add_argument("--force", action="store_true", help=text)
    elif verb == "diff":
        parser.add_argument("old", help=_SIDE)
        parser.add_argument("new", help=_SIDE)
        parser.add_argument("--fail-on", metavar="breaking", help="exit status 1")
        parser.add_argument("--format", default="table", metavar="|".join(_FORMATS))
    elif verb == "suggest":
        text = "the application, compared with its lock; or OLD NEW"
        parser.add_argument("sides", nargs="+", metavar="APP", help=text)
    elif verb == "export":
        parser.add_argument("dir", metavar="DIR", help="gets one file a version")
    elif verb == "test":
        parser.add_argument("--seed", type=int, default=0, help="other samples")
    parser.set_defaults(verb=verb)


def main(values: argparse.Namespace) -> int:
    """Run one verb; returns the exit status."""
    return _VERBS[values.verb](values)


def _open(name: str) -> OpenedApp:
    # The application is imported, with all that it needs.
    from failsoft.testing.contractapp import import_app, open_app

    return open_app(import_app(name))


# --- check --------------------------------------------------------------------


def _check(values: argparse.Namespace) -> int:
    opened = _open(values.app)
    faults = _faults(opened)
    opaque = _opaque(opened)
    found = _against(opened, Path(values.lock))
    lines = found.lines() if found is not None else []
    ok = not faults and (found is None or found.is_covered)
    if values.json:
        answer(
            {
                "ok": ok,
                "versions": list(opened.versions),
                "faults": faults,
                "opaque": opaque,
                "lock": values.lock if found is not None else None,
                "undeclared": _rows(found.breaks if found else ()),
                "changed": list(found.faults if found else ()),
                "suggested": _toml(found.suggestions if found else ()),
            }
        )
        return OK if ok else ERROR
    versions = ", ".join(opened.versions) or "no contract"
    print(f"versions: {safe(versions, 400)}; routes: {len(opened.models.routes)}")
    for fault in faults:
        print(f"fault: {safe(fault, 400)}")
    for name, why in opaque.items():
        print(f"opaque: {safe(name)} ({safe(why, 200)}): its own code decides")
    if found is None:
        print(
            f"no lock file {safe(values.lock)}; write it with `failsoft contract lock`"
        )
    _print_lines(lines)
    print("ok" if ok else "not ok")
    return OK if ok else ERROR


def _faults(opened: OpenedApp) -> list[str]:
    if opened.contract is None:
        return list(opened.models.faults)
    try:
        for version in opened.versions:
            opened.chains.touched(version)
    except DefinitionError as error:
        return list(error.findings)
    return list(opened.models.faults)


def _opaque(opened: OpenedApp) -> dict[str, str]:
    """Return what the application's own code judges: nobody sees drift there."""
    roots = [
        node
        for shapes in opened.models.routes.values()
        for node in (shapes.request, *shapes.responses.values())
        if node is not None
    ]
    found: dict[str, str] = {}
    for node in reached(roots).values():
        if node.is_opaque and node.name:
            found[base_name(node.name)] = "a validator of the model itself"
        for name, prop in node.properties.items():
            if prop.node.is_opaque and not prop.node.name:
                where = f"{base_name(node.name)}.{name}" if node.name else name
                found[where] = "a validator of the field"
    return dict(sorted(found.items()))


def _against(opened: OpenedApp, lock: Path) -> Cover | None:
    if not lock.exists():
        return None
    return cover(_read_lock(lock), opened.head, opened.contract)


def _read_lock(path: Path) -> Lock:
    return read_lock(_bytes(path), str(path))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(safe(str(path)), f"cannot be read: {error.strerror}") from None


def _print_lines(lines: list[str]) -> None:
    for line in lines:
        print(safe(line, _LINE))


# --- lock ---------------------------------------------------------------------


def _lock(values: argparse.Namespace) -> int:
    opened, path = _open(values.app), Path(values.lock)
    found = _against(opened, path)
    if found is not None and not found.is_covered and not values.force:
        if values.json:
            answer({"ok": False, "written": False, "undeclared": _rows(found.breaks)})
        _print_lines([] if values.json else found.lines())
        if not values.json:
            print(f"{safe(str(path))} not written; --force would forget these")
        return ERROR
    _write(path, make_lock(opened.head, opened.contract))
    changes = len(found.differences) if found is not None else 0
    if values.json:
        answer({"ok": True, "written": True, "file": str(path), "changes": changes})
    else:
        since = f"; {changes} changes since the last one" if found else ""
        print(f"{safe(str(path))} written{since}")
    return OK


def _write(path: Path, body: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    except OSError as error:
        raise Invalid(safe(str(path)), f"cannot be written: {error.strerror}") from None


# --- diff, suggest ------------------------------------------------------------


def _side(text: str) -> Mapping[str, Any]:
    """Return the document of a file, or of an application's version."""
    path = Path(text)
    if path.exists():
        raw = _bytes(path)
        if raw.lstrip()[:1] == b"{" and b'"document"' in raw and b'"head"' in raw:
            return _read_lock(path).document
        return read_document(raw, text)
    if ":" not in text:
        raise Invalid(safe(text), f"is no file; give {_SIDE}")
    name, _, version = text.partition("@")
    opened = _open(name)
    return opened.document(version) if version or opened.contract else opened.head


def _diff(values: argparse.Namespace) -> int:
    if values.fail_on not in (None, "breaking"):
        raise Invalid(
            "--fail-on", f"{values.fail_on!r} is not known", nearest="breaking"
        )
    form = "json" if values.json else values.format
    if form not in _FORMATS:
        raise Invalid("--format", f"{form!r} must be table, json or markdown")
    found = compare_documents(_side(values.old), _side(values.new))
    breaks = breaking(found)
    if form == "json":
        answer({"ok": not breaks, "breaking": len(breaks), "changes": _rows(found)})
    elif form == "markdown":
        print(markdown(tuple(map(_report, found))))
    else:
        cells = [
            (o.level, o.id, o.operation, o.section, o.path, o.was, o.now) for o in found
        ]
        print(table(_HEADS, cells) if cells else "no changes")
        print(f"{len(breaks)} of {len(found)} can break a client")
    return ERROR if breaks and values.fail_on else OK


def _report(one: Difference) -> ReportRow:
    return ReportRow(
        id=one.id,
        path=one.path,
        operation=one.operation,
        section=one.section,
        level=one.level,
        count=1,
        consumers=0,
        first=0,
        last=0,
        expected=one.was,
        got=one.now,
    )


def _rows(found: tuple[Difference, ...]) -> list[dict[str, Any]]:
    return [report_row(one) for one in found]


def _suggest(values: argparse.Namespace) -> int:
    if len(values.sides) > 2:
        raise Invalid("contract suggest", "takes APP, or OLD and NEW")
    if len(values.sides) == 2:
        old, new = map(_side, values.sides)
        made = suggest(compare_documents(old, new))
    else:
        opened, lock = _open(values.sides[0]), Path(values.lock)
        made = cover(_read_lock(lock), opened.head, opened.contract).suggestions
    lines = _toml(made)
    if values.json:
        answer({"ok": True, "suggested": lines})
    elif not lines:
        print("# nothing undeclared breaks a client")
    else:
        print(
            "\n".join(["[[version]]", 'id = "..."', *(safe(x, _LINE) for x in lines)])
        )
    return OK


def _toml(made: tuple[Suggestion, ...]) -> list[str]:
    return toml_lines(made)


# --- export, test -------------------------------------------------------------


def _export(values: argparse.Namespace) -> int:
    opened, folder = _open(values.app), Path(values.dir)
    written = []
    for version in opened.versions or ("",):
        path = folder / f"{version or 'head'}.json"
        document = opened.document(version)
        _write(path, (json.dumps(document, indent=1) + "\n").encode())
        written.append(str(path))
    if values.json:
        answer({"ok": True, "written": written})
    else:
        _print_lines(written)
    return OK


def _test(values: argparse.Namespace) -> int:
    from failsoft.testing.contracts import every_case, skipped

    opened = _open(values.app)
    cases = every_case(opened.app, seed=values.seed)
    failed: list[tuple[str, str]] = []
    for case in cases:
        try:
            case.check()
        except AssertionError as error:
            failed.append((str(case), str(error)))
    left_out = skipped(opened.app)
    if values.json:
        told = [{"case": name, "message": text} for name, text in failed]
        counts = {"cases": len(cases), "failed": told, "skipped": list(left_out)}
        answer({"ok": not failed, **counts})
        return ERROR if failed else OK
    for name, text in failed:
        print(f"FAILED {safe(name, 200)}")
        _print_lines([f"  {line}" for line in text.splitlines()])
    for text in left_out:
        print(f"no sample: {safe(text, 400)}")
    print(f"{len(cases):,} cases, {len(failed):,} failed")
    return ERROR if failed else OK


_VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "check": _check,
    "lock": _lock,
    "diff": _diff,
    "suggest": _suggest,
    "export": _export,
    "test": _test,
}
