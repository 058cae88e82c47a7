"""The audit beyond the kept log: each confirmed change as one JSON line.

On logger `failsoft.audit`, by the process that wrote.  Every store emits here, so
that no writer, person or automation, can be forgotten.
"""

from __future__ import annotations

import json
import logging

from failsoft.store.protocols import Answer, Call, Change

__all__ = ["emit"]

_audit = logging.getLogger("failsoft.audit")


def emit(env: str, call: Call, answer: Answer | None) -> None:
    """Tell what a call changed; `rev` is the revision after the whole call.

    answer: None when the outcome is not known; a repeat then tells it again, as a
    `duplicate`, since both are the same write.
    """
    if not _audit.isEnabledFor(logging.INFO):
        return
    for change in call.changes:
        _audit.info("%s", json.dumps(_head(env, call, answer) | _what(change)))
    if call.accept is not None:
        _audit.info("%s", json.dumps(_head(env, call, answer) | {"op": "accept"}))


def _head(env: str, call: Call, answer: Answer | None) -> dict[str, object]:
    head: dict[str, object] = {
        "env": env,
        "who": call.actor,
        "why": call.reason,
        "via": call.via,
        "op_id": call.op_id,
    }
    if answer is None:
        return head | {"outcome": "unknown"}
    if answer.duplicate:
        head["duplicate"] = True
    return head | {
        "at_ms": answer.now_ms,
        "rev": answer.revision,
        "epoch": answer.epoch,
    }


def _what(change: Change) -> dict[str, object]:
    document = change.json.decode(errors="backslashreplace")
    return {
        "kind": change.kind,
        "name": change.name,
        "op": change.op,
        "until": change.until,
        "value": document if change.op != "del" else None,
    }
