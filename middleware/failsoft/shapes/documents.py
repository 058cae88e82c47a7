"""What changed between two OpenAPI documents, operation by operation.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from failsoft.shapes.diff import Difference, compare_nodes
from failsoft.shapes.graph import Node, Schemas
from failsoft.shapes.openapi import Operation, operations_of, referred

__all__ = ["Reader", "compare_documents"]

_PARAM = re.compile(r"{[^{}]*}")
_NOTHING: Mapping[str, Any] = {}


class Reader:
    """Reads one document's operations as nodes; the same schema, the same node."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        components = document.get("components") or _NOTHING
        self.schemas = Schemas(components.get("schemas") or {}, document=document)

    def referred(self, value: Any) -> Mapping[str, Any]:
        """Follow `$ref` of parameters, bodies, answers and headers."""
        return referred(value, self.document)

    def request(self, operation: Operation) -> Mapping[str, Any]:
        """Return the request body as the document has it, {} for none."""
        return self.referred(operation.body.get("requestBody"))

    def responses(self, operation: Operation) -> Mapping[str, Mapping[str, Any]]:
        """Return the answers by status, `default` and `2XX` included."""
        found = operation.body.get("responses") or _NOTHING
        return {str(status): self.referred(one) for status, one in found.items()}

    def parameters(
        self, operation: Operation
    ) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return query parameters and headers by (place, name); paths are keys."""
        listed = [
            *(operation.item.get("parameters") or ()),
            *(operation.body.get("parameters") or ()),
        ]
        found = {}
        for one in map(self.referred, listed):
            name = str(one.get("name", ""))
            place = str(one.get("in", ""))
            if place != "path":
                key = (place, name.lower() if place == "header" else name)
                found[key] = one
        return found

    def json_node(self, holder: Mapping[str, Any]) -> Node | None:
        """Return the schema of the JSON media type of a body, None without one."""
        for kind, media in (holder.get("content") or _NOTHING).items():
            if "json" in kind and isinstance(media.get("schema"), Mapping):
                return self.schemas.node(media["schema"])
        return None


def compare_documents(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> tuple[Difference, ...]:
    """Return what differs, in the order of the old document.

    old, new: OpenAPI 3.0 or 3.1.  Operations are matched by method and path, names
    of path parameters aside.  Differences in one named schema are told for each
    operation that uses it.  Raises DefinitionError for a reference that leads
    nowhere.
    """
    return tuple(_compare(Reader(old), Reader(new)))


def _compare(old: Reader, new: Reader) -> Iterator[Difference]:
    before = {_matched(one.key): one for one in operations_of(old.document)}
    after = {_matched(one.key): one for one in operations_of(new.document)}
    for key, operation in before.items():
        other = after.get(key)
        if other is None:
            how = "with" if operation.body.get("deprecated") else "without"
            yield Difference(
                f"api-removed-{how}-deprecation", operation.key, "operation"
            )
        else:
            yield from _Pair(old, new, operation, other).differences()
    for key, operation in after.items():
        if key not in before:
            yield Difference("endpoint-added", operation.key, "operation")


def _matched(key: str) -> str:
    return _PARAM.sub("{}", key)


class _Pair:
    """One operation in both documents."""

    def __init__(
        self, old: Reader, new: Reader, was: Operation, now: Operation
    ) -> None:
        self.old, self.new, self.was, self.now = old, new, was, now
        self.key = now.key

    def differences(self) -> Iterator[Difference]:
        if self.now.body.get("deprecated") and not self.was.body.get("deprecated"):
            yield Difference("endpoint-deprecated", self.key, "operation")
        yield from self._parameters()
        yield from self._request()
        yield from self._responses()

    def _parameters(self) -> Iterator[Difference]:
        before = self.old.parameters(self.was)
        after = self.new.parameters(self.now)
        for key, one in before.items():
            if key not in after:
                yield self._parameter("request-parameter-removed", key)
            else:
                yield from self._parameter_changed(key, one, after[key])
        for key, one in after.items():
            if key not in before:
                how = "required" if one.get("required") else "optional"
                yield self._parameter(f"new-{how}-request-parameter", key)

    def _parameter(self, rule: str, key: tuple[str, str], *sides: str) -> Difference:
        place, name = key
        return Difference(rule, self.key, "parameter", f"{place}/{name}", "", *sides)

    def _parameter_changed(
        self, key: tuple[str, str], was: Mapping[str, Any], now: Mapping[str, Any]
    ) -> Iterator[Difference]:
        before, after = bool(was.get("required")), bool(now.get("required"))
        if before != after:
            how = "required" if after else "optional"
            yield self._parameter(f"request-parameter-became-{how}", key)
        old = self.old.schemas.node(was.get("schema") or {})
        new = self.new.schemas.node(now.get("schema") or {})
        for one in compare_nodes(old, new, "request", self.key):
            # Texts: what counts is whether the old value is still understood.
            rule = one.id.replace("request-body", "request-parameter")
            rule = rule.replace("request-property", "request-parameter")
            if "nullable" not in rule:
                yield self._parameter(rule, key, one.was, one.now)

    def _request(self) -> Iterator[Difference]:
        before, after = self.old.request(self.was), self.new.request(self.now)
        if not before and not after:
            return
        if not before:
            how = "required" if after.get("required") else "optional"
            yield self._one(f"request-body-added-{how}", "request")
            return
        if not after:
            yield self._one("request-body-removed", "request")
            return
        was, now = bool(before.get("required")), bool(after.get("required"))
        if was != now:
            how = "required" if now else "optional"
            yield self._one(f"request-body-became-{how}", "request")
        yield from self._content(before, after, "request")

    def _responses(self) -> Iterator[Difference]:
        before, after = self.old.responses(self.was), self.new.responses(self.now)
        gone, came = _only(before, after), _only(after, before)
        if len(_successes(gone)) == len(_successes(came)) == 1:
            # A success that only changed its number still carries a body.
            old, new = _successes(gone)[0], _successes(came)[0]
            yield from self._content(before[old], after[new], "response")
        for status in (*before, *came):
            if status in before and status in after:
                yield from self._content(before[status], after[status], "response")
                yield from self._headers(before[status], after[status])
            else:
                which = "success" if status[:1] == "2" else "non-success"
                how = "removed" if status in before else "added"
                sides = (status, "") if status in before else ("", status)
                yield self._one(f"response-{which}-status-{how}", "response", *sides)

    def _content(
        self,
        was: Mapping[str, Any],
        now: Mapping[str, Any],
        section: Literal["request", "response"],
    ) -> Iterator[Difference]:
        what = (
            "request-body-media-type" if section == "request" else "response-media-type"
        )
        before = was.get("content") or _NOTHING
        after = now.get("content") or _NOTHING
        for kind in _only(before, after):
            yield self._one(f"{what}-removed", section, kind, "")
        for kind in _only(after, before):
            yield self._one(f"{what}-added", section, "", kind)
        old, new = self.old.json_node(was), self.new.json_node(now)
        if old is not None and new is not None:
            yield from compare_nodes(old, new, section, self.key)

    def _headers(
        self, was: Mapping[str, Any], now: Mapping[str, Any]
    ) -> Iterator[Difference]:
        after = {name.lower() for name in now.get("headers") or ()}
        for name, header in (was.get("headers") or _NOTHING).items():
            if name.lower() not in after:
                needed = self.old.referred(header).get("required")
                how = "required" if needed else "optional"
                yield self._one(f"{how}-response-header-removed", "response", name)

    def _one(
        self, rule: str, section: Literal["request", "response"], *sides: str
    ) -> Difference:
        return Difference(rule, self.key, section, "", "", *sides)


def _successes(statuses: Iterable[str]) -> list[str]:
    return [status for status in statuses if status[:1] == "2"]


def _only(some: Iterable[str], others: Iterable[str]) -> list[str]:
    found = set(others)
    return [one for one in some if one not in found]
