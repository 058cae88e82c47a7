"""What is copied of a third party's answer, and when it is judged.

Nothing here waits, and nothing here may fail a call.  Work that takes long, such as
compiling a schema or judging a large body, is handed to `later`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from typing import NamedTuple, Protocol

from failsoft.outbound._announced import ANNOUNCING, Said, read_said
from failsoft.outbound._contract import (
    Contract,
    Operation,
    Shape,
    has_body,
    is_json,
)
from failsoft.settings import DependencySettings
from failsoft.shapes.findings import Finding
from failsoft.shapes.graph import Node

__all__ = ["ANY_OPERATION", "Call", "Copy", "Peers", "Tap", "inflated"]

ANY_OPERATION = "*"
_INLINE_BYTES = 64 * 1024
_COPY_BYTES = 256 * 1024
_INFLATED_BYTES = 1024 * 1024
_RATIO = 100
_SAMPLED = 0.1
_UNFIT = re.compile(r"[^a-z0-9.+/-]")
_HEADERS = ANNOUNCING | {b"content-type", b"content-encoding", b"content-length"}
_ENCODINGS = {"": 0, "identity": 0, "gzip": 31, "x-gzip": 31, "deflate": 15}


class Peers(Protocol):
    """What a runtime does with what is seen."""

    def settings_of(self, dependency: str) -> DependencySettings:
        """Return what settings say of a third party."""
        ...

    def note(self, dependency: str, operation: str, said: Said) -> None:
        """Take what an answer announces."""
        ...

    def found(
        self, dependency: str, operation: str, findings: Iterable[Finding]
    ) -> None:
        """Count differences of one answer."""
        ...

    def with_members(
        self,
        place: tuple[str, str],
        node: Node,
        body: bytes,
        findings: tuple[Finding, ...],
    ) -> tuple[Finding, ...]:
        """Return findings with unknown members of enums, of (dependency, operation)."""
        ...

    def may_walk(self, operation: str) -> bool:
        """Whether another body may be looked through this second."""
        ...

    def skip(self, why: str) -> None:
        """Count an answer that was not judged."""
        ...

    def failed(self, what: str, error: BaseException) -> None:
        """Count a fault of ours."""
        ...


class Asked(NamedTuple):
    """One call.  host: `name` or `name:port`.  path: as on the wire, no query."""

    method: str
    host: str
    path: str


class Call:
    """One call and the head of its answer; shape: of the body that is expected."""

    __slots__ = ("asked", "encoding", "media_type", "peers", "said", "shape", "status")

    def __init__(self, asked: Asked, status: int, peers: Peers) -> None:
        self.asked = asked
        self.status = status
        self.peers = peers
        self.media_type = ""
        self.encoding = ""
        self.said: Said | None = None
        self.shape: tuple[Operation, Shape] | None = None


class Tap:
    """Observes the answers of one third party.

    given: what code says of it, wins over settings.  load: gives its contract, in a
    thread.  later: runs a function in that thread, in order; False where it has no
    room.  dice: from 0 to 1.
    """

    def __init__(
        self,
        given: tuple[str, DependencySettings],
        find_peers: Callable[[], Peers | None],
        load: Callable[[DependencySettings], Contract],
        later: Callable[[Callable[[], None]], bool],
        dice: Callable[[], float],
    ) -> None:
        self.name, self._given = given
        self.dice = dice
        self.find_peers = find_peers
        self._load = load
        self._later = later
        self._declared: DependencySettings | None = None
        self._names_enums = False
        self._contract: Contract | None = None

    def begin(
        self,
        peers: Peers,
        asked: Asked,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
    ) -> Copy | None:
        """Look at the head of an answer; returns what copies its body, if wanted.

        peers: of `find_peers`, at the same call.
        """
        call = Call(asked, status, peers)
        declared = self._declared or self._declare(peers)
        if declared is None:
            return None
        length = self._read_head(call, headers, declared.version_header.encode())
        if self._contract is None:
            self._work_later(call, partial(self._head, call))
        else:
            self._head(call)
            if call.shape is None:
                return None
        if not is_json(call.media_type) or not has_body(call.asked.method, call.status):
            return None
        if call.encoding not in _ENCODINGS:
            call.peers.skip("encoding")
            return None
        if length > _COPY_BYTES:
            call.peers.skip("size")
            return None
        return Copy(self, call)

    def _declare(self, peers: Peers) -> DependencySettings | None:
        declared = over(self._given, peers.settings_of(self.name))
        if not self._later(partial(self._open, peers, declared)):
            return None  # the next call tries again
        self._declared, self._names_enums = declared, declared.enum_values
        return declared

    def forget(self) -> None:
        """Begin anew: in a forked child, where a load may have been cut short."""
        self._declared = self._contract = None

    def failed(self, error: BaseException) -> None:
        """Count a fault of ours; the call goes on."""
        with suppress(Exception):  # finding them may be the fault
            peers = self.find_peers()
            if peers is not None:
                self._failed(peers, error)

    def _open(self, peers: Peers, declared: DependencySettings) -> None:
        try:
            self._contract = self._load(declared)
        except Exception as error:  # noqa: BLE001 - border: announcements are still read
            self._contract = Contract()
            self._failed(peers, error)

    @staticmethod
    def _read_head(
        call: Call, headers: Iterable[tuple[bytes, bytes]], version_header: bytes
    ) -> int:
        """Note what the head says; returns the declared length, 0 for none."""
        length, version = 0, ""
        announced: list[tuple[bytes, bytes]] = []
        for raw_name, value in headers:
            name = raw_name.lower()
            if name in _HEADERS:
                if name == b"content-type":
                    media_type = value.partition(b";")[0].strip().lower()
                    call.media_type = media_type.decode("latin-1")
                elif name == b"content-encoding":
                    coding = value.strip().lower().decode("latin-1")
                    call.encoding += f",{coding}" if call.encoding else coding
                elif name == b"content-length":
                    length = int(value[:18]) if value.isdigit() else 0
                else:
                    announced.append((name, value))
            elif name == version_header:
                version = value.decode("latin-1")
        if announced or version:
            call.said = read_said(announced, version)
        return length

    def _head(self, call: Call) -> None:
        """Judge all but the body, and say by which shape the body is judged."""
        contract, peers = self._contract, call.peers
        if contract is None:
            return
        operation = contract.find(*call.asked)
        if call.said is not None:
            label = operation.label if operation else ANY_OPERATION
            peers.note(self.name, label, call.said)
        if operation is None:
            if len(contract):
                peers.skip("operation")
            return
        answer = operation.answer(call.status)
        if answer is None:
            findings = operation.status_findings(call.status)
            if findings:
                peers.found(self.name, operation.label, findings)
            return
        if not call.media_type or not has_body(call.asked.method, call.status):
            return
        shape = answer.shape(call.media_type)
        if shape == "undeclared":
            expected = "|".join(answer.shapes)[:200]
            got = _UNFIT.sub("?", call.media_type)[:64]
            peers.found(
                self.name,
                operation.label,
                [Finding("", "media_type", expected, got)],
            )
        elif shape is not None:
            call.shape = operation, shape

    def settle(self, call: Call, wire: bytes, is_large: bool) -> None:
        """Judge a complete body, as it came over the wire."""
        judge = partial(self._judge, call, wire, is_large)
        if is_large or self._contract is None or not _is_compiled(call.shape):
            self._work_later(call, judge)
        else:
            self._guarded(call, judge)

    def _judge(self, call: Call, wire: bytes, is_large: bool) -> None:
        if call.shape is None:  # known by now, where the contract was still loading
            return
        operation, shape = call.shape
        shape.compile()
        most = _INFLATED_BYTES if is_large else _INLINE_BYTES
        try:
            body = inflated(wire, call.encoding, most)
        except zlib.error:  # a fault of theirs, which the caller meets as well
            call.peers.skip("encoding")
            return
        if body is None:
            if not is_large and self.dice() < _SAMPLED:
                judge = partial(self._judge, call, wire, True)
                self._work_later(call, judge)
            else:
                call.peers.skip("size")
            return
        certain = shape.is_certain(body)
        if certain or (certain is None and self.dice() >= _SAMPLED):
            return
        if not call.peers.may_walk(operation.label):
            call.peers.skip("unlisted")
            return
        findings = shape.differences(body)
        if self._names_enums and shape.node is not None:
            place = self.name, operation.label
            findings = call.peers.with_members(place, shape.node, body, findings)
        if findings:
            call.peers.found(self.name, operation.label, findings)

    def _work_later(self, call: Call, work: Callable[[], None]) -> None:
        if not self._later(partial(self._guarded, call, work)):
            call.peers.skip("busy")

    def _guarded(self, call: Call, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - border: the call goes on
            self._failed(call.peers, error)

    def _failed(self, peers: Peers, error: BaseException) -> None:
        peers.failed(f"watching {self.name}", error)


def over(given: DependencySettings, said: DependencySettings) -> DependencySettings:
    """Return settings of which those given in code win."""
    told = {
        field.name: value
        for field in fields(given)
        if (value := getattr(given, field.name)) != field.default
    }
    return replace(said, **told)


def _is_compiled(shape: tuple[Operation, Shape] | None) -> bool:
    return shape is not None and shape[1].gate is not None


class Copy:
    """The bytes of one body, as the caller reads them; 256 KiB at most."""

    __slots__ = ("_call", "_chunks", "_is_large", "_size", "_tap")

    def __init__(self, tap: Tap, call: Call) -> None:
        self._tap = tap
        self._call = call
        self._chunks: list[bytes] | None = []
        self._size = 0
        self._is_large = False

    def add(self, chunk: bytes) -> None:
        """Keep a chunk that the caller is about to get."""
        if self._chunks is None or not chunk:  # HTTP/2 has frames without data
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > _INLINE_BYTES:
            if not self._is_large and self._tap.dice() < _SAMPLED:
                self._is_large = True
            if not self._is_large or self._size > _COPY_BYTES:
                self._give_up("size")

    def end(self, *, is_inflated: bool = False) -> None:
        """Judge the body: it is complete.  is_inflated: by the client, already."""
        if self._chunks is None:
            return
        if is_inflated:
            self._call.encoding = ""
        wire, self._chunks = b"".join(self._chunks), None
        self._tap.settle(self._call, wire, self._is_large)

    def close(self) -> None:
        """Forget a body that the caller did not read to its end."""
        if self._chunks is not None:
            self._give_up("unread")

    def _give_up(self, why: str) -> None:
        self._chunks = None
        self._call.peers.skip(why)


def inflated(wire: bytes, encoding: str, most_bytes: int) -> bytes | None:
    """Return a body as the client sees it, None if it is longer than most_bytes.

    encoding: of `Content-Encoding`, identity, gzip or deflate.  Stops at 100 times
    the size on the wire, which counts as too long.  Of a gzip file with several
    members clients read the first.  Raises zlib.error.
    """
    bits = _ENCODINGS[encoding]
    if not bits:
        return wire if len(wire) <= most_bytes else None
    # Some servers say deflate and send it without the header of zlib.
    if bits == 15 and (
        len(wire) < 2 or wire[0] & 15 != 8 or (wire[0] << 8 | wire[1]) % 31
    ):
        bits = -15
    room = min(most_bytes, _RATIO * len(wire))
    body = zlib.decompressobj(bits).decompress(wire, room + 1)
    return body if len(body) <= room else None
