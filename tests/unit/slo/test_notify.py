"""What is sent of an alert, and to whom: over real HTTP on the loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import socket

import pytest

from asgi.eventually import eventually as until
from failsoft.settings import AlertSettings, WebhookSettings
from failsoft.slo import _notify
from failsoft.slo._alert import AlertState, Tell
from failsoft.slo._format import document_of, encoded, signature
from failsoft.slo._notify import Notifier, Unsent, post
from load.webhooks import receiver

pytestmark = pytest.mark.anyio

ALERT = AlertState(
    "slo:pay:fast",
    "slo",
    "page",
    "SLO pay: <burns>",
    1_790_000_000_000,
    facts={"burn_long": 20.5},
    routes=("POST /pay",),
    runbook="https://wiki/pay",
)
FIRING, AT_MS = Tell(ALERT, "firing"), 1_790_000_120_000
HOOK = WebhookSettings("ops", "OPS_URL", "OPS_KEY")


def notifier(*hooks: WebhookSettings, url: str, muted: str = "") -> Notifier:
    environ = {"OPS_URL": f"{url}/hook", "OPS_KEY": "k"}
    settings = AlertSettings("https://status", hooks)
    return Notifier(settings, "shop", environ, lambda id_: id_ == muted)


def test_a_document_says_what_and_since_when_and_nothing_of_requests() -> None:
    document = document_of(FIRING, "shop", AT_MS, "https://status")

    assert document == {
        "schema": 1,
        "id": "slo:pay:fast",
        "kind": "slo",
        "state": "firing",
        "severity": "page",
        "env": "shop",
        "since": "2026-09-21T14:13:20Z",
        "at": "2026-09-21T14:15:20Z",
        "title": "SLO pay: <burns>",
        "facts": {"burn_long": 20.5},
        "routes": ["POST /pay"],
        "runbook": "https://wiki/pay",
        "status_url": "https://status",
    }


def test_slack_gets_text_without_markup_of_ours() -> None:
    document = document_of(FIRING, "shop", AT_MS, "https://status")

    said = json.loads(encoded(document, "slack", ""))

    lines = said["text"].split("\n")
    assert lines[0] == "PAGE shop: SLO pay: &lt;burns&gt;"
    assert lines[1:] == ["burn_long 20.5", "https://wiki/pay", "https://status"]


def test_alertmanager_gets_its_own_shape_with_an_end() -> None:
    document = document_of(FIRING, "shop", AT_MS, "")
    ended = document_of(Tell(ALERT, "resolved"), "shop", AT_MS, "")

    (firing,) = json.loads(encoded(document, "alertmanager", "2026-09-21T15:15:20Z"))
    (resolved,) = json.loads(encoded(ended, "alertmanager", ""))

    assert firing["labels"]["alertname"] == "slo:pay:fast"
    assert firing["annotations"]["burn_long"] == "20.5"
    assert firing["endsAt"] == "2026-09-21T15:15:20Z"
    assert resolved["endsAt"] == resolved["startsAt"].replace("13:20", "15:20")


def test_the_signature_is_hmac_sha256_over_time_and_body() -> None:
    # echo -n '1790000000.{}' | openssl dgst -sha256 -hmac k
    assert signature("k", 1_790_000_000, b"{}") == (
        "t=1790000000,v1="
        "d60b033fc3709a5047203b501bd57fde2e3a2b8c29c7f98f9361b9fbc125835f"
    )


async def test_a_line_is_written_and_the_body_comes_signed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "failsoft.alerts")
    with receiver() as received:
        sender = notifier(HOOK, url=received.url)
        task = asyncio.create_task(sender.run())
        sender.tell(FIRING, AT_MS)
        await until(lambda: received.bodies, 5)
        task.cancel()

    line = json.loads(caplog.records[0].getMessage())
    assert line == json.loads(received.bodies[0])
    assert caplog.records[0].levelno == logging.ERROR
    assert received.is_signed(0, "k")
    assert not received.is_signed(0, "other")
    assert received.paths == ["/hook"]


async def test_who_did_not_ask_for_it_is_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "failsoft.alerts")
    tickets = WebhookSettings("b", "OPS_URL", severity=("ticket",))
    modes = WebhookSettings("c", "OPS_URL", kinds=("mode",))
    itself = WebhookSettings("ops", "OPS_URL")
    broken = Tell(AlertState("webhook:ops", "webhook", "ticket", "t", 1), "firing")
    with receiver() as received:
        sender = notifier(tickets, modes, HOOK, url=received.url, muted=ALERT.id)
        sender.tell(FIRING, AT_MS)
        task = asyncio.create_task(sender.run())
        own = notifier(itself, url=received.url)
        own.tell(broken, AT_MS)
        other = asyncio.create_task(own.run())
        sender.tell(broken, AT_MS)
        await until(lambda: received.bodies, 5)
        task.cancel()
        other.cancel()

    assert [one["id"] for one in received.documents()] == ["webhook:ops"]
    assert json.loads(caplog.records[0].getMessage())["muted"] is True


async def test_a_failed_post_is_tried_again_and_a_refused_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_notify, "_RETRIES_S", (0.0, 0.0, 0.0))
    with receiver(500, 429, 503, 204) as received:
        sender = notifier(HOOK, url=received.url)
        task = asyncio.create_task(sender.run())
        sender.tell(FIRING, AT_MS)
        await until(lambda: len(received.bodies) == 4, 5)
        received.statuses[:] = [404]
        sender.tell(FIRING, AT_MS)
        await until(lambda: sender.faults)
        said, tries = sender.faults, len(received.bodies)
        received.statuses[:] = [204]
        sender.tell(FIRING, AT_MS)
        await until(lambda: not sender.faults)
        task.cancel()

    assert said == {"ops": ("it answered 404", 0)}
    assert tries == 5
    assert all(received.is_signed(number, "k") for number in range(6))


async def test_redirects_are_not_followed() -> None:
    with receiver(307, 204) as received, pytest.raises(Unsent, match="answered 307"):
        post(HOOK, {"OPS_URL": received.url, "OPS_KEY": "k"}, b"{}")

    assert len(received.bodies) == 1


async def test_a_full_queue_drops_the_oldest_and_counts_them() -> None:
    with receiver(204) as received:
        sender = notifier(HOOK, url=received.url)
        for number in range(103):
            alert = AlertState(f"quota:{number}", "quota", "page", "t", 1)
            sender.tell(Tell(alert, "firing"), AT_MS)
        task = asyncio.create_task(sender.run())
        await until(lambda: len(received.bodies) == 100, 9)
        task.cancel()

    assert received.documents()[0]["id"] == "quota:3"


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "variable OPS_URL is not set"),
        ({"OPS_URL": "file:///etc/passwd"}, "variable OPS_URL holds no http"),
        ({"OPS_URL": "http://x/T0KEN"}, "variable OPS_KEY is not set"),
        ({"OPS_URL": "http://x\nT0KEN", "OPS_KEY": "k"}, "OPS_URL or OPS_KEY holds"),
        ({"OPS_URL": "http://a:T0KEN@x/", "OPS_KEY": "k"}, "cannot be used"),
        ({"OPS_URL": "http://[::1T0KEN", "OPS_KEY": "k"}, "cannot be used"),
        ({"OPS_URL": "http://x/", "OPS_KEY": "T0KEN\udcff"}, "cannot be used"),
    ],
)
def test_what_cannot_be_sent_says_why_and_no_secret(
    environ: dict[str, str], why: str
) -> None:
    with pytest.raises(Unsent, match=why) as caught:
        post(HOOK, environ, b"{}")

    assert "T0KEN" not in str(caught.value)


def test_a_dead_receiver_is_told_without_its_address() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/T0KEN"
        with pytest.raises(Unsent, match="no answer") as caught:
            post(HOOK, {"OPS_URL": url, "OPS_KEY": "k"}, b"{}")

    assert "T0KEN" not in str(caught.value)
