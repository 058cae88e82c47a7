"""Keeps what this process writes and is refused in a file: FAILSOFT_AUDIT_LOG.

Each is one line of JSON on logger `failsoft.audit`, where nobody listens by itself.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging.handlers import WatchedFileHandler

from failsoft.errors import Invalid

__all__ = ["audit_file"]

_NAME = "FAILSOFT_AUDIT_LOG"


class _AuditFile(WatchedFileHandler):
    """Tells of a line it could not keep in one line; the write itself is done."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exception()
        logging.getLogger("failsoft").warning("%s: not written: %s", _NAME, error)


@contextmanager
def audit_file(environ: Mapping[str, str]) -> Iterator[None]:
    """Append the audit to the file that is named, if one is; Invalid if it cannot be.

    The file may be rotated meanwhile.
    """
    path = environ.get(_NAME)
    if not path:
        yield
        return
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        handler = _AuditFile(path, encoding="utf-8")
    except OSError as error:
        raise Invalid(_NAME, f"{path} cannot be written: {error.strerror}") from None
    audit = logging.getLogger("failsoft.audit")
    level = audit.level
    audit.addHandler(handler)
    audit.setLevel(logging.INFO)
    try:
        yield
    finally:
        audit.removeHandler(handler)
        audit.setLevel(level)
        handler.close()
