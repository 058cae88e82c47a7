"""What a valid value of each kind is, and what to write instead of a bad one.

A reader takes a raw value and where it stands, and returns the value or raises
`Fault`.  Readers of tables note the faults of their parts and go on, so that one
run names them all.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

__all__ = ["is_date", "is_flag_key", "mask_text", "mask_url", "parse_span_s"]

# The source of what is declared on a handler.
IN_CODE = "@failsoft.route"

_UNREADABLE = "(not shown: quote / and # in its password as %2F and %23)"

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_UNITS_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_FILE_MAX_BYTES = 65_536


def parse_span_s(text: str) -> float:
    """Return the seconds of a span such as `250ms`, `30s`, `5m`, `1.5h`, `7d`.

    Raises ValueError when the text is no number with one of these units.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no span; write it like 250ms, 30s, 5m or 7d")
    return float(match[1]) * _UNITS_S[match[2]]


def mask_url(url: str) -> str:
    """Return the URL with its password replaced by `***` and without its query.

    One whose password cannot be told apart is not shown at all.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return _UNREADABLE
    if "@" in url.partition("?")[0] and "@" not in parts.netloc:
        return _UNREADABLE  # a password with an unquoted / or #
    if not parts.netloc and parts.scheme != "unix":
        return url.partition("?")[0]
    place = parts.netloc
    if parts.password is not None:
        place = f"{parts.username or ''}:***@{place.rpartition('@')[2]}"
    return f"{parts.scheme}://{place}{parts.path}"


def mask_text(text: str) -> str:
    """Return the text with every URL's password and password parameter as `***`."""
    # Up to the last @: a password may hold @, /, quotes and blanks, unescaped.
    text = re.sub(r"(?s)(//[^:@/\s\"]*):.*@", r"\1:***@", text)
    return re.sub(r"(?i)(password=)[^&\s\"]*", r"\1***", text)


class Fault(Exception):
    """A value cannot be used.  shown: whether the finding may quote the value."""

    def __init__(self, problem: str, todo: str, *, shown: bool = True) -> None:
        super().__init__(problem)
        self.problem = problem
        self.todo = todo
        self.shown = shown


@dataclass(frozen=True, slots=True)
class At:
    """Where a raw value stands.

    source: "environment", "arguments" or the name of the file.  folder: what
    relative paths start from.  findings: faults noted so far, of all sources.
    """

    source: str
    folder: Path
    findings: list[str]
    label: str = ""
    key: str = ""

    def child(self, key: str) -> At:
        """Return where the value under `key` of this table stands."""
        bare = re.fullmatch(r"[A-Za-z0-9_-]+", key)
        name = key if bare else json.dumps(key, ensure_ascii=False)
        label = f"{self.label}.{name}" if self.label else name
        return At(self.source, self.folder, self.findings, label, key)

    def read(self, reader: Reader, raw: object, otherwise: Any = None) -> Any:
        """Return the value, or `otherwise` after noting why it cannot be used."""
        try:
            return reader(raw, self)
        except Fault as fault:
            value = f" = {_shown(raw)}" if fault.shown else ""
            where = f"{self.source}: {self.label}{value}"
            self.findings.append(f"{where} {fault.problem}; {fault.todo}")
            return otherwise

    def unknown(self, key: str, known: Iterable[str]) -> None:
        """Note a key nobody knows, with the nearest one."""
        # Its value is not shown: a misspelt key may well hold a password.
        here = self.child(key).label
        todo = suggest(key, known)
        self.findings.append(f"{self.source}: {here} is not known; {todo}")


Reader = Callable[[object, At], Any]
ABSENT: Any = object()


def _shown(raw: object) -> str:
    text = mask_text(json.dumps(raw, ensure_ascii=False, default=str))
    return text if len(text) <= 80 else f"{text[:77]}..."


