"""The headers of versioned answers and requests, put together ahead of requests.

The application's own header wins; lists such as `Vary` are merged.  Headers are
edited in place: frameworks and servers share the list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus, unquote_plus

from failsoft.pipeline import Headers, Scope

__all__ = [
    "Stamp",
    "add_tag",
    "edit_query",
    "keep_original",
    "rename_headers",
    "strip_tags",
]

_VARY = b"vary"
_EXPOSE = b"access-control-expose-headers"
_ETAG = b"etag"
_LINK = b"link"
_CONDITIONS = (b"if-none-match", b"if-match")
_MERGED = (_VARY, _EXPOSE)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the answers of one version get.  Made by `Stamp.of`.

    lines: all of them, where the application sent none of `ours`.  merged: values
    that are joined with what the application sent, by name.
    """

    lines: tuple[tuple[bytes, bytes], ...]
    ours: frozenset[bytes]
    merged: Mapping[bytes, bytes]

    @staticmethod
    def of(
        lines: Iterable[tuple[bytes, bytes]], vary: Iterable[str], *, expose: bool
    ) -> Stamp:
        """Put a stamp together.  vary: request headers.  expose: to scripts (CORS)."""
        own = tuple(lines)
        names = {name: _shown(name) for name, _ in own}
        merged = {_VARY: ", ".join(dict.fromkeys(vary)).encode()}
        if expose:
            merged[_EXPOSE] = ", ".join(names.values()).encode()
        merged = {name: value for name, value in merged.items() if value}
        if _VARY in merged:
            own = (*own, (_VARY, merged[_VARY]))
        return Stamp(own, frozenset(names) - {_LINK} | set(merged), merged)

    def put(self, headers: Headers, counts: Counter[str]) -> None:
        """Add the lines to an answer; counts the application's own that stay."""
        ours = self.ours
        for name, _ in headers:
            if name in ours or name.lower() in ours:
                self._merge(headers, counts)
                return
        headers.extend(self.lines)

    def _merge(self, headers: Headers, counts: Counter[str]) -> None:
        held = set()
        for at, (name, value) in enumerate(headers):
            known = name.lower()
            if known in self.merged and known not in held:
                headers[at] = name, _joined(value, self.merged[known])
            if known in self.ours:
                held.add(known)
        for name in held - self.merged.keys():
            counts[f"own header {name.decode('latin-1')}"] += 1
        headers.extend(line for line in self.lines if line[0] not in held)


def _shown(name: bytes) -> str:
    return name.decode("latin-1").title().replace("Api", "API")


def _joined(value: bytes, more: bytes) -> bytes:
    """Add to a list what it lacks; `*` holds everything."""
    held = {part.strip().lower() for part in value.split(b",")}
    if b"*" in held:
        return value
    missing = [part for part in more.split(b", ") if part.lower() not in held]
    return b", ".join([part for part in (value.strip(), *missing) if part])


# --- entity tags ----------------------------------------------------------------


def add_tag(headers: Headers, suffix: bytes) -> None:
    """Mark the entity tag of an answer as one version's: `"abc-fs.12345678"`.

    Weak stays weak.  Source: RFC 9110, 8.8.3: each representation has its own.
    """
    for at, (name, value) in enumerate(headers):
        if name.lower() == _ETAG and value.endswith(b'"') and len(value) > 1:
            headers[at] = name, value[:-1] + suffix + b'"'


def strip_tags(headers: Headers, suffix: bytes) -> None:
    """Take one version's mark off the conditions of a request; others stay."""
    for at, (name, value) in enumerate(headers):
        if name in _CONDITIONS and suffix in value:
            headers[at] = name, value.replace(suffix + b'"', b'"')


# --- renamed headers and parameters ---------------------------------------------


def rename_headers(headers: Headers, names: Mapping[bytes, bytes]) -> None:
    """Rename headers in place.  names: lower case, old to new."""
    for at, (name, value) in enumerate(headers):
        if (new := names.get(name.lower())) is not None:
            headers[at] = new, value


def edit_query(
    query: bytes,
    names: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]],
) -> bytes:
    """Return a query string with parameters renamed, then their texts mapped.

    names: old to new.  values: new name -> {old text: new text}.  What is not
    touched keeps its bytes.
    """
    parts = query.split(b"&")
    for at, part in enumerate(parts):
        raw, equals, text = part.partition(b"=")
        name = unquote_plus(raw.decode("latin-1"))
        new = names.get(name, name)
        mapped = values.get(new, {}).get(unquote_plus(text.decode("latin-1")))
        if new != name:
            raw = quote_plus(new).encode()
        if mapped is not None:
            text = quote_plus(mapped).encode()
        parts[at] = raw + equals + text
    return b"&".join(parts)


def keep_original(scope: Scope) -> dict[str, object]:
    """Return what edits may change of a scope, as it was."""
    return {
        "path": scope["path"],
        "query_string": scope.get("query_string", b""),
        "headers": tuple(scope["headers"]),
    }
