"""What the store refuses before it writes: sizes, names, reasons, lifetimes.

Nothing is ever cut silently: a refusal names the figure and the limit.
Counts of records per kind are judged where the write happens (`KIND_CAPS`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from failsoft.errors import DefinitionError, StoreRefused
from failsoft.store.protocols import KINDS, Call, Change

__all__ = [
    "KIND_CAPS",
    "check_call",
    "check_change",
    "check_env",
    "max_ttl_ms",
    "split_calls",
]

KIND_CAPS = {kind: {"flag": 20_000, "kill": 500}.get(kind, 1_000) for kind in KINDS}
MIN_TTL_MS = 10_000
_DAY_MS = 86_400_000
_MAX_TTL_DAYS = {"tolerance": 90}
_MAX_CHANGES = 1_000
_CALL_BYTES = 4 << 20  # a call is one command: the store answers nobody meanwhile
_MAX_NAME = 200
_MAX_JSON_BYTES = 32 * 1024
_MAX_KILL_BYTES = 4 * 1024

_ENV = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_UNTIL = re.compile(r"\+?[0-9]{1,15}")


def check_env(env: str) -> str:
    """Return `env`; DefinitionError unless it is `[a-z0-9][a-z0-9-]{0,62}`."""
    if not _ENV.fullmatch(env):
        raise DefinitionError(
            [
                f"environment {env!r} must be 1 to 63 of a-z, 0-9 and '-', and start "
                "with a letter or digit; write e.g. shop-prod"
            ]
        )
    return env


def split_calls(changes: Iterable[Change]) -> Iterator[tuple[Change, ...]]:
    """Yield the changes in order, each part as many as one call should carry."""
    held: list[Change] = []
    size = 0
    for change in changes:
        if held and (len(held) == _MAX_CHANGES or size > _CALL_BYTES):
            yield tuple(held)
            held, size = [], 0
        held.append(change)
        size += len(change.json)
    if held:
        yield tuple(held)


def check_call(call: Call) -> None:
    """Raise StoreRefused for the first limit of the flags page the call breaks."""
    _check_length("reason", call.reason, 3, 500)
    _check_length("actor", call.actor, 1, 100)
    _check_length("via", call.via, 0, 200)
    if len(call.changes) > _MAX_CHANGES:
        raise StoreRefused(
            f"{len(call.changes)} changes in one call, the limit is {_MAX_CHANGES}",
            todo="send them in several calls",
        )
    seen: set[tuple[str, str]] = set()
    for change in call.changes:
        check_change(change)
        if (change.kind, change.name) in seen:
            raise StoreRefused(
                "appears twice in one call", where=f"{change.kind}/{change.name}"
            )
        seen.add((change.kind, change.name))


def _check_length(what: str, text: str, least: int, most: int) -> None:
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise StoreRefused(f"{what} {text!a} is not valid text")
    size = len(text.strip())
    if not least <= size <= most:
        raise StoreRefused(f"{what} has {size} characters, allowed are {least}-{most}")


def check_change(change: Change) -> None:
    """Raise StoreRefused for the first limit of one change."""
    where = f"{change.kind}/{change.name[:_MAX_NAME]}"
    if change.kind not in KINDS:
        raise StoreRefused(
            "unknown kind", where=where, todo="one of " + " ".join(KINDS)
        )
    _check_name(change.name, where)
    most = _MAX_KILL_BYTES if change.kind == "kill" else _MAX_JSON_BYTES
    if len(change.json) > most:
        raise StoreRefused(
            f"the document has {len(change.json)} bytes, the limit of a "
            f"{change.kind} is {most}",
            where=where,
        )
    if change.op != "del":
        _check_until(change, where)


def max_ttl_ms(kind: str) -> int:
    """Return how long a record of a kind may last, if it has an end."""
    return _MAX_TTL_DAYS.get(kind, 30) * _DAY_MS


def _check_name(name: str, where: str) -> None:
    if not 1 <= len(name) <= _MAX_NAME:
        raise StoreRefused(
            f"the name has {len(name)} characters, allowed are 1-{_MAX_NAME}",
            where=where,
        )
    # Only a route is named by two words: `route:POST /checkout`.
    body = name.replace(" ", "") if name.startswith("route:") else name
    if not body.isprintable() or any(c.isspace() for c in body):
        raise StoreRefused(
            "the name holds whitespace or control characters",
            where=ascii(where),
            todo="a space is allowed in route targets only",
        )


def _check_until(change: Change, where: str) -> None:
    until, most_ms = change.until, max_ttl_ms(change.kind)
    if not _UNTIL.fullmatch(until):
        raise StoreRefused(
            f"until {until!r} must be 0, +milliseconds or milliseconds", where=where
        )
    if until.startswith("+") and not MIN_TTL_MS <= int(until) <= most_ms:
        raise StoreRefused(
            f"ends in {int(until) / 1000:g} s, allowed are 10 s to "
            f"{most_ms // _DAY_MS} d",
            where=where,
        )
