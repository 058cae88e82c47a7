"""Which layer gives a flag its value, and what holds where none does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from failsoft import Flag
from failsoft.controls.records import KillDoc, Record
from failsoft.errors import DefinitionError, FlagUnavailable
from failsoft.flags import (
    FlagDetails,
    FlagState,
    aged,
    check_flags,
    compile_flags,
    evaluate,
)
from failsoft.flags._definitions import (
    IN_CODE,
    NO_FILES,
    FileLayer,
    FlagDefinitions,
)
from failsoft.flags._evaluate import Override
from failsoft.flags._files import join_files, read_document
from failsoft.settings import FlagDeclaration, FlagSettings

VARIANTS = {"on": True, "off": False}


@pytest.fixture(autouse=True)
def nothing_in_code() -> Iterator[None]:
    before = dict(IN_CODE)
    IN_CODE.clear()
    yield
    IN_CODE.clear()
    IN_CODE.update(before)


def doc(default: str | None = "on", **fields: Any) -> dict[str, Any]:
    variants = fields.pop("variants", VARIANTS)
    flag = {"state": "ENABLED", "variants": variants, "defaultVariant": default}
    return {**flag, **fields}


def edit(key: str, found: dict[str, Any], kind: str = "flag") -> Record:
    return Record(kind, key, 3, 0, 0, msgspec.json.encode(found))


def kill(target: str, **fields: Any) -> Record:
    found = KillDoc("ana", "test", **fields)
    return Record("kill", target, 2, 0, 0, msgspec.json.encode(found))


def filed(flags: dict[str, Any], evaluators: Any = None) -> FileLayer:
    tree = {"flags": flags, "$evaluators": evaluators or {}}
    return join_files([read_document("flags.json", msgspec.json.encode(tree))])


def state_of(
    *records: Record,
    files: FileLayer = NO_FILES,
    disabled: tuple[str, ...] = (),
    overrides: dict[str, Override] | None = None,
    **settings: Any,
) -> FlagState:
    definitions = FlagDefinitions(FlagSettings(**settings), files)
    by_key = {(record.kind, record.name): record for record in records}
    state = compile_flags(7, by_key, {}, disabled, None, definitions)
    return replace(state, overrides=overrides or {})


def story(state: FlagState, key: str = "f", default: Any = "coded") -> Any:
    found = evaluate(state, key, default, None)
    return found.value, found.reason


def test_layers_win_in_order() -> None:
    colours = {name: name for name in ("killed", "edit", "file")}

    def colour(name: str) -> dict[str, Any]:
        return doc(name, variants=colours)

    by_kill = kill("flag:f", variant="killed")
    by_edit, by_test = edit("f", colour("edit")), {"f": Override("test")}
    files = filed({"f": colour("file")})
    killed = state_of(by_kill, by_edit, files=files, disabled=("f",), overrides=by_test)
    tested = state_of(by_edit, files=files, disabled=("f",), overrides=by_test)
    disabled = state_of(by_edit, files=files, disabled=("f",))
    edited = state_of(by_edit, files=files)
    from_file = state_of(files=files)

    assert [
        story(state) for state in (killed, tested, disabled, edited, from_file)
    ] == [
        ("killed", "KILLED"),
        ("test", "OVERRIDE"),
        ("coded", "DISABLED"),
        ("edit", "STATIC"),
        ("file", "STATIC"),
    ]
    assert story(state_of()) == ("coded", "DEFAULT")


def test_a_kill_serves_the_off_variant_of_a_file() -> None:
    files = filed({"f": doc("on", metadata={"x.kill": "off"})})

    assert story(state_of(kill("flag:*"), files=files), default=True) == (
        False,
        "KILLED",
    )


def test_a_bad_edit_leaves_the_file_in_force() -> None:
    state = state_of(edit("f", {"state": "odd"}), files=filed({"f": doc("on")}))

    assert (story(state, default=False), state.bad) == ((True, "STATIC"), ("f",))


def test_a_record_of_an_evaluator_beats_that_of_a_file() -> None:
    targeting = {"if": [{"$ref": "is_vip"}, "on", "off"]}
    files = filed(
        {"f": doc("off", targeting=targeting)},
        {"is_vip": {"==": [{"var": "tier"}, "gold"]}},
    )
    over = edit("is_vip", {"==": [{"var": "tier"}, "iron"]}, kind="evaluator")

    def gold(state: FlagState) -> Any:
        return evaluate(state, "f", False, None, lambda: {"tier": "gold"}).value

    assert (gold(state_of(files=files)), gold(state_of(over, files=files))) == (
        True,
        False,
    )


def test_a_flag_that_cannot_be_compiled_holds_no_other_control_up() -> None:
    class Unreadable(dict[str, bytes]):
        def __getitem__(self, name: str) -> bytes:
            raise ValueError("unreadable")

    bad = edit("bad", doc("on", targeting={"if": [{"$ref": "any"}, "on"]}))

    state = state_of(
        bad, edit("f", doc("on")), files=FileLayer(evaluators=Unreadable())
    )

    assert (story(state, default=False), state.bad) == ((True, "STATIC"), ("bad",))
    assert "cannot be compiled (ValueError: unreadable)" in state.kept.bad["bad"]


def test_prerequisites_reach_flags_of_files_and_overrides() -> None:
    files = filed({"base": doc("off")})
    asking = edit("f", doc("off", targeting={"if": [{"$flag": ["base", "on"]}, "on"]}))

    plain = state_of(asking, files=files)
    tested = state_of(asking, files=files, overrides={"base": Override(True)})

    assert [story(s, default=False)[0] for s in (plain, tested)] == [False, True]


def test_prerequisites_in_a_circle_are_refused_with_the_chain() -> None:
    def asks(key: str) -> dict[str, Any]:
        return doc("on", targeting={"if": [{"$flag": [key, "on"]}, "on"]})

    state = state_of(edit("a", asks("b")), edit("b", asks("c")), edit("c", asks("a")))

    assert set(state.bad) == {"a", "b", "c"}
    assert "a -> b -> c -> a" in state.kept.bad["a"]
    assert story(state, "a", False) == (False, "ERROR")


def test_an_edit_over_another_version_of_the_file_says_so() -> None:
    old, new = filed({"f": doc("off")}), filed({"f": doc("on")})
    over = edit("f", doc("off", metadata={"x.over": old.digests["f"]}))

    told = [
        evaluate(state_of(over, files=files), "f", True, None).warning
        for files in (old, new, FileLayer())
    ]

    assert told == ["", "overrides an older definition", ""]


def test_a_flag_of_a_file_is_bad_until_its_evaluator_or_the_flag_itself_changes() -> (
    None
):
    asking = {"f": doc("off", targeting={"if": [{"$ref": "nobody"}, "on"]})}
    first = state_of(files=filed(asking))

    def then(files: FileLayer) -> FlagState:
        definitions = FlagDefinitions(FlagSettings(), files)
        return compile_flags(8, {}, {}, (), first, definitions)

    assert first.kept.bad == {"f": "flag:f: no evaluator nobody"}
    assert then(filed(asking, {"nobody": {"==": [1, 1]}})).bad == ()
    assert then(filed({})).bad == ()


def test_operators_are_told_of_bad_edits_and_bad_files() -> None:
    files = join_files(
        [read_document("flags.json", b'{"flags": {"g": {"state": "odd"}}}')]
    )
    state = state_of(edit("f", {"state": "odd"}), files=files)

    assert state.bad_targets() == (
        "flag:f",
        "flags.json line 1: flag:g state: 'odd' must be ENABLED or DISABLED",
    )


# --- fail policies -----------------------------------------------------------

OFF = {"x.kill": "down"}
POLICIES = [
    # policy, never seen, too old
    ("last_known", ("coded", "DEFAULT"), ("up", "STALE")),
    ("default", ("coded", "DEFAULT"), ("coded", "STALE")),
    ("off", ("coded", "DEFAULT"), ("low", "STALE")),
    ("refuse", None, None),
]


def outcome(state: FlagState, default: Any = "coded") -> Any:
    try:
        return story(state, default=default)
    except FlagUnavailable:
        return None


@pytest.mark.parametrize(("policy", "unseen", "old"), POLICIES)
def test_each_fail_policy_does_as_the_table_says(
    policy: str, unseen: Any, old: Any
) -> None:
    variants = {"up": "up", "down": "low"}
    known = edit("f", doc("up", variants=variants, metadata=OFF))
    fresh = state_of(known, default_fail=policy)

    assert story(fresh) == ("up", "STATIC")
    assert outcome(state_of(default_fail=policy)) == unseen
    assert outcome(aged(fresh, 3601)) == old


def test_off_is_false_for_a_boolean_nobody_knows() -> None:
    assert story(state_of(default_fail="off"), default=True) == (False, "DEFAULT")


def test_a_rule_that_is_too_old_keeps_its_value() -> None:
    rule = {"if": [{"==": [{"var": "tier"}, "gold"]}, "on", None]}
    state = aged(state_of(edit("f", doc("off", targeting=rule))), 4000)

    found = [
        evaluate(state, "f", False, None, lambda tier=tier: {"tier": tier})  # type: ignore[misc]
        for tier in ("gold", "free")
    ]

    assert [(d.value, d.reason) for d in found] == [(True, "STALE"), (False, "STALE")]


def test_code_wins_over_the_document_and_that_over_the_setting() -> None:
    known = edit("f", doc("on", metadata={"x.fail": "off"}))
    declared = {"f": FlagDeclaration(False, fail="refuse")}

    def served(**settings: Any) -> Any:
        return outcome(aged(state_of(known, **settings), 4000), False)

    by_document = served(default_fail="default")
    by_settings = served(declare=declared)
    Flag("f", False, fail="last_known")
    by_code = served(declare=declared)

    assert (by_document, by_settings, by_code) == (
        (False, "STALE"),
        None,
        (True, "STALE"),
    )


def test_a_flag_without_default_variant_is_told_stale_too() -> None:
    state = aged(state_of(edit("f", doc(None))), 4000)

    assert story(state) == ("coded", "STALE")


def test_a_flag_has_its_own_age_limit() -> None:
    short = edit("f", doc("on", metadata={"x.max_stale": 60}))
    state = state_of(short, edit("g", doc("on")), default_fail="default")

    state = aged(state, 61)

    assert [story(state, key, False) for key in "fg"] == [
        (False, "STALE"),
        (True, "STATIC"),
    ]


def test_age_makes_no_new_state_unless_it_matters() -> None:
    state = state_of(edit("f", doc("on")))
    old = aged(state, 4000)

    assert aged(state, 3599) is state
    assert aged(old, 9000) is old
    assert story(aged(old, 0), default=False) == (True, "STATIC")


def test_a_kill_holds_however_old_it_is() -> None:
    state = aged(state_of(kill("flag:f"), default_fail="refuse"), 9999)

    assert story(state, default=True) == (False, "KILLED")


# --- undeclared keys ---------------------------------------------------------


def test_undeclared_keys_may_be_refused() -> None:
    Flag("in.code", False)
    state = state_of(
        edit("edited", doc("on")),
        files=filed({"in.file": doc("on")}),
        declare={"in.settings": FlagDeclaration(False)},
        undeclared="refuse",
    )

    for key in ("in.code", "in.file", "in.settings"):
        evaluate(state, key, False, None)
    with pytest.raises(FlagUnavailable, match="flag edited is not declared; declare"):
        evaluate(state, "edited", False, None)


@pytest.mark.parametrize("date", ["soon", "2027-02-30", 2027, "2027-1-1"])
def test_a_date_of_expiry_must_be_one(date: object) -> None:
    state = state_of(edit("f", doc(metadata={"x.expires": date})))

    assert f"flag:f metadata.x.expires: {date!r} is no date" in state.kept.bad["f"]


# --- failsoft.Flag -----------------------------------------------------------


def test_a_flag_says_what_it_is() -> None:
    flag = Flag("f", "red", fail="off", owner="pay", expires="2027-01-31")

    assert flag() == "red"
    assert IN_CODE["f"] == FlagDeclaration("red", "off", "pay", "2027-01-31")
    assert repr(flag) == "Flag('f', default='red')"


ALONE = """
import threading
import failsoft
lenient = failsoft.Flag("lenient", default=True)
asked = failsoft.flag("strict", True)
strict = failsoft.Flag("strict", default=True, fail="refuse")
details = lenient.details()
print(asked, details.value, details.error, threading.active_count())
try:
    strict()