def suggest(name: str, known: Iterable[str]) -> str:
    """Return what to write instead of a name that is not among the known ones."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"


def read_fields(
    raw: object, at: At, readers: Mapping[str, Reader] | Reader
) -> dict[str, Any]:
    """Return the valid values of a table; one reader alone reads every key."""
    if not isinstance(raw, Mapping):
        raise Fault("must be a table", f"put its keys below [{at.label}]")
    found = {}
    for key, value in raw.items():
        reader = readers if callable(readers) else readers.get(key)
        if reader is None:
            at.unknown(key, readers)  # type: ignore[arg-type]
        elif (got := at.child(key).read(reader, value, ABSENT)) is not ABSENT:
            found[key] = got
    return found


def require(raw: object, **examples: str) -> None:
    """Raise `Fault` with examples of the keys that a table lacks."""
    missing = [key for key in examples if key not in (raw or ())]  # type: ignore[operator]
    if missing:
        example = ", ".join(f"{key} = {examples[key]}" for key in missing)
        raise Fault(f"has no {' and no '.join(missing)}", f"add {example}", shown=False)


def read_bool(raw: object, at: At) -> bool:
    """Read true or false; the environment may also say 1 or 0."""
    if at.source == "environment" and isinstance(raw, str):
        raw = {"true": True, "1": True, "false": False, "0": False}.get(raw.lower())
    if not isinstance(raw, bool):
        raise Fault("must be true or false", "write one of these without quotes")
    return raw


def read_text(raw: object, at: At) -> str:
    """Read one line of text that is not blank."""
    if not isinstance(raw, str) or not raw.strip():
        raise Fault("must be text that is not blank", "write it in quotes")
    if any(ord(c) < 32 for c in raw):
        raise Fault("holds control characters", "write it as one plain line")
    return raw


def read_texts(raw: object, at: At) -> tuple[str, ...]:
    """Read a list of texts; the environment separates them by commas."""
    if at.source == "environment" and isinstance(raw, str):
        raw = [part.strip() for part in raw.split(",")]
    if isinstance(raw, str) or not isinstance(raw, list | tuple):
        raise Fault("must be a list", f"write [{_shown(raw)}]")
    return tuple(read_text(item, at) for item in raw)


def is_whole(raw: object, low: int, high: int) -> TypeGuard[int]:
    """Whether a value is a whole number within bounds; true and false are none."""
    return isinstance(raw, int) and not isinstance(raw, bool) and low <= raw <= high


def whole(low: int, high: int) -> Reader:
    """Return a reader of a whole number."""

    def read(raw: object, at: At) -> int:
        if not is_whole(raw, low, high):
            raise Fault(f"must be a whole number {low} to {high}", f"write {low}")
        return raw

    return read


def one_of(*choices: str) -> Reader:
    """Return a reader of one of the words."""

    def read(raw: object, at: At) -> str:
        if raw not in choices:
            todo = suggest(str(raw), choices)
            raise Fault(f"must be one of {', '.join(choices)}", todo)
        return str(raw)

    return read


@dataclass(frozen=True, slots=True)
class Span:
    """Reads a span within bounds given as text, so that findings can quote them."""

    low: str
    high: str

    def __call__(self, raw: object, at: At) -> float:
        seconds = _seconds(raw, at)
        if not parse_span_s(self.low) <= seconds <= parse_span_s(self.high):
            todo = f"choose a span from {self.low} to {self.high}"
            raise Fault("is out of range", todo)
        return seconds


@dataclass(frozen=True, slots=True)
class Size:
    """Reads a number of bytes within bounds given as text."""

    low: str
    high: str

    def __call__(self, raw: object, at: At) -> int:
        size = _size(raw, at)
        if not _size(self.low, at) <= size <= _size(self.high, at):
            todo = f"choose a size from {self.low} to {self.high}"
            raise Fault("is out of range", todo)
        return size


def _size(raw: object, at: At) -> int:
    is_number = isinstance(raw, int) and not isinstance(raw, bool)
    if is_number and at.source == "arguments":
        return int(raw)  # type: ignore[call-overload, no-any-return]
    text = str(raw).strip()
    if is_number or text.isdecimal():
        line = f"{at.key}={text}KiB" if at.source == "environment" else f'"{text}KiB"'
        raise Fault("has no unit", f"write {line}, or with B or MiB")
    match = re.fullmatch(r"([0-9]+)(B|KiB|MiB|GiB)", text)
    if match is None:
        raise Fault("is no size", 'write it like "512B", "64KiB" or "8MiB"')
    return int(match[1]) * _UNITS_BYTES[match[2]]


@dataclass(frozen=True, slots=True)
class Rate:
    """Reads a number per second within bounds."""

    low: float
    high: float

    def __call__(self, raw: object, at: At) -> float:
        if at.source == "environment" and isinstance(raw, str):
            raw = _number(raw)
        is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
        if not is_number or not self.low <= raw <= self.high:  # type: ignore[operator]
            todo = f"write a number from {self.low:g} to {self.high:g}, without quotes"
            raise Fault("is no number in range", todo)
        return float(raw)  # type: ignore[arg-type]


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def read_header_names(raw: object, at: At) -> tuple[str, ...]:
    """Read names of headers, as ASGI gives them: in lower case."""
    names = read_texts(raw, at)
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", name):
            raise Fault(f"holds {name!r}, which is no header", "write X-Signature")
    return tuple(name.lower() for name in names)


def _seconds(raw: object, at: At) -> float:
    is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
    if is_number and at.source in ("arguments", IN_CODE):
        return float(raw)  # type: ignore[arg-type]
    text = str(raw).strip()
    if is_number or re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        if not float(text):
            return 0.0
        line = f"{at.key}={text}s" if at.source == "environment" else f'"{text}s"'
        raise Fault("has no unit", f"write {line}")
    try:
        return parse_span_s(text)
    except ValueError:
        todo = 'write it like "250ms", "30s", "5m" or "7d"'
        raise Fault("is no span of time", todo) from None


def read_url(raw: object, at: At) -> str:
    """Read a Redis URL: redis://, rediss:// (TLS) or unix:// (socket)."""
    url = read_text(raw, at)
    scheme, found, rest = url.partition("://")
    if not found:
        # Without a scheme any part of it may be a password: nothing is quoted.
        todo = "write redis://host:6379/0 (rediss:// for TLS, unix:// for a socket)"
        raise Fault("has no scheme", todo, shown=False)
    if scheme not in ("redis", "rediss", "unix"):
        near = suggest(scheme, ("redis", "rediss", "unix"))
        raise Fault(f"has the unknown scheme {scheme}://", near)
    address = rest.rpartition("@")[2].partition("?")[0]
    if scheme != "unix":
        _check_address(address, shown="@" in rest)
    elif not address.startswith("/"):
        raise Fault("names no socket", "write unix:///path/to/redis.sock")
    return url


