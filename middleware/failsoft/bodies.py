"""What work on bodies may cost: memory of the process, threads; and what is refused.

Decides which bodies are worked on at all, by their headers; when they are read and
sent is decided in `bodyflow`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from msgspec import Struct

from failsoft.pipeline import BodyPlan, Exchange, Rejection
from failsoft.problem import problem
from failsoft.settings import ContractSettings

__all__ = [
    "DIGESTS",
    "ENCODED",
    "FAILED",
    "NOT_MIGRATABLE",
    "TOO_LARGE",
    "Bodies",
    "Buffer",
    "Facts",
    "changed_body",
    "look_at",
    "read_facts",
    "tell_elsewhere",
    "worked",
]

_T = TypeVar("_T")

_AT_A_TIME = 2
# In a request each of them is a signature over its bytes.
DIGESTS = (b"content-digest", b"repr-digest", b"digest", b"content-md5")
_THREADS: RunVar[CapacityLimiter] = RunVar("failsoft_body_threads")


def _problem(slug: str, status: int, title: str) -> Rejection:
    uri = f"urn:failsoft:problem:{slug}"
    return problem(slug.replace("-", "_"), status, title=title, type_uri=uri)


TOO_LARGE = _problem(
    "body-too-large-for-migration", 413, "The body is too large for this version"
)
ENCODED = _problem(
    "encoding-not-migratable", 415, "Send this version's bodies without encoding"
)
NOT_MIGRATABLE = _problem(
    "request-not-migratable", 422, "The body cannot be read as of this version"
)
FAILED = _problem("migration-failed", 500, "The answer cannot be given in this version")
FAILED.is_refusal = False  # ours, and an error: it counts as one
NO_ROOM = problem(
    "body_room",
    503,
    title="Too many bodies are being worked on",
    type_uri="https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    headers=((b"retry-after", b"1"),),
)


class Bodies:
    """What all requests of a process share: limits, and memory in use.

    tally: counts a word, `skipped:size`.  held_bytes: of bodies kept or copied now.
    looked_at_bytes: longer bodies of requests are not kept just to be looked at.
    signatures: names of headers that sign an answer besides those that say so;
    marks: the same of a request.
    """

    __slots__ = (
        "held_bytes",
        "limits",
        "looked_at_bytes",
        "marks",
        "signatures",
        "tally",
    )

    def __init__(self, limits: ContractSettings, tally: Callable[[str], None]) -> None:
        self.limits = limits
        self.tally = tally
        self.held_bytes = 0
        most_bytes = max(limits.gate_full_max_bytes, limits.gate_sampled_max_bytes)
        self.looked_at_bytes = min(most_bytes, limits.body_max_bytes)
        self.signatures = frozenset(name.encode() for name in limits.signed_headers)
        self.marks = self.signatures.union(DIGESTS)

    def skip(self, why: str, plan: BodyPlan) -> None:
        """Count a body that goes on without the plan's work: size, encoding, signed."""
        self.tally(f"conflict:{why}" if plan.is_required else f"skipped:{why}")


class Buffer:
    """Holds the parts of one body, within the limits of its process.

    What receives or sends a body is one itself, and sets these: each request pays
    for every object and call.  _held: not a list of parts, as those of one byte each
    would take fifty times as much.
    """

    __slots__ = ("_bodies", "_held", "_most_bytes")
    _bodies: Bodies
    _held: bytes | bytearray
    _most_bytes: int

    def add(self, part: bytes) -> Rejection | None:
        """Keep a part; the refusal to use if it is one too many (and is not kept)."""
        bodies, size = self._bodies, len(part)
        if len(self._held) + size > self._most_bytes:
            return TOO_LARGE
        if bodies.held_bytes + size > bodies.limits.buffer_total_bytes:
            return NO_ROOM
        bodies.held_bytes += size
        if self._held:
            self._held += part
        else:
            self._held = bytearray(part)
        return None

    def last(self, part: bytes) -> bytes | Rejection:
        """Return the whole body, which ends with this part, and hold it no longer."""
        if not self._held and len(part) <= self._most_bytes:
            return part
        return self.add(part) or self.take()

    def take(self) -> bytes:
        """Return the body so far, and hold it no longer."""
        body = bytes(self._held)
        self.drop()
        return body

    def drop(self) -> None:
        """Hold nothing any longer."""
        if self._held:
            self._bodies.held_bytes -= len(self._held)
            self._held = b""


class Facts(Struct, frozen=True, gc=False):
    """What headers say of a body."""

    is_json: bool
    is_signed: bool
    encoding: bytes
    length: int


_NOT_JSON = Facts(False, False, b"", 0)


def read_facts(headers: Mapping[bytes, bytes], marks: frozenset[bytes]) -> Facts:
    """Read what headers say of a body; their names are in lower case.

    marks: names that mean signed.
    """
    kind = headers.get(b"content-type", b"")
    if kind != b"application/json" and not _is_json(kind):
        return _NOT_JSON
    # Without a loop: each request with a body pays for this.
    is_named = b" ".join(headers).find(b"signature") >= 0
    is_signed = is_named or not marks.isdisjoint(headers)
    encoding = b""
    if b"content-encoding" in headers:
        encoding = headers[b"content-encoding"].strip().lower()
    length = headers.get(b"content-length", b"")
    size = int(length) if length.isdigit() and len(length) < 20 else 0
    return Facts(True, is_signed, b"" if encoding == b"identity" else encoding, size)


def _is_json(content_type: bytes) -> bool:
    media = content_type.partition(b";")[0].strip().lower()
    return media == b"application/json" or media.endswith(b"+json")


async def worked(bodies: Bodies, size: int, work: Callable[..., _T], *of: Any) -> _T:
    """Do what needs the processor: here, or for a long body in a thread."""
    if size <= bodies.limits.inline_max_bytes:
        return work(*of)
    try:
        limiter = _THREADS.get()
    except LookupError:
        limiter = CapacityLimiter(_AT_A_TIME)
        _THREADS.set(limiter)
    bodies.held_bytes += size  # as long as it waits for its turn, too
    try:
        return await anyio.to_thread.run_sync(work, *of, limiter=limiter)
    finally:
        bodies.held_bytes -= size


def changed_body(
    exchange: Exchange, plan: BodyPlan, body: bytes, otherwise: Rejection
) -> bytes | Rejection:
    """Return the body after all changes, and let `look` see it.

    otherwise: the refusal where a change that has to be made fails inside.
    """
    found = body
    try:
        for change in plan.changes:
            changed = change(exchange, found)
            if isinstance(changed, Rejection):
                return changed
            found = changed
    except Exception as error:  # noqa: BLE001 - border: a request must go on
        exchange.runtime.failed(f"changing a body of {exchange.plan.key}", error)
        if plan.is_required:
            return otherwise
        found = body
    look_at(exchange, plan, found)
    return found


def tell_elsewhere(exchange: Exchange, plan: BodyPlan) -> None:
    """Tell the plan of a body that is not JSON; an error in it is only counted."""
    if plan.elsewhere is None:
        return
    try:
        plan.elsewhere(exchange)
    except Exception as error:  # noqa: BLE001 - border: a request must go on
        exchange.runtime.failed(f"looking at {exchange.plan.key}", error)


def look_at(exchange: Exchange, plan: BodyPlan, body: bytes) -> None:
    """Show a body to the plan's `look`; an error in it is ours, and only counted."""
    if plan.look is None:
        return
    try:
        plan.look(exchange, body)
    except Exception as error:  # noqa: BLE001 - border: a request must go on
        exchange.runtime.failed(f"looking at a body of {exchange.plan.key}", error)
