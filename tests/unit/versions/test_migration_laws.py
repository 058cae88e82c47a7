"""Laws of migrations, over random APIs and bodies."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unit.versions.evolving import ROUTE, apis, bodies

_SLOW = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
    max_examples=40,
)


def _told(body: bytes) -> Any:
    """Return a body as its own words: numbers as they are spelt."""
    return json.loads(body, parse_int=str, parse_float=str)


@_SLOW
@given(st.data())
def test_an_old_body_comes_back_from_the_head_as_it_was(data: st.DataObject) -> None:
    api = data.draw(apis())
    body = data.draw(bodies(api)).encode()
    up = api.chains.up(ROUTE, api.version)
    down = api.chains.down(ROUTE, api.version, 200)

    newer = up(body).body if up else body
    older = down(newer).body if down else newer

    assert (up is None) == (down is None)
    assert _told(older) == _told(body)


@_SLOW
@given(st.data())
def test_a_chain_that_many_bodies_went_through_does_the_same(
    data: st.DataObject,
) -> None:
    api = data.draw(apis())
    body = data.draw(bodies(api)).encode()
    for program in (
        api.chains.up(ROUTE, api.version),
        api.chains.down(ROUTE, api.version, 200),
    ):
        if program is not None:
            at_first = program(body)
            later = [program(body) for _ in range(60)][-1]

            assert _told(later.body) == _told(at_first.body)
            assert later.findings == at_first.findings
            body = at_first.body


@_SLOW
@given(st.data())
def test_what_no_op_names_keeps_its_bytes(data: st.DataObject) -> None:
    api = data.draw(apis())
    extra = '{"n" :1e400,"t":"\\u00e9", "l":[ 1.10 ]}'
    body = data.draw(bodies(api))
    body = '{"zz": ' + extra + (", " if len(body) > 2 else "") + body[1:]
    up = api.chains.up(ROUTE, api.version)

    newer = up(body.encode()).body if up else body.encode()

    assert extra.encode() in newer


@_SLOW
@given(apis(), st.one_of(st.binary(max_size=60), st.text(max_size=60)))
def test_no_bytes_ever_raise(api: Any, junk: bytes | str) -> None:
    body = junk if isinstance(junk, bytes) else junk.encode("utf-8", "surrogatepass")
    wrapped = b'{"parts": [' + body + b'], "name": ' + body + b"}"

    for program in (
        api.chains.up(ROUTE, api.version),
        api.chains.down(ROUTE, api.version, 200),
    ):
        for each in (body, wrapped):
            for kind in ("json", "merge", "patch"):
                done = program(each, kind) if program else None
                assert done is None or done.failure is None or done.body == each


@_SLOW
@given(st.data())
def test_keys_of_the_head_never_get_into_an_old_body(data: st.DataObject) -> None:
    api = data.draw(apis())
    body = data.draw(bodies(api)).encode()
    up = api.chains.up(ROUTE, api.version)
    known = api.chains.old_schema("Thing", api.version)[0].properties

    done = up(body) if up else None

    # Bodies hold keys of their version alone: nothing is dropped.
    assert done is None or not done.findings
    assert set(known) == set(api.old["Thing"])