def _check_address(address: str, *, shown: bool) -> None:
    # Without an @ what looks like a port may be a password whose host is missing.
    host, _, database = address.partition("/")
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+)(?::([0-9]{1,5}))?", host)
    if match is None or int(match[2] or 1) not in range(1, 65_536):
        todo = "write redis://host:6379/0"
        raise Fault("names no host and port", todo, shown=shown)
    if database and not database.isdigit():
        raise Fault(f"has the database {database!r}", "write a number after the /")


def read_env(raw: object, at: At) -> str:
    """Read the name of an environment; it becomes part of every key in Redis."""
    name = read_text(raw, at)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name):
        fixed = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:63] or "default"
        todo = f'write it in a-z, 0-9 and -, at most 63, such as "{fixed}"'
        raise Fault("is no name of an environment", todo)
    return name


def read_date(raw: object, at: At) -> str:
    """Read a date, as text or as TOML's own, and return it as ISO text."""
    if not is_date(str(raw)):
        raise Fault("is no date", 'write it like "2027-01-31"')
    return str(raw)


def is_date(text: str) -> bool:
    """Whether a text is an ISO date, such as 2027-01-31."""
    try:
        tomllib.loads(f"date = {text}")
    except tomllib.TOMLDecodeError:
        return False
    return re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) is not None


def is_flag_key(text: str) -> bool:
    """Whether a control may name a flag so: 1 to 200 characters that can be seen."""
    return 1 <= len(text) <= 200 and text.isprintable() and " " not in text


def read_tags(raw: object, at: At) -> tuple[str, ...]:
    """Read a list of tags."""
    tags = read_texts(raw, at)
    for tag in tags:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", tag):
            todo = "write tags in letters, digits, ._-"
            raise Fault(f"holds the tag {tag!r}", todo, shown=False)
    return tags


def check_glob(glob: str) -> None:
    """Raise `Fault` unless the text is `METHOD /path`, both with `*` and `?`."""
    method, _, path = glob.partition(" ")
    if path[:1] in ("/", "*") and re.fullmatch(r"[A-Z*?]+", method):
        return
    if path[:1] == "/" and method.isalpha():
        fixed = f"{method.upper()} {path}"
    else:
        fixed = f"* {glob}" if glob.startswith("/") else "GET /path*"
    problem = f"holds {glob!r}, which is no METHOD /path"
    raise Fault(problem, f'write "{fixed}"', shown=False)


def read_scope(raw: object, at: At) -> tuple[str, ...]:
    """Read a list of route globs and `tag:name`."""
    globs = read_texts(raw, at)
    for glob in globs:
        if glob.startswith("tag:"):
            read_tags([glob[4:]], at)
        else:
            check_glob(glob)
    return globs


def read_status(raw: object, at: At) -> int:
    """Read the status of a final answer."""
    if not isinstance(raw, int) or isinstance(raw, bool) or not 200 <= raw <= 599:
        raise Fault("is no final HTTP status", "write a number from 200 to 599")
    return raw


def read_share(raw: object, at: At) -> float:
    """Read a share of requests, above 0 and at most 1."""
    if isinstance(raw, int | float) and not isinstance(raw, bool) and 0 < raw <= 1:
        return float(raw)
    raise Fault("is no share", "write a number above 0, at most 1, such as 0.25")


def read_body(raw: object, at: At) -> bytes:
    """Read the body of an answer, at most 64 KiB."""
    if not isinstance(raw, str):
        raise Fault("must be text", "write it in quotes")
    return _limited(raw.encode())


def read_file(raw: object, at: At) -> bytes:
    """Read the content of a file, at most 64 KiB, relative to the settings file."""
    try:
        return _limited((at.folder / read_text(raw, at)).read_bytes())
    except OSError as error:
        raise Fault(f"cannot be read ({error.strerror})", "check the path") from None


def read_paths(raw: object, at: At) -> tuple[str, ...]:
    """Read a list of paths, relative to the settings file.

    A file may appear or change later, so it is not opened here.
    """
    return tuple(read_path(path, at) for path in read_texts(raw, at))


def read_path(raw: object, at: At) -> str:
    """Read a path, relative to the settings file; it need not exist."""
    try:
        return str(at.folder / Path(read_text(raw, at)).expanduser())
    except RuntimeError:
        raise Fault("names a home nobody has", "write the whole path") from None


def _limited(body: bytes) -> bytes:
    if len(body) > _FILE_MAX_BYTES:
        raise Fault(f"is {len(body)} bytes long", "keep it within 64 KiB", shown=False)
    return body
