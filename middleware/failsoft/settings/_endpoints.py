"""`[endpoints]`: what failsoft itself answers, and below which path."""

from __future__ import annotations

import re
from dataclasses import dataclass

from failsoft.settings._readers import At, Fault, Reader, read_bool

__all__ = ["ENDPOINT_FIELDS", "EndpointSettings"]

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """prefix: of their paths.

    openapi: whether documents of versions are served.  status, status_html: whether
    users are told how the API is.  live, ready: whether probes of the platform are
    answered.  expose_dependencies: whether problems name the third party that fails.
    """

    prefix: str = "/_failsoft"
    openapi: bool = True
    status: bool = True
    status_html: bool = True
    live: bool = True
    ready: bool = True
    expose_dependencies: bool = False


def _read_prefix(raw: object, at: At) -> str:
    if not isinstance(raw, str) or not _PREFIX.fullmatch(raw):
        raise Fault("must be a path without parameters", 'write as "/_failsoft"')
    return raw


ENDPOINT_FIELDS: dict[str, Reader] = {
    "prefix": _read_prefix,
    "openapi": read_bool,
    "status": read_bool,
    "status_html": read_bool,
    "live": read_bool,
    "ready": read_bool,
    "expose_dependencies": read_bool,
}
