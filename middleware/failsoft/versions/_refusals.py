"""How refusals of versions look: one problem for each reason (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from failsoft.pipeline import Rejection
from failsoft.problem import problem

__all__ = ["STATUSES", "refusal"]

# slug -> (status, title)
STATUSES: Mapping[str, tuple[int, str]] = {
    "version-invalid": (400, "This is no API version"),
    "version-unknown": (400, "There is no such API version"),
    "version-conflict": (400, "The request names several API versions"),
    "version-required": (400, "The request names no API version"),
    "version-retired": (410, "This API version has ended"),
    "endpoint-gone": (410, "This endpoint has ended"),
    "endpoint-not-in-version": (404, "This endpoint is not in this API version"),
    "brownout": (503, "Refused for a while, as it will end"),
    "request-not-migratable": (422, "The body cannot be read as of this version"),
    "patch-not-translatable": (422, "The change cannot be read as of this version"),
    "migration-failed": (500, "The answer cannot be given in this version"),
}


def refusal(
    slug: str,
    *,
    members: Mapping[str, Any],
    detail: str = "",
    status: int = 0,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Rejection:
    """Return the answer to a refused request.

    slug: of STATUSES.  members: of the problem, empty ones are left out; what a
    client sent stands in `requested` alone.  status: 0 for that of the slug.
    """
    usual, title = STATUSES[slug]
    made = problem(
        slug.replace("-", "_"),
        status or usual,
        title=title,
        type_uri=f"urn:failsoft:problem:{slug}",
        detail=detail or None,
        headers=headers,
    )
    told = {name: value for name, value in members.items() if value}
    if told:
        made.body += b"," + msgspec.json.encode(told)[1:-1]
    return made


def errors_of(pointer: str, kind: str) -> Sequence[Mapping[str, str]]:
    """Return the member `errors` of a problem with one place in a body."""
    return ({"pointer": pointer, "kind": kind},)
