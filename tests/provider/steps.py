"""The steps of the OpenFeature specification's feature files."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationOptions
from openfeature.transaction_context import ContextVarsTransactionContextPropagator

from failsoft.events import Swapped, tell
from provider.features import FOLDER, Table, step
from provider.world import TYPES, Seen, World, flagd, put_flags

# The old suite asks for a flag that the flags beside it no longer hold.
CONTEXT_AWARE = {
    "state": "ENABLED",
    "variants": {"internal": "INTERNAL", "external": "EXTERNAL"},
    "defaultVariant": "external",
    "targeting": {
        "if": [
            {
                "and": [
                    {"==": [{"var": "fn"}, "Sulisław"]},
                    {"==": [{"var": "ln"}, "Świętopełk"]},
                    {"==": [{"var": "age"}, 29]},
                    {"==": [{"var": "customer"}, False]},
                ]
            },
            "internal",
        ]
    },
}


def flags() -> dict[str, Any]:
    found = json.loads((FOLDER / "test-flags.json").read_text())
    return {
        **{name: flagd(flag) for name, flag in found.items()},
        "context-aware": CONTEXT_AWARE,
    }


def typed(name: str, text: str) -> Any:
    return TYPES[name.capitalize()](text)


# --- providers ---------------------------------------------------------------


@step("a stable provider")
@step("a stable provider with retrievable context is registered")
async def _(world: World) -> None:
    await world.stable(flags())


@step("a not ready provider")
async def _(world: World) -> None:
    await world.starting()


@step("a error provider")
async def _(world: World) -> None:
    await world.without_controls()


@step("a fatal provider")
async def _(world: World) -> None:
    await world.without_controls(require=True)


@step("a stale provider")
def _(world: World) -> None:
    runtime = world.guarded[-1].runtime
    tell(Swapped(runtime, "stale", runtime.flags))


@step('the provider status should be "{}"')
def _(world: World, status: str) -> None:
    assert world.client.get_provider_status().value == status


# --- what is asked -----------------------------------------------------------


@step('a {}-flag with key "{}" and a fallback value "{}"')
def _(world: World, kind: str, key: str, default: str) -> None:
    world.type, world.key, world.default = kind, key, typed(kind, default)


@step('a context containing a key "{}", with type "{}" and with value "{}"')
def _(world: World, key: str, kind: str, value: str) -> None:
    world.context[key] = typed(kind, value)


@step('a context containing a key "{}" with null value')
def _(world: World, key: str) -> None:
    world.context[key] = None


@step("the flag was evaluated with details")
@step("the flag was evaluated with details using the evaluation options")
def _(world: World) -> None:
    world.details = world.ask()


@step("the flag was evaluated with details asynchronously")
def _(world: World) -> None:
    method = getattr(world.client, f"get_{world.type.lower()}_details_async")
    work = method(world.key, world.default, EvaluationContext(None, world.context))
    # Run to its end in one step: it never has to wait for anything.
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    world.details = ended.value.value


@step("the evaluation should complete without blocking")
def _(world: World) -> None:
    assert world.details.error_code is None


# --- what is answered --------------------------------------------------------


@step('the resolved details value should be "{}"')
def _(world: World, value: str) -> None:
    expected = typed(world.type, value)
    assert world.details.value == expected
    assert type(world.details.value) is type(expected)


@step('the reason should be "{}"')
def _(world: World, reason: str) -> None:
    assert world.details.reason == reason


@step('the error-code should be "{}"')
def _(world: World, code: str) -> None:
    assert world.details.error_code == code


@step('the variant should be "{}"')
def _(world: World, variant: str) -> None:
    assert world.details.variant == variant


@step('the flag key should be "{}"')
def _(world: World, key: str) -> None:
    assert world.details.flag_key == key


@step("the resolved metadata should contain")
def _(world: World, table: Table) -> None:
    expected = {key: typed(kind, value) for key, kind, value in table[1:]}
    assert dict(world.details.flag_metadata) == expected


@step("the resolved metadata is empty")
def _(world: World) -> None:
    assert not world.details.flag_metadata


# --- hooks and options -------------------------------------------------------


@step("a client with added hook")
def _(world: World) -> None:
    world.client.add_hooks([Seen(world.notes)])


@step('the "{}" hook should have been executed')
def _(world: World, stage: str) -> None:
    assert stage in [noted for noted, _, _ in world.notes]


@step('the "{}" hooks should be called with evaluation details')
def _(world: World, stages: str, table: Table) -> None:
    expected = {
        key: None if value == "null" else typed(kind, value)
        for kind, key, value in table[1:]
    }
    for stage in stages.split(", "):
        given = [details for noted, _, details in world.notes if noted == stage]
        assert len(given) == 1
        assert {key: getattr(given[0], key) for key in expected} == expected


@step("evaluation options containing specific hooks")
def _(world: World) -> None:
    hooks = [Seen(world.notes, name) for name in ("one", "two")]
    world.options = FlagEvaluationOptions(hooks=list(hooks))


@step("the specified hooks should execute during evaluation")
def _(world: World) -> None:
    assert {name for _, name, _ in world.notes} == {"one", "two"}


@step("the hook order should be maintained")
def _(world: World) -> None:
    order = [(stage, name) for stage, name, _ in world.notes]
    before = [("before", "one"), ("before", "two")]
    after = [("after", "two"), ("after", "one")]
    assert order == [*before, *after, ("finally", "two"), ("finally", "one")]


@step("an evaluation context with modifiable data")
def _(world: World) -> None:
    world.context = {"roles": ["a"], "plan": {"name": "gold"}}


@step("the original evaluation context should remain unmodified")
def _(world: World) -> None:
    assert world.context == {"roles": ["a"], "plan": {"name": "gold"}}


@step("the evaluation details should be immutable")
def _(world: World) -> None:
    # The details are the SDK's; what failsoft puts into them can change nothing.
    world.key = "metadata-flag"
    metadata: Any = world.ask().flag_metadata
    with pytest.raises(TypeError):
        metadata["string"] = "changed"
    world.type, world.key, world.default = "Object", "object-flag", {}
    world.ask().value["title"] = "changed"
    assert world.ask().value["title"] == "Check out these pics!"


# --- the levels of the context -----------------------------------------------


@step('A context entry with key "{}" and value "{}" is added to the "{}" level')
def _(world: World, key: str, value: str, level: str) -> None:
    world.levels.setdefault(level, {})[key] = value


@step("A table with levels of increasing precedence")
def _(world: World, table: Table) -> None:
    world.levels = {level: {} for (level,) in table}


@step(
    "Context entries for each level from API level down to the "
    '"{}" level, with key "{}" and value "{}"'
)
def _(world: World, last: str, key: str, value: str) -> None:
    for level, entries in world.levels.items():
        entries[key] = level
        if level == last:
            break


@step("Some flag was evaluated")
def _(world: World) -> None:
    found = {name: EvaluationContext(None, kv) for name, kv in world.levels.items()}
    nothing = EvaluationContext()
    api.set_evaluation_context(found.get("API", nothing))
    api.set_transaction_context_propagator(ContextVarsTransactionContextPropagator())
    api.set_transaction_context(found.get("Transaction", nothing))
    world.client.context = found.get("Client", nothing)
    world.context = world.levels.get("Invocation", {})
    world.client.add_hooks([Seen(world.notes, "", world.levels.get("Before Hooks"))])
    world.type, world.key, world.default = "Boolean", "boolean-flag", False
    world.details = world.ask()


@step('The merged context contains an entry with key "{}" and value "{}"')
async def _(world: World, key: str, value: str) -> None:
    # Asked of a rule: that is where the context has to arrive.
    rule = {"if": [{"===": [{"var": key}, value]}, "yes", "no"]}
    variants = {"yes": True, "no": False}
    asks = {"state": "ENABLED", "variants": variants, "targeting": rule}
    await put_flags(world.guarded[-1], {"merged": asks})
    world.key = "merged"
    assert world.ask().variant == "yes"


# --- the old suite -----------------------------------------------------------


def asked(world: World, kind: str, key: str, default: str) -> None:
    world.type, world.key = kind, key
    world.default = typed(kind, default.strip('"'))
    world.details = world.ask()


@step('a {} flag with key "{}" is evaluated with default value {}')
@step('a {} flag with key "{}" is evaluated with details and default value {}')
@step('an {} flag with key "{}" is evaluated with default value {}')
@step('an {} flag with key "{}" is evaluated with details and default value {}')
@step(
    'a non-existent {} flag with key "{}" is evaluated with details and a fallback value {}'  # noqa: E501 - as it is written there
)
def _(world: World, kind: str, key: str, default: str) -> None:
    asked(world, kind, key, default)


@step('an object flag with key "{}" is evaluated with a null default value')
@step('an object flag with key "{}" is evaluated with details and a null default value')
def _(world: World, key: str) -> None:
    asked(world, "object", key, "null")


@step('a flag with key "{}" is evaluated with default value {}')
def _(world: World, key: str, default: str) -> None:
    asked(world, "string", key, default)


@step(
    'a string flag with key "{}" is evaluated as an integer, with details and a fallback value {}'  # noqa: E501 - as it is written there
)
def _(world: World, key: str, default: str) -> None:
    asked(world, "integer", key, default)


@step("the resolved {} value should be {}")
@step("the resolved {} response should be {}")
def _(world: World, kind: str, value: str) -> None:
    assert world.details.value == typed(kind, value.strip('"'))


@step(
    'the resolved {} details value should be {}, the variant should be "{}", and the reason should be "{}"'  # noqa: E501 - as it is written there
)
def _(world: World, kind: str, value: str, variant: str, reason: str) -> None:
    assert world.details.value == typed(kind, value.strip('"'))
    assert (world.details.variant, world.details.reason) == (variant, reason)


@step("the resolved object value should be contain fields {}, with values {}")
@step("the resolved object details value should be contain fields {}, with values {}")
def _(world: World, fields: str, values: str) -> None:
    names = re.findall('"([^"]*)"', fields)
    text = re.fullmatch('"(.*)", "(.*)" and (.*), respectively', values)
    assert text is not None
    shown, title, count = text.groups()
    expected = (json.loads(shown), title, int(count))
    assert world.details.value == dict(zip(names, expected, strict=True))


@step('the variant should be "{}", and the reason should be "{}"')
def _(world: World, variant: str, reason: str) -> None:
    assert (world.details.variant, world.details.reason) == (variant, reason)


@step("context contains keys {} with values {}")
def _(world: World, keys: str, values: str) -> None:
    names = re.findall('"([^"]*)"', keys)
    found = [json.loads(value) for value in values.split(", ")]
    world.context = dict(zip(names, found, strict=True))
    world.context["customer"] = world.context["customer"] == "true"


@step('the resolved flag value is "{}" when the context is empty')
def _(world: World, value: str) -> None:
    world.context = {}
    assert world.ask().value == value


@step("the default {} value should be returned")
def _(world: World, kind: str) -> None:
    assert world.details.value == world.default


@step(
    'the reason should indicate an error and the error code should indicate a {} with "{}"'  # noqa: E501 - as it is written there
)
def _(world: World, what: str, code: str) -> None:
    assert (world.details.reason, world.details.error_code) == ("ERROR", code)
