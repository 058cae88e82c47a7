"""Tells alerts: one JSON line each, and POSTs to the webhooks, one after another.

Webhooks are slow and fail; each has a queue and a task of its own, and its posts run
in threads of their own: the application's thread pool may be what is exhausted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage, InvalidURL
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from failsoft import clock
from failsoft.settings import AlertSettings, WebhookSettings
from failsoft.slo._alert import Tell
from failsoft.slo._format import SIGNATURE, document_of, encoded, signature

__all__ = ["Notifier", "Unsent", "post"]

_alerts = logging.getLogger("failsoft.alerts")
_log = logging.getLogger("failsoft")
_LEVELS = {"page": logging.ERROR, "ticket": logging.WARNING}
_QUEUED = 100
_TIMEOUT_S = 5.0
_RETRIES_S = (1.0, 5.0, 30.0)
# A receiver that says no for a reason of its own says it again.
_WORTH_A_RETRY = (408, 425, 429)


class Unsent(Exception):
    """A webhook did not take an alert; the text names neither its URL nor its key."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Follow none: a body would go where nobody meant it to."""


def post(webhook: WebhookSettings, environ: Mapping[str, str], body: bytes) -> None:
    """Send one body, signed if there is a key; blocks for seconds.  Raises Unsent."""
    url = environ.get(webhook.url_env, "")
    if not url.startswith(("http://", "https://")):
        said = "holds no http(s) URL" if url else "is not set"
        raise Unsent(f"variable {webhook.url_env} {said}", is_final=True)
    headers = {"Content-Type": "application/json", "User-Agent": "failsoft"}
    secret = environ.get(webhook.secret_env, "") if webhook.secret_env else ""
    if webhook.secret_env and not secret:
        raise Unsent(f"variable {webhook.secret_env} is not set", is_final=True)
    try:
        if secret:
            headers[SIGNATURE] = signature(secret, int(clock.unix()), body)
        request = Request(url, body, headers, method="POST")
        with build_opener(_NoRedirects).open(request, timeout=_TIMEOUT_S):
            return
    except HTTPError as error:
        error.close()
        is_final = error.code < 500 and error.code not in _WORTH_A_RETRY
        raise Unsent(f"it answered {error.code}", is_final=is_final) from None
    except URLError as error:
        raise Unsent(f"no answer: {error.reason}") from None
    except (InvalidURL, ValueError):
        names = " or ".join(filter(None, (webhook.url_env, webhook.secret_env)))
        raise Unsent(f"what {names} holds cannot be used", is_final=True) from None
    except (OSError, HTTPException) as error:
        raise Unsent(f"no answer: {type(error).__name__}") from None


@dataclass(eq=False)
class _Sink:
    """One webhook.  fault: why the last alert did not arrive, "" = it did."""

    webhook: WebhookSettings
    queue: deque[bytes] = field(default_factory=lambda: deque(maxlen=_QUEUED))
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: int = 0
    fault: str = ""

    def wants(self, document: Mapping[str, Any]) -> bool:
        webhook = self.webhook
        is_own = document["id"] == f"webhook:{webhook.name}"
        is_kind = not webhook.kinds or document["kind"] in webhook.kinds
        return document["severity"] in webhook.severity and is_kind and not is_own

    def put(self, body: bytes) -> None:
        self.dropped += len(self.queue) == _QUEUED
        self.queue.append(body)
        self.filled.set()


class Notifier:
    """Tells what a node has to tell; `run` is one task of its loop.

    environ: where the variables of webhooks are.  is_muted: whether an id is written
    to the log alone.
    """

    def __init__(
        self,
        settings: AlertSettings,
        env: str,
        environ: Mapping[str, str],
        is_muted: Callable[[str], bool] = lambda _id: False,
    ) -> None:
        self._settings = settings
        self._env = env
        self._environ = environ
        self._is_muted = is_muted
        self._sinks = [_Sink(webhook) for webhook in settings.webhook]

    def tell(self, tell: Tell, at_ms: int) -> None:
        """Write the line, and queue the posts; returns at once."""
        url, alert = self._settings.status_url, tell.alert
        document = document_of(tell, self._env, at_ms, url)
        ends_at = clock.utc_text(at_ms / 1000 + 2 * tell.repeat_s)
        is_muted = self._is_muted(alert.id)
        line = {**document, "muted": True} if is_muted else document
        _alerts.log(_LEVELS.get(alert.severity, logging.INFO), "%s", json.dumps(line))
        for sink in self._sinks:
            if not is_muted and sink.wants(document):
                sink.put(encoded(document, sink.webhook.format, ends_at))

    @property
    def faults(self) -> dict[str, tuple[str, int]]:
        """Return (why, alerts dropped) of webhooks that take no alerts, by name."""
        return {s.webhook.name: (s.fault, s.dropped) for s in self._sinks if s.fault}

    async def run(self) -> None:
        """Send what is queued until cancelled."""
        if self._sinks:
            await asyncio.gather(*map(self._serve, self._sinks))

    async def _serve(self, sink: _Sink) -> None:
        while True:
            sink.filled.clear()
            while sink.queue:
                sink.fault = await self._send(sink.webhook, sink.queue.popleft())
            await sink.filled.wait()

    async def _send(self, webhook: WebhookSettings, body: bytes) -> str:
        """Return "" once it is taken, else why not after the last try."""
        why = ""
        for wait_s in (0.0, *_RETRIES_S):
            await asyncio.sleep(wait_s)
            try:
                await _in_thread(lambda: post(webhook, self._environ, body))
            except Unsent as unsent:
                why = str(unsent)
                if unsent.is_final:
                    break
            else:
                return ""
        _log.warning("webhook %s did not take an alert: %s", webhook.name, why)
        return why


async def _in_thread(work: Callable[[], None]) -> None:
    """Run in a thread that nobody has to wait for at the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:  # noqa: BLE001 - handed over to who waits
            error = raised
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="failsoft-webhook", daemon=True).start()
    await done
