"""Which layer decides, in the order of the nodes, and which rule in it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failsoft.errors import Invalid, TargetGone
from failsoft.flags._files import sha8
from failsoft.flags.importers.flagd import read_flagd
from failsoft.ops.flagexplain import Explanation, context_of, explain, flag_buckets
from failsoft.ops.flagexport import export_flagd
from failsoft.ops.flaglint import lint_file, lint_store
from failsoft.ops.flagpromote import check_version, promoted
from failsoft.telemetry import FlagDef, ModeDef
from unit.ops.flagviews import (
    definitions_of,
    document,
    kill,
    mode,
    split_of,
    stored_set,
    view_of,
)

RULE = {"if": [{"==": [{"var": "user.tier"}, "gold"]}, "on"]}
FILED = FlagDef("a", "file", "", sha8="11111111", doc=document().decode())
CODED = FlagDef("a", "code", "true")
CALM = ModeDef("calm", "Calm", (), "", ("a",))


def explained(
    records: dict[str, bytes], *flags: FlagDef, context: dict[str, Any] | None = None
) -> Explanation:
    known = definitions_of(*flags, modes=(CALM,))
    return explain("a", context or {}, view_of(records, known), known)


def test_each_layer_gives_way_to_the_one_above() -> None:
    edit = {"flag/a": document(defaultVariant="on")}
    calm = edit | {"mode/calm": mode()}
    stopped = calm | {"kill/flag:*": kill()}

    found = [
        explained({}, CODED),
        explained({}, FILED),
        explained(edit, FILED),
        explained(calm, FILED),
        explained(stopped, FILED),
    ]

    assert [(one.layer, one.value, one.reason) for one in found] == [
        ("code", True, "DEFAULT"),
        ("file", False, "STATIC"),
        ("edit", True, "STATIC"),
        ("mode", False, "DISABLED"),
        ("kill", False, "KILLED"),
    ]


def test_a_kill_serves_its_variant_and_the_most_literal_kill_wins() -> None:
    records = {
        "flag/a": document(metadata={"x.kill": "off"}),
        "kill/flag:a": kill(variant="on"),
        "kill/flag:*": kill(),
    }

    found = explained(records)

    assert (found.value, found.variant) == (True, "on")
    assert found.lines[0].startswith("kill flag:a by")


def test_the_rule_that_holds_is_named_with_what_it_read() -> None:
    context = context_of({"user.tier": "gold"}, "u")

    found = explained({"flag/a": document(targeting=RULE)}, context=context)

    assert (found.variant, found.reason) == ("on", "TARGETING_MATCH")
    assert found.lines[-1] == "rule 1: targeting.if[0].== (user.tier = 'gold') holds"


def test_a_context_path_through_a_value_is_refused() -> None:
    with pytest.raises(Invalid, match=r"user of user\.tier is a value"):
        context_of({"user": 1, "user.tier": "gold"}, None)


def test_prerequisites_are_explained_by_the_same_layers() -> None:
    rule = {"if": [{"$flag": ["b", "on"]}, "on"]}
    records = {"flag/a": document(targeting=rule), "flag/b": document()}

    off = explained(records)
    on = explained(records | {"flag/b": document(defaultVariant="on")})

    assert (off.variant, on.variant) == ("off", "on")


def test_an_edit_over_an_older_file_and_a_broken_edit_are_told() -> None:
    older = document(metadata={"x.over": "00000000"})

    over = explained({"flag/a": older}, FILED)
    broken = explained({"flag/a": b'{"state":"ON"}'}, FILED)

    assert "overrides an older definition (file is now 11111111)" in over.lines[0]
    assert (broken.layer, broken.value) == ("file", False)
    assert broken.lines[0].startswith("edit cannot be used: flag:a state")


def test_disabled_serves_the_coded_default() -> None:
    found = explained({"flag/a": document(state="DISABLED")}, CODED)

    assert (found.layer, found.value, found.reason) == ("code", True, "DISABLED")


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(TargetGone, match="nearest: flag:pay"):
        explain("pai", {}, view_of({"flag/pay": document()}), definitions_of())


def test_buckets_are_those_of_the_document_served() -> None:
    rule = split_of(("on", 1), ("off", 1))
    view = view_of({"flag/a": document(targeting=rule)})

    (bucket,) = flag_buckets("a", "user-1", view, definitions_of())

    assert (bucket.version, bucket.total) == (3, 2)


def test_an_export_keeps_bytes_and_effective_adds_what_is_declared() -> None:
    odd = b'{ "state":"ENABLED" , "variants":{"on":true} }'
    stored = stored_set(
        **{"flag/b": odd, "evaluator/e": b"true", "kill/flag:b": kill()}
    )

    edits = export_flagd(stored, None, lossy=False)
    whole = export_flagd(stored, definitions_of(FILED), lossy=False)

    assert read_flagd(edits.file).flags == {"b": odd}
    assert read_flagd(whole.file).flags == {"b": odd, "a": document()}
    assert read_flagd(whole.file).evaluators == {"e": b"true"}


def test_evaluators_of_flags_files_are_known_until_the_store_has_one() -> None:
    ruled = document(targeting={"if": [{"$ref": "dach"}, "on"]})
    in_file = b'{"in":[{"var":"country"},["DE"]]}'
    release = msgspec.structs.replace(
        definitions_of(FlagDef("a", "file", "false", doc=ruled.decode())),
        evaluators=(("dach", in_file.decode()),),
    )

    filed = explain("a", {"country": "DE"}, view_of({}, release), release)
    edit = {"flag/a": ruled, "evaluator/dach": b"false"}
    edited = explain("a", {"country": "DE"}, view_of(edit, release), release)
    whole = export_flagd(stored_set(), release, lossy=False)

    assert (filed.value, filed.error) == (True, "")
    assert edited.value is False
    assert read_flagd(whole.file).evaluators == {"dach": in_file}


def test_an_export_refuses_what_flagd_has_not_and_warns_of_the_hash() -> None:
    records = {
        "flag/a": document(targeting={"if": [{"$flag": ["b", "on"]}, "on"]}),
        "flag/b": document(targeting=split_of(("on", 1), ("off", 1))),
        "flag/c": b'{"state":"ON"}',
    }

    with pytest.raises(Invalid, match=r"a use \$flag"):
        export_flagd(stored_set(**records), None, lossy=False)
    found = export_flagd(stored_set(**records), None, lossy=True)

    assert (found.count, [*read_flagd(found.file).flags]) == (1, ["b"])
    assert [note.partition(":")[0][:20] for note in found.notes] == [
        "left out, as no flag",
        "left out, as flagd h",
        "b split users by has",
    ]


def test_lint_names_faults_first_then_habits() -> None:
    round_trip = {"if": [{"$flag": ["b", "on"]}, "on"]}
    back = {"if": [{"$flag": ["a", "on"]}, "on"]}
    metadata = {"x.owner": "pay", "x.expires": "2020-01-01", "x.ownr": "x"}
    records = {
        "flag/a": document(targeting=round_trip, metadata=metadata),
        "flag/b": document(targeting=back, metadata={"x.owner": "pay"}),
        "flag/c": b'{"state":"ON"}',
        "flag/d": document(targeting={"$ref": "gone"}, metadata={"x.owner": "pay"}),
    }

    found = [
        (one.level, one.text) for one in lint_store(view_of(records), "2026-01-01")
    ]

    assert found == [
        ("error", "flag:a: prerequisites go round: a -> b -> a"),
        ("error", "flag:b: prerequisites go round: b -> a -> b"),
        ("error", "flag:c state: 'ON' must be ENABLED or DISABLED"),
        ("error", "flag:d: no evaluator gone"),
        ("warning", "flag:a metadata.x.expires: expired 2020-01-01"),
        ("warning", "flag:a metadata.x.ownr is not known"),
    ]


def test_lint_of_a_file_has_its_lines() -> None:
    file = read_flagd(b'{"flags":{\n"a":{"state":"ON"}}}', "f.json")

    (found,) = lint_file(file, "2026-01-01")

    assert (found.level, found.text[:21]) == ("error", "f.json line 2: flag:a")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            b'{"flags":{"z":{},"a":{"state":"x"}}}',
            b'{"flags":{"z":{},"a":' + document() + b"}}",
        ),
        (
            b'{"flags":[{"key":"a","state":"x"},{"key":"z"}]}',
            b'{"flags":[{"key": "a",' + document()[1:] + b',{"key":"z"}]}',
        ),
        (b'{"flags":{}}', b'{"flags":{"a":' + document() + b"}}"),
    ],
)
def test_promoting_touches_one_flag_of_the_file(file: bytes, expected: bytes) -> None:
    edit = document(metadata={"x.over": "00000000"})

    assert promoted(file, "f.json", "a", edit) == expected


def test_a_file_that_moved_on_is_not_overwritten() -> None:
    file = b'{"flags":{"a": ' + document() + b"}}"
    knew = document(metadata={"x.over": sha8(document())})
    older = document(defaultVariant="on", metadata={"x.over": "00000000"})

    check_version(file, "f.json", "a", knew)
    check_version(b'{"flags":{}}', "f.json", "a", older)
    with pytest.raises(Invalid, match="overrides an older definition") as caught:
        check_version(file, "f.json", "a", older)

    assert "default off -> on" in str(caught.value)


def test_promoting_into_an_indented_file_indents() -> None:
    file = b'{\n  "flags": {\n    "z": {}\n  }\n}\n'

    made = promoted(file, "f.json", "a", document())

    assert made.startswith(b'{\n  "flags": {\n    "z": {},\n    "a": {\n      "state"')
    assert read_flagd(made).parsed["a"].default == "off"
    with pytest.raises(Invalid, match="has no flags"):
        promoted(b"{}", "f.json", "a", document())


def test_lint_tells_habits_and_what_nodes_cannot_enforce() -> None:
    metadata = {"x.owner": "pay"}
    records = {
        "flag/a": document(state="DISABLED", metadata=metadata),
        "flag/b": document(defaultVariant=None, metadata=metadata),
        "flag/c": document(targeting=split_of(("on", 1)), metadata=metadata),
        "flag/d": document(targeting={"$flag": ["gone", "on"]}, metadata=metadata),
    }

    found = [one.text for one in lint_store(view_of(records), "2026-01-01")]

    assert [text.partition(" ")[0] for text in found] == [
        "flag:a",
        "flag:b",
        "flag:c",
        "flag:d:",
    ]
    assert "absent means 3, for ever" in found[2]
    assert "its prerequisite gone is not here" in found[3]


def test_a_chain_of_nine_prerequisites_is_an_error() -> None:
    records = {
        f"flag/f{n}": document(
            targeting={"if": [{"$flag": [f"f{n + 1}", "on"]}, "on"]},
            metadata={"x.owner": "pay"},
        )
        for n in range(10)
    }

    found = [one.text for one in lint_store(view_of(records), "2026-01-01")]

    assert found[0] == "flag:f0: more than 8 prerequisites in a row"


def test_an_effective_export_has_coded_booleans() -> None:
    found = export_flagd(stored_set(), definitions_of(CODED), lossy=False)

    assert read_flagd(found.file).parsed["a"].default == "on"
