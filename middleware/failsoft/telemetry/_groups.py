"""Error groups and kept examples: which failures are the same, and what they show.

Line numbers are not part of a group, so a deploy does not split it.  Frames are
data: no locals, no bodies, no header or query values.
"""

from __future__ import annotations

import hashlib
import linecache
import os
import re
import sys
import sysconfig
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from types import TracebackType

from msgspec.structs import replace

from failsoft.pipeline import Exchange
from failsoft.telemetry._wire import Flight, Frame

__all__ = ["FlightDeck", "group_id", "redact", "with_sources"]

_MAX_FRAMES = 50
_MAX_CAUSES = 5
_MAX_MESSAGE = 512
_PER_GROUP_MINUTE = 5
_PER_SECOND = 20

# What looks like a secret or a person in an exception's text.
_SECRETS = re.compile(
    r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+"  # looks back, or it is quadratic
    r"|(?i:bearer)\s+[\w.~+/=-]+"
    r"|(?<=://)[^\s/@:]*:[^\s/@]*(?=@)"
    r"|(?i:\b(?:api[_-]?key|token|secret|password|passwd|pwd)\b\s*[=:]\s*)\S+"
    r"|\b(?:sk|pk|ghp|xox[abp])[_-][\w-]{8,}"
)

_LIBRARY = tuple(
    {
        os.path.join(sysconfig.get_paths()[name], "")
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
)
_OURS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")


def redact(text: str) -> str:
    """Replace e-mail addresses, bearer tokens and key-like words; cut at 512.

    Lone surrogates, which a JSON body can carry, become `?`: no wire takes them.
    """
    found = _SECRETS.sub("(redacted)", text[: 2 * _MAX_MESSAGE])[:_MAX_MESSAGE]
    return found.encode("utf-8", "replace").decode()


@lru_cache(maxsize=4096)
def _is_in_app(file: str) -> bool:
    return not (
        file.startswith((*_LIBRARY, _OURS, "<"))
        or "site-packages" in file
        or "dist-packages" in file
    )


@lru_cache(maxsize=4096)
def group_id(route: str, what: str, where: str) -> str:
    """Return 12 hex digits for (route, exception type or status, frame)."""
    text = "\0".join((route, what, where)).encode("utf-8", "replace")
    return hashlib.blake2b(text, digest_size=6).hexdigest()


def _walk(traceback: TracebackType | None) -> Iterator[tuple[str, int, str]]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        yield code.co_filename, traceback.tb_lineno, code.co_name
        traceback = traceback.tb_next


def _type_name(error: BaseException) -> str:
    kind = type(error)
    plain = kind.__module__ in ("builtins", "__main__")
    return kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"


def _message_of(error: BaseException) -> str:
    # An exception's own __str__ may raise; that must not fail a request.
    try:
        return redact(str(error))
    except Exception:  # noqa: BLE001 - foreign code, reported in its place
        return "(its __str__ raised)"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what is below an exception, breadth first: a group's members, causes."""
    seen, waiting = {id(error)}, deque(_below(error))
    while waiting:
        cause = waiting.popleft()
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += _below(cause)


def _below(error: BaseException) -> list[BaseException]:
    found = list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []
    cause = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    return found if cause is None else [*found, cause]


def _origin(error: BaseException) -> BaseException:
    """Return what failed: a group of one (a task group's) stands for its member."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


class FlightDeck:
    """Decides which failures are kept whole, and holds them until the next flush.

    Counts stay exact elsewhere; here at most 5 per group and minute and 20 per
    second are kept.  release: the application's version.
    """

    __slots__ = ("_kept", "_minute", "flights", "node", "release")

    def __init__(self, node: str, release: str = "") -> None:
        self.node = node
        self.release = release
        self.flights: list[Flight] = []
        self._kept: dict[str, int] = {}
        self._minute = 0

    def take(self) -> list[Flight]:
        """Return what was kept since the last call; see `with_sources`."""
        taken, self.flights = self.flights, []
        return taken

    def fail(self, exchange: Exchange, duration_us: int, at_ms: int) -> str:
        """Return the failure's group, and keep it as an example if there is room."""
        error = exchange.exception and _origin(exchange.exception)
        frames = list(_walk(error.__traceback__))[::-1] if error else []
        group = self._group(exchange, error, frames)
        if self._has_room(group, at_ms):
            self.flights.append(
                self._flight(exchange, error, group, frames, duration_us, at_ms)
            )
        return group

    def _group(
        self,
        exchange: Exchange,
        error: BaseException | None,
        frames: list[tuple[str, int, str]],
    ) -> str:
        if error is None:
            return group_id(exchange.plan.key, str(exchange.status), "")
        top = next(
            (f for f in frames if _is_in_app(f[0])), frames[0] if frames else None
        )
        where = f"{top[0]}:{top[2]}" if top else ""
        return group_id(exchange.plan.key, _type_name(error), where)

    def _has_room(self, group: str, at_ms: int) -> bool:
        minute = at_ms // 60_000
        if minute != self._minute:
            self._minute = minute
            self._kept.clear()
        kept = self._kept.get(group, 0)
        if kept >= _PER_GROUP_MINUTE or len(self.flights) >= _PER_SECOND:
            return False
        self._kept[group] = kept + 1
        return True

    def _flight(
        self,
        exchange: Exchange,
        error: BaseException | None,
        group: str,
        frames: list[tuple[str, int, str]],
        duration_us: int,
        at_ms: int,
    ) -> Flight:
        causes = islice(_causes(error), _MAX_CAUSES) if error else ()
        return Flight(
            id=f"{exchange.span_id & 0xFFFFFFFF:08x}",
            group=group,
            route=exchange.plan.key,
            node=self.node,
            at_ms=at_ms,
            status=exchange.status or 500,
            duration_us=duration_us,
            exception=_type_name(error) if error else "",
            message=_message_of(error) if error else "",
            frames=tuple(
                Frame(file, line, function, in_app=_is_in_app(file))
                for file, line, function in frames[:_MAX_FRAMES]
            ),
            causes=tuple(f"{_type_name(c)}: {_message_of(c)}" for c in causes),
            trace_id=exchange.trace_id_hex,
            span_id=exchange.span_id_hex,
            release=self.release,
            revision=exchange.snapshot.revision,
            consumer=exchange.consumer,
            version=exchange.version,
            drift=exchange.drift,
            modes=exchange.snapshot.modes,
            flags=tuple((exchange.flags or {}).items()),
            after_start=error is not None and exchange.phase > 0,
            after_deadline=0 < exchange.deadline_ns <= exchange.ended_ns,
            truncated=len(frames) > _MAX_FRAMES,
        )


def with_sources(flight: Flight) -> Flight:
    """Return the flight with short paths and source lines.  Reads files."""
    return replace(flight, frames=tuple(_shown(frame) for frame in flight.frames))


def _shown(frame: Frame) -> Frame:
    source = linecache.getline(frame.file, frame.line).strip()[:200]
    return replace(frame, file=_short(frame.file), source=source)


@lru_cache(maxsize=4096)
def _short(file: str) -> str:
    """Return the path below the import root it was found under."""
    roots = [os.path.join(path, "") for path in sys.path if path]
    root = max((r for r in roots if file.startswith(r)), key=len, default="")
    return file[len(root) :]
