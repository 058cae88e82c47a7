"""Which routes an SLO is about, and what is answered to one that is about none."""

from __future__ import annotations

from pathlib import Path

import pytest

from failsoft.errors import DefinitionError
from failsoft.routes.table import NO_ROUTE, RouteDef
from failsoft.settings import RouteRules, SloDefinition, load_settings
from failsoft.slo._scope import aims_of, faults_of, scopes_of, watched_slos

PAY = RouteDef("POST /pay", rules=RouteRules(slo="checkout"))
CART = RouteDef("GET /cart", tags=("revenue",))
HOOK = RouteDef("POST /hook", bypass=True)
WS = RouteDef("WS /live")
ROUTES = (RouteDef(NO_ROUTE), PAY, CART, HOOK, WS)


def test_without_any_every_route_is_in_one_slo() -> None:
    assert scopes_of({}, ROUTES) == {
        "all": (NO_ROUTE, "POST /pay", "GET /cart", "WS /live")
    }


def test_routes_are_named_by_glob_by_tag_or_by_themselves() -> None:
    slos = {
        "checkout": SloDefinition(("tag:revenue",)),
        "read": SloDefinition(("GET *", "POST /hook"), latency_s=0.5),
    }

    assert scopes_of(slos, ROUTES) == {
        "checkout": ("POST /pay", "GET /cart"),
        "read": ("GET /cart",),
    }
    assert aims_of(slos, ROUTES)["GET /cart"] == (
        ("checkout", float("inf")),
        ("read", 500_000.0),
    )
    assert watched_slos(slos, ROUTES)["checkout"].routes == ("tag:revenue", "POST /pay")


def test_what_is_about_nothing_is_told_with_what_was_meant() -> None:
    slos = {
        "a": SloDefinition(("POST /pya", "tag:revenu")),
        "b": SloDefinition(),
        "checkuot": SloDefinition(("GET *",)),
    }

    faults = faults_of(slos, ROUTES)

    assert len(faults) == 4
    assert "slo.a.routes holds 'POST /pya'" in faults[0]
    assert "did you mean POST /pay?" in faults[0]
    assert "did you mean tag:revenue?" in faults[1]
    assert faults[2].startswith("slo.b is about no route")
    assert faults[3].startswith("POST /pay: slo = 'checkout' is not declared")
    assert "did you mean checkuot?" in faults[3]
    assert faults_of({}, (RouteDef(NO_ROUTE), CART)) == []


@pytest.mark.parametrize(
    ("toml", "finding"),
    [
        ("[slo.a]\nobjective = 0.93", "`fast` (burn 14.4) more than all requests"),
        ("[slo.a]\nobjective = 0.93", "write 0.9306 or more"),
        ("[slo.a]\nobjective = 1", "is no ratio between 0 and 1; write 0.999"),
        ("[slo.a]\nlatency = 800", 'has no unit; write "800s"'),
        ("[slo.a]\nobjectiv = 0.99", "did you mean objective?"),
        ('[slo."a b"]', "is no name of an SLO"),
        ('[routes."GET /"]\nslo = "alll"', "is not declared; did you mean all?"),
        ('[defaults]\nslo = "b"\n[slo.a]', "defaults.slo = 'b' is not declared"),
        ("[[alerts.webhook]]\nname = 'a'", "alerts.webhook[1] has no url_env; add"),
        (
            "[[alerts.webhook]]\nname = 'a'\nurl_env = 'https://x/T0KEN'",
            "is no name of an environment variable",
        ),
        (
            "[[alerts.webhook]]\nname = 'a'\nurl_env = 'A'\nseverity = ['pgae']",
            "did you mean page?",
        ),
        ("[alerts]\nwebhok = 1", "did you mean webhook?"),
        ("[alerts]\nwebhook = 1", "must be a list of tables"),
    ],
)
def test_a_bad_definition_is_answered_with_what_to_write(
    toml: str, finding: str, tmp_path: Path
) -> None:
    (tmp_path / "failsoft.toml").write_text(toml)

    with pytest.raises(DefinitionError) as caught:
        load_settings({}, {}, tmp_path)

    text = "\n".join(caught.value.findings)
    assert finding in text
    assert "T0KEN" not in text


def test_all_of_it_can_be_said_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "failsoft.toml").write_text(
        """
        [slo.checkout]
        routes = ["POST /checkout", "tag:revenue"]
        objective = 0.9995
        latency = "800ms"
        runbook = "https://wiki/checkout"
        [alerts]
        status_url = "https://status.example.org"
        [[alerts.webhook]]
        name = "ops"
        url_env = "OPS_URL"
        secret_env = "OPS_KEY"
        severity = ["page"]
        kinds = ["slo", "mode"]
        format = "slack"
        """
    )

    settings = load_settings({}, {}, tmp_path)

    slo = settings.slos["checkout"]
    assert (slo.objective, slo.latency_s) == (0.9995, 0.8)
    (webhook,) = settings.alerts.webhook
    assert (webhook.severity, webhook.kinds) == (("page",), ("slo", "mode"))
