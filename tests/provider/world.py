"""What a scenario works on: a node of failsoft, its provider, a client."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from typing import Any

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions
from openfeature.hook import Hook, HookContext

from asgi.eventually import eventually
from failsoft import Failsoft
from failsoft.openfeature import FailsoftProvider
from failsoft.store.protocols import Call, Change

DEAD = "redis://127.0.0.1:1/0"  # no server listens there
_ids = itertools.count()

TYPES: dict[str, Any] = {
    "Boolean": json.loads,
    "Integer": int,
    "Float": float,
    "String": str,
}
TYPES["Object"] = json.loads

# The suite writes its rules as expressions of another language.
RULES: dict[str, Any] = {
    "email == 'ballmer@macrosoft.com' ? 'zero' : ''": {
        "if": [{"==": [{"var": "email"}, "ballmer@macrosoft.com"]}, "zero"]
    },
    "!customer && email == 'ballmer@macrosoft.com' && age > 10 ? 'internal' : ''": {
        "if": [
            {
                "and": [
                    {"!": [{"var": "customer"}]},
                    {"==": [{"var": "email"}, "ballmer@macrosoft.com"]},
                    {">": [{"var": "age"}, 10]},
                ]
            },
            "internal",
        ]
    },
}


def flagd(found: Mapping[str, Any]) -> dict[str, Any]:
    """A flag of the suite, as a flagd document."""
    document = {
        "state": "DISABLED" if found.get("disabled") else "ENABLED",
        "variants": found["variants"],
        "defaultVariant": found.get("defaultVariant"),
    }
    if found.get("flagMetadata"):
        document["metadata"] = found["flagMetadata"]
    if found.get("contextEvaluator"):
        document["targeting"] = RULES[found["contextEvaluator"]]
    return document


async def put_flags(guarded: Failsoft, flags: Mapping[str, Any]) -> None:
    """Write flag documents, None to delete, and wait until they are served."""
    changes = tuple(
        Change("flag", name, "put", json=json.dumps(document).encode())
        if document
        else Change("flag", name, "del")
        for name, document in flags.items()
    )
    call = Call(f"provider-{next(_ids)}", "ana", "test", changes)
    answer = await guarded.runtime.store.apply(call)
    await eventually(lambda: guarded.runtime.snapshot.revision >= answer.revision)


class Seen(Hook):
    """Notes the stages it is called at.  adds: what `before` puts in the context."""

    def __init__(
        self, notes: list[tuple[str, str, Any]], name: str = "", adds: Any = None
    ) -> None:
        self.notes, self.name, self.adds = notes, name, adds

    def before(self, hook_context: HookContext, hints: Any) -> Any:
        self.notes.append(("before", self.name, None))
        return EvaluationContext(attributes=self.adds) if self.adds else None

    def after(self, hook_context: HookContext, details: Any, hints: Any) -> None:
        self.notes.append(("after", self.name, details))

    def error(
        self, hook_context: HookContext, exception: Exception, hints: Any
    ) -> None:
        self.notes.append(("error", self.name, exception))

    def finally_after(
        self, hook_context: HookContext, details: Any, hints: Any
    ) -> None:
        self.notes.append(("finally", self.name, details))


class World:
    """One scenario's node, provider and client, and what was asked of them."""

    def __init__(self) -> None:
        self.guarded: list[Failsoft] = []
        self.waiting: list[asyncio.Task[Failsoft]] = []
        self.key = ""
        self.type = ""
        self.default: Any = None
        self.context: dict[str, Any] = {}
        self.levels: dict[str, dict[str, Any]] = {}
        self.options: FlagEvaluationOptions | None = None
        self.notes: list[tuple[str, str, Any]] = []
        self.details: FlagEvaluationDetails[Any]
        self.client = OpenFeatureClient(None, None)

    async def start(self, **settings: Any) -> Failsoft:
        """Start a node; on the memory store unless told otherwise."""
        guarded = Failsoft(_nothing, **settings)
        self.guarded.append(guarded)
        await guarded.runtime.ensure()
        return guarded

    async def stable(self, flags: Mapping[str, Any]) -> None:
        await put_flags(await self.start(), flags)
        api.set_provider_and_wait(FailsoftProvider())

    async def starting(self, **store: Any) -> None:
        """Register a provider while the node waits for a store that is not there."""
        start = self.start(store={"url": DEAD, "start_deadline": "30s", **store})
        self.waiting.append(asyncio.create_task(start))
        await asyncio.sleep(0)  # it is the process's node now
        api.set_provider(FailsoftProvider())

    async def without_controls(self, **store: Any) -> None:
        """Register a provider, then wait for the node to start without controls."""
        await self.starting(start_deadline="20ms", **store)
        before = self.client.get_provider_status()
        await eventually(lambda: self.client.get_provider_status() is not before)

    def ask(self) -> FlagEvaluationDetails[Any]:
        method = getattr(self.client, f"get_{self.type.lower()}_details")
        context = EvaluationContext(attributes=self.context)
        details: FlagEvaluationDetails[Any] = method(
            self.key, self.default, context, self.options
        )
        return details

    async def end(self) -> None:
        api.shutdown()
        for task in self.waiting:
            task.cancel()
        await asyncio.gather(*self.waiting, return_exceptions=True)
        for guarded in self.guarded:
            await guarded.runtime.stop()


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no request is made here")
