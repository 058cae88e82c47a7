"""Which flags are named as changed between two revisions."""

from __future__ import annotations

from typing import Any

import msgspec

from failsoft.controls.records import KillDoc, Record
from failsoft.flags import FlagState, changed_flags, compile_flags, evaluate
from failsoft.flags._definitions import FileLayer, FlagDefinitions

VARIANTS = {"on": True, "off": False}


def document(targeting: Any = None, default: str = "on") -> bytes:
    flag = {"state": "ENABLED", "variants": VARIANTS, "defaultVariant": default}
    return msgspec.json.encode({**flag, "targeting": targeting})


def state_of(
    before: FlagState | None = None,
    /,
    files: dict[str, bytes] | None = None,
    evaluators: dict[str, bytes] | None = None,
    **controls: bytes,
) -> FlagState:
    """Flags after `before`; controls: `kind_name` -> JSON."""
    records = {}
    for name, json in controls.items():
        key = (name.split("_")[0], name.split("_")[1].replace("star", "flag:a*"))
        records[key] = Record(*key, 1, 0, 0, json)
    layer = FileLayer(
        {k: Record("flag", k, 0, 0, 0, json) for k, json in (files or {}).items()},
        evaluators or {},
        {k: str(hash(json)) for k, json in (files or {}).items()},
    )
    definitions = FlagDefinitions(files=layer)
    return compile_flags(1, records, {}, (), before, definitions)


def test_what_is_equal_is_not_named() -> None:
    first = state_of(flag_a=document(), files={"b": document()})

    second = state_of(first, flag_a=document(), files={"b": document()})

    assert changed_flags(first, second) == set()


def test_edits_files_and_removals_are_named() -> None:
    first = state_of(flag_a=document(), flag_b=document(), files={"c": document()})

    second = state_of(
        first, flag_a=document(default="off"), files={"c": document({"!": 1})}
    )

    assert changed_flags(first, second) == {"a", "b", "c"}


def test_a_kill_names_what_it_covers_in_every_layer() -> None:
    files = {"a2": document()}
    first = state_of(flag_a1=document(), flag_b=document(), files=files)
    kill = msgspec.json.encode(KillDoc("ana", "INC-1"))

    second = state_of(
        first, flag_a1=document(), flag_b=document(), files=files, kill_star=kill
    )

    assert changed_flags(first, second, {"a3", "c"}) == {"a1", "a2", "a3"}


def test_an_evaluator_names_its_users_and_theirs() -> None:
    uses = document({"if": [{"$ref": "who"}, "on", "off"]})
    asks = document({"if": [{"$flag": ["a", "on"]}, "on", "off"]})
    docs: Any = {"flag_a": uses, "flag_b": asks, "flag_c": document()}
    first = state_of(evaluator_who=b"true", **docs)
    evaluate(first, "b", False, None)

    second = state_of(first, evaluator_who=b"false", **docs)

    assert changed_flags(first, second) == {"a", "b"}
