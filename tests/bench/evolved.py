"""One application after 99 changes, and these changes as failsoft and Cadwyn say them.

Every version renamed one field of `Order` or of its `Item`s, so that each of 25
fields changed its name about four times.  A body of 2 KB holds ten items.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI
from pydantic import create_model

VERSIONS = [f"{2010 + n // 12}-{1 + n % 12:02}-01" for n in range(100)]
_ORDER = [f"order{n:02}" for n in range(20)]
_ITEM = [f"item{n}" for n in range(5)]
_FIELDS = [*(("Order", name) for name in _ORDER), *(("Item", name) for name in _ITEM)]


def renames() -> list[tuple[str, str, str]]:
    """Return (schema, old name, new name) of each version after the first."""
    times: dict[tuple[str, str], int] = {}
    found = []
    for at in range(len(VERSIONS) - 1):
        schema, base = _FIELDS[at % len(_FIELDS)]
        n = times[schema, base] = times.get((schema, base), 0) + 1
        found.append((schema, f"{base}_{n - 1}", f"{base}_{n}"))
    return found


def _head(schema: str) -> dict[str, Any]:
    names = {base: f"{base}_0" for owner, base in _FIELDS if owner == schema}
    for owner, _, new in renames():
        if owner == schema:
            names[new.rpartition("_")[0]] = new
    return dict.fromkeys(names.values(), (str, ...))


# Any: what it makes depends on names that are worked out.
_model: Any = create_model
Item = _model("Item", **_head("Item"))
Order = _model("Order", **_head("Order"), items=(list[Item], ...))  # type: ignore[valid-type]


def body(*, is_old: bool) -> bytes:
    """Return a request body of the oldest version, or of the head."""
    names = {
        "Order": [f"{n}_0" for n in _ORDER] if is_old else [*_head("Order")],
        "Item": [f"{n}_0" for n in _ITEM] if is_old else [*_head("Item")],
    }
    items = [dict.fromkeys(names["Item"], f"value {n} of it") for n in range(10)]
    order = dict.fromkeys(names["Order"], "value of the order")
    return json.dumps({**order, "items": items}).encode()


def routes(router: APIRouter | FastAPI, *, is_wide: bool) -> None:
    """Add the routes: one that is driven, and with is_wide 99 more."""

    @router.post("/orders")
    async def create(order: Order) -> dict[str, Any]:  # type: ignore[valid-type]
        return {"ok": True}

    for n in range(99 if is_wide else 0):
        _one_more(router, n)


def _one_more(router: APIRouter | FastAPI, n: int) -> None:
    model = _model(f"Thing{n}", **{f"f{k}": (str, ...) for k in range(10)})

    @router.post(f"/things{n}")
    async def create(thing: model) -> model:  # type: ignore[valid-type]
        return thing


def plain(*, is_wide: bool = False) -> FastAPI:
    """Return the application as it is."""
    app = FastAPI()
    routes(app, is_wide=is_wide)
    return app


def contract() -> Any:
    """Return the changes as failsoft says them."""
    from failsoft.versions import Contract, Version, rename

    ops: list[list[Any]] = [[]]
    ops += [[rename(f"{s}.{old}", to=new)] for s, old, new in renames()]
    pairs = zip(VERSIONS, ops, strict=True)
    return Contract([Version(id_, *done) for id_, done in pairs])


def cadwyn(*, is_wide: bool = False) -> Any:
    """Return the application under Cadwyn, with the same changes."""
    from cadwyn import (  # type: ignore[import-not-found]
        Cadwyn,
        HeadVersion,
        Version,
        VersionBundle,
        VersionChange,
        VersionedAPIRouter,
        convert_request_to_next_version_for,
        schema,
    )

    models = {"Order": Order, "Item": Item}

    def change(at: int, owner: str, old: str, new: str) -> Any:
        had = schema(models[owner]).field(new).had(name=old)
        convert = convert_request_to_next_version_for(Order)(_renamed(owner, old, new))
        return type(
            f"Change{at}",
            (VersionChange,),
            {
                "description": f"{old} became {new}",
                "instructions_to_migrate_to_previous_version": (had,),
                f"convert{at}": convert,
            },
        )

    # Cadwyn applies instructions newest first, to the head's fields.
    versions = [
        Version(VERSIONS[at + 1], change(at, *one)) for at, one in enumerate(renames())
    ]
    bundle = VersionBundle(HeadVersion(), *reversed(versions), Version(VERSIONS[0]))
    app, router = Cadwyn(versions=bundle), VersionedAPIRouter()
    routes(router, is_wide=is_wide)
    app.generate_and_include_versioned_routers(router)
    return app


def _renamed(owner: str, old: str, new: str) -> Callable[[Any], None]:
    def convert(request: Any) -> None:
        nodes = request.body["items"] if owner == "Item" else [request.body]
        for node in nodes:
            if old in node:
                node[new] = node.pop(old)

    return convert
