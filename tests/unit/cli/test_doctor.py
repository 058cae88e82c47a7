"""The doctor names what is not in order, in the state of each node."""

from __future__ import annotations

from failsoft.cli._doctor import _nodes
from failsoft.telemetry import RouteTick
from unit.ops.merged import Fleet, beat


def test_nodes_that_hold_a_lost_history_are_not_called_in_order() -> None:
    made = Fleet()
    made.nodes = {"n1": beat("n1", state="rewound"), "n2": beat("n2")}

    checks = _nodes(made.run(2, RouteTick("GET /cheap", 9, hist={100: 9})))

    assert [(check.name, check.state) for check in checks] == [("controls", "fail")]
    assert "n1 rewound" in checks[0].text


def test_a_node_whose_last_good_file_is_lost_with_its_host_is_told() -> None:
    made = Fleet()
    made.nodes = {"n1": beat("n1", lastgood="temporary"), "n2": beat("n2")}

    (check,) = [c for c in _nodes(made.second()) if c.name == "restart"]

    assert check.state == "warn"
    assert check.text.startswith("w1 n1: last-known-good file lies in a temporary")


def test_malformed_trace_headers_of_callers_are_told() -> None:
    made = Fleet()
    made.nodes = {"n1": beat("n1", bad_headers={"traceparent": 3})}

    checks = _nodes(made.second())

    assert "w1 got 3 malformed traceparent headers" in checks[-1].text
    assert checks[-1].state == "warn"