except failsoft.FailsoftError as error:
    print(error)
"""


def test_without_a_runtime_code_gets_defaults_and_its_fail_policies() -> None:
    command = [sys.executable, "-c", ALONE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [
        "True True PROVIDER_NOT_READY 1",
        "flag strict has no value: never seen",
    ]
    assert done.stderr.count("asked before failsoft started") == 1


def test_all_faults_of_a_flag_are_named() -> None:
    for key in ("", "two words", "line\nbreak", "lone\ud800", "k" * 201, 7):
        with pytest.raises(DefinitionError, match="the key must be text"):
            Flag(key, False)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="20270131' is no date; write \"2027-"):
        Flag("f", False, expires="20270131")
    with pytest.raises(DefinitionError) as caught:
        Flag("f", [], fail="of", owner=5, expires="soon")  # type: ignore[arg-type, type-var]

    assert caught.value.findings == [
        "failsoft.Flag('f'): the default must be a boolean, number, text or dict",
        "failsoft.Flag('f'): fail = 'of' must be one of last_known, default, off, "
        "refuse",
        "failsoft.Flag('f'): owner = 5 must be text",
        "failsoft.Flag('f'): expires = 'soon' is no date; write \"2027-01-31\"",
    ]


# --- values ------------------------------------------------------------------


def test_an_object_is_a_copy_each_time() -> None:
    nested = {"limits": {"items": [1, 2]}}
    state = state_of(edit("f", doc("a", variants={"a": nested})))

    first: FlagDetails = evaluate(state, "f", {}, None)
    first.value["limits"]["items"].append(3)

    assert evaluate(state, "f", {}, None).value == nested


@pytest.mark.parametrize("key", ["\ud800", "a\ud800b"])
def test_a_lone_surrogate_is_a_key_like_any_other(key: str) -> None:
    rule = {"fractional": [["on", 50], ["off", 50]]}
    state = state_of(edit("f", doc("off", targeting=rule)))

    assert evaluate(state, "f", True, key).value is False
    assert story(state, key) == ("coded", "DEFAULT")


class Interrupted(dict[Any, Any]):
    """Controls; whenever they are asked for a key, a thread evaluates another flag."""

    thread: Any = None

    def __contains__(self, key: object) -> bool:
        if self.thread is not None:
            self.thread()
        return super().__contains__(key)


def test_flags_that_threads_ask_for_meanwhile_hold_no_change_up() -> None:
    asking = {"if": [{"$flag": ["base", "on"]}, "on", "off"]}
    records = [edit(f"f{n}", doc("off", targeting=asking)) for n in range(60)]
    before = state_of(*records, edit("gone", doc()))
    evaluate(before, "f0", False, None)
    others = iter(range(1, 60))
    after = Interrupted({("flag", record.name): record for record in records})
    after.thread = lambda: evaluate(before, f"f{next(others, 0)}", False, None)

    state = compile_flags(8, after, {}, (), before, before.definitions)

    assert (story(before, "f1", True), state.revision) == (
        (False, "TARGETING_MATCH"),
        8,
    )


def test_a_control_that_ends_leaves_the_flags_of_files_as_known() -> None:
    asking = {"if": [{"$flag": ["base", "on"]}, "on", "off"]}
    files = filed(
        {
            "asks": doc("off", targeting=asking),
            "bad": doc("on", targeting={"if": [{"$ref": "nowhere"}, "on"]}),
        }
    )
    base = edit("base", doc("on"))
    before = state_of(kill("flag:other"), base, files=files)
    evaluate(before, "asks", False, None)

    after = compile_flags(
        8, {("flag", "base"): base}, {}, (), before, before.definitions
    )

    assert (before.bad, after.bad) == (("bad",), ("bad",))
    assert after.kept.asking == {"asks"}


def test_each_of_many_flags_has_its_own_age_limit() -> None:
    records = [
        edit(f"f{n}", doc(metadata={"x.max_stale": 1000 + n, "x.fail": "off"}))
        for n in range(200)
    ]
    state = state_of(*records)
    while check_flags(state, 50):
        pass

    served = []
    for n in range(200):
        state = aged(state, 1000.5 + n)
        served += [evaluate(state, f"f{at}", True, None).value for at in (n, 199)]

    assert served == [False, True] * 199 + [False, False]
