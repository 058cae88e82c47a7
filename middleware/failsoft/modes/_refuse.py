"""Prepared answers of kills and modes, strictest first.

Kill beats maintenance, that read_only, that shed, that static.  Everything that
does not change per request is made here, once per revision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from failsoft.consumer import rank_of
from failsoft.controls.records import KillDoc
from failsoft.modes._model import ActiveMode
from failsoft.pipeline import Exchange, Hook, Rejection
from failsoft.problem import problem, retry_after, violating
from failsoft.settings import Shed, StaticAnswer

__all__ = ["first_of", "kill_hook", "mode_hook", "notice_of"]

Now = Callable[[], float]  # store time in milliseconds
Dice = Callable[[], float]  # 0..1

_CAPACITY = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "WS"))
_OPEN_END_S = 300


def kill_hook(doc: KillDoc, until_ms: int, now_ms: Now) -> Hook:
    """Refuse every request with the kill's status and public text."""
    # A status that is no refusal must not let the kill through, nor break the server.
    status = doc.status if 400 <= doc.status <= 599 else 503

    def refuse(exchange: Exchange) -> Rejection:
        return problem(
            "kill",
            status,
            title="Paused by the operator",
            type_uri="urn:failsoft:problem:killed",
            detail=doc.public,
            headers=_retry_after(doc.retry_after, until_ms, now_ms()),
        )

    return refuse


def _retry_after(
    seconds: float, until_ms: int, now_ms: float
) -> tuple[tuple[bytes, bytes], ...]:
    """Whole seconds, rounded up, never beyond the control's own end."""
    if until_ms:
        seconds = min(seconds, (until_ms - now_ms) / 1000)
    whole = max(1, min(3600, math.ceil(seconds)))
    return ((b"retry-after", str(whole).encode()),)


def mode_hook(
    mode: ActiveMode, action: str, value: Any, now_ms: Now, dice: Dice
) -> Hook | None:
    """Return the hook of an answering action, None for the others."""
    if action == "maintenance":
        return _paused(mode, "maintenance", str(value), now_ms, dice)
    if action == "read_only":
        refuse = _paused(mode, "read-only", "Only reading works now", now_ms, dice)
        return lambda ex: None if _method(ex) in _SAFE_METHODS else refuse(ex)
    if action == "shed":
        return _shed(value, now_ms, dice)
    if action == "static":
        return _static(value)
    return None


def first_of(hooks: Sequence[Hook]) -> Hook | None:
    """Return a hook that answers as the first of these does, None for none."""
    if not hooks:
        return None
    return lambda ex: next((r for hook in hooks if (r := hook(ex)) is not None), None)


def _method(exchange: Exchange) -> str:
    method: str = exchange.scope.get("method", "WS")
    return method


def _paused(mode: ActiveMode, slug: str, title: str, now_ms: Now, dice: Dice) -> Hook:
    def refuse(exchange: Exchange) -> Rejection:
        left_s = (mode.until_ms - now_ms()) / 1000 if mode.until_ms else _OPEN_END_S
        return problem(
            slug.replace("-", "_"),
            503,
            title=title,
            type_uri=f"urn:failsoft:problem:{slug}",
            headers=(retry_after(left_s, dice),),
        )

    return refuse


def _shed(shed: Shed, now_ms: Now, dice: Dice) -> Hook:
    prepared = [_reduced(seconds) for seconds in (1, 2, 3)]

    def refuse(exchange: Exchange) -> Rejection | None:
        if shed.share < 1 and rank_of(exchange, now_ms(), dice) >= shed.share:
            return None
        return prepared[int(dice() * 2.999)]

    return refuse


def _reduced(retry_s: int) -> Rejection:
    answer = problem(
        "shed",
        503,
        title="Less important requests are refused for now",
        type_uri=_CAPACITY,
        headers=((b"retry-after", b"%d" % retry_s),),
    )
    return violating(answer, "mode")


def _static(answer: StaticAnswer) -> Hook:
    headers = (
        (b"content-type", answer.media_type.encode("latin-1", "replace")),
        (b"cache-control", b"no-store"),
    )
    prepared = Rejection(
        "static",
        answer.status,
        headers,
        answer.body,
        is_problem=False,
        is_refusal=False,
    )
    return lambda exchange: prepared


def notice_of(mode: ActiveMode, word: str, text: str = "") -> tuple[bytes, bytes]:
    """Return the `Failsoft-Notice` header of answers given under a mode."""
    value = f'{word};mode="{mode.name}";since={mode.since_ms // 1000}'
    if text:
        clean = "".join(c for c in text if 32 <= ord(c) < 127 and c not in '"\\')
        value += f';text="{clean}"'
    return (b"failsoft-notice", value.encode("latin-1", "replace"))
