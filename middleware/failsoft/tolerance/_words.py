"""What the tolerance stage reads from headers and answers, and what it writes there.

Nothing that a client sent goes on as it came: names are reduced to a safe set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from failsoft.pipeline import Headers, Rejection
from failsoft.problem import problem
from failsoft.shapes.findings import Finding
from failsoft.shapes.graph import Node
from failsoft.tolerance._ledger import safe_path

__all__ = [
    "media_family",
    "merge_vary",
    "notice_of",
    "preference",
    "rejected",
    "violation",
]

_NOTICED = 5
_NOTICE_BYTES = 1024
_REJECTED_BYTES = 64 * 1024
_MOST_FINDINGS = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9_.*/-]")
_TYPE = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_MOST_PREFER = 1_000  # of what matching quotes may cost: the square of it
_PREFERENCE = re.compile(
    r'(?:^|[,;])\s*handling\s*=\s*"?(strict|lenient)"?\s*(?=$|[,;])', re.IGNORECASE
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_PLACES = ("body", "query", "path", "header", "cookie")
# A media type is the client's own text: only well known ones are named.
_MEDIA = frozenset(
    (
        *("text/plain", "text/json", "text/html", "text/xml", "text/javascript"),
        *("application/x-www-form-urlencoded", "multipart/form-data"),
        *("application/octet-stream", "application/xml", "application/javascript"),
        *("application/x-json", "application/x-ndjson", "application/cbor"),
    )
)


def notice_of(findings: Iterable[Finding]) -> bytes:
    """Return the value of a `Failsoft-Notice` header.

    `unknown;path="/items/*/colour"`, at most 5 items and 1 KiB.
    """
    text = ""
    for finding in list(findings)[:_NOTICED]:
        path = safe_path(finding.path).replace("{*}", "*")
        item = f'{finding.kind};path="{_UNSAFE.sub("_", path)}"'
        longer = f"{text}, {item}" if text else item
        if len(longer) > _NOTICE_BYTES:
            break
        text = longer
    return text.encode("ascii")


def violation(findings: Sequence[Finding]) -> Rejection:
    """Return the 422 of a body read strictly, with pointer and kind of each finding.

    A pointer is in schema terms: `*` stands for the index of an item.
    """
    refusal = problem(
        "strict",
        422,
        title="The body is not what the schema says",
        type_uri="urn:failsoft:problem:strict-violation",
    )
    errors = [
        {"pointer": safe_path(each.path), "kind": each.kind}
        for each in findings[:_MOST_FINDINGS]
    ]
    refusal.body += b',"errors":' + msgspec.json.encode(errors)
    return refusal


def preference(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return strict or lenient as `Prefer: handling=` asks, "" for neither.

    RFC 7240, 2: names in any case, the first of several counts, other preferences
    and parameters are passed over.
    """
    for name, value in headers:
        if name == b"prefer":
            text = _QUOTED.sub(_unquoted, value[:_MOST_PREFER].decode("latin-1"))
            if found := _PREFERENCE.search(text):
                return found[1].lower()
    return ""


def _unquoted(found: re.Match[str]) -> str:
    """Keep a quoted word; other quoted text could look like a preference."""
    word = found[0][1:-1]
    return word if word.isalpha() else '""'


def merge_vary(headers: Headers, name: bytes) -> None:
    """Add a name to `Vary`, in place; `*` says it already."""
    for index, (known, value) in enumerate(headers):
        if known.lower() == b"vary":
            held = [part.strip().lower() for part in value.split(b",")]
            if b"*" not in held and name.lower() not in held:
                headers[index] = (known, value + b", " + name if value else name)
            return
    headers.append((b"vary", name))


def media_family(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return how a body that is not JSON calls itself: absent, other or its type.

    None if there is no body.
    """
    kind, has_body = b"", False
    for name, value in headers:
        if name == b"content-type":
            kind = value
        elif name == b"transfer-encoding" or (
            name == b"content-length" and value.strip() != b"0"
        ):
            has_body = True
    if not has_body:
        return None
    media = kind.partition(b";")[0].strip().lower().decode("latin-1")
    if not media:
        return "absent"
    return media if media in _MEDIA else "other"


def rejected(node: Node | None, body: bytes, errors: Any = None) -> list[Finding]:
    """Return what the application's own 422 complains of: places and types only.

    errors: of a framework that tells them, for answers of another form.  Names that
    the schema does not know become `{*}`; without any form one finding counts.
    """
    listed = _listed(body) if len(body) <= _REJECTED_BYTES else None
    if listed is None:
        listed = list(errors) if isinstance(errors, (list, tuple)) else []
    found = [_rejection(node, error) for error in listed[:_MOST_FINDINGS]]
    return list(dict.fromkeys(found)) or [Finding("", "rejected")]


class _Error(msgspec.Struct):
    loc: list[str | int]
    type: str = ""


class _Errors(msgspec.Struct):
    detail: list[_Error]


_decode = msgspec.json.Decoder(_Errors).decode


def _listed(body: bytes) -> list[Any] | None:
    try:
        return [{"loc": e.loc, "type": e.type} for e in _decode(body).detail]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _rejection(node: Node | None, error: Any) -> Finding:
    loc = error.get("loc") if isinstance(error, dict) else None
    kind = error.get("type") if isinstance(error, dict) else None
    names = list(loc) if isinstance(loc, (list, tuple)) else []
    kind = kind if isinstance(kind, str) and _TYPE.fullmatch(kind) else "other"
    place = names.pop(0) if names and names[0] in _PLACES else "body"
    if place == "body":
        path = "".join(f"/{name}" for name in _in_schema(node, names))
    else:
        # The application declares its parameters; only what it forbids is the
        # client's own name.
        shown = names[:1] if kind != "extra_forbidden" else ["{*}"]
        path = "".join(f"/{name}" for name in (place, *shown))
    return Finding(path, "rejected", kind)


def _in_schema(node: Node | None, names: Sequence[Any]) -> list[str]:
    """Return names as the schema has them; what it does not know is not repeated."""
    found: list[str] = []
    here = [node] if node is not None else []
    for name in names[:64]:
        layers = [layer for each in here for layer in (each, *each.branches)]
        if isinstance(name, int):
            found.append("*")
            here = [layer.items for layer in layers if layer.items is not None]
            continue
        props = [
            layer.properties[name].node for layer in layers if name in layer.properties
        ]
        extras = [layer.extra for layer in layers if isinstance(layer.extra, Node)]
        if not props and not extras and any(layer.branches for layer in here):
            continue  # the name of a union's branch, as pydantic puts it in
        found.append(str(name) if props else "{*}")
        here = props or extras
    return found
