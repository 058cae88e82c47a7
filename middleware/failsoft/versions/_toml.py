"""A contract of settings: the same ops as in Python, one key each.

    [[version]]
    id = "2025-06-01"
    rename = { "Order.email" = "customer_email" }
    split = { "Customer.name" = { into = ["first", "last"], sep = " " } }
    gone = { "GET /legacy/{id}" = "https://docs.example/moved" }

A place in one route's body is written `GET /orders/{id} response /items/*/colour`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from failsoft.errors import DefinitionError
from failsoft.settings import VersionsSettings
from failsoft.versions import _words as words
from failsoft.versions._model import (
    Body,
    Brownout,
    Contract,
    Header,
    MediaTypeParam,
    Op,
    PathPrefix,
    Query,
    Source,
    Target,
    Version,
)

__all__ = ["contract_of"]

_BODY = re.compile(r"([A-Z]+ \S+) (request|response)(?: (\S*))?")


def contract_of(contract: Contract | None, told: VersionsSettings) -> Contract | None:
    """Return the contract of the code, of settings, or of both; None for neither.

    Versions come from one of them; brownouts and pins of settings are added to those
    of the code, and win.  Raises DefinitionError with every fault.
    """
    findings: list[str] = []
    if contract is not None and (told.versions or told.terms):
        findings.append(
            "version: versions are declared in contract= and in settings; "
            "keep them in one place"
        )
    elif contract is None and not told.versions:
        for section in ("terms", "pins", "brownouts"):
            if getattr(told, section):
                name = {"terms": "versions", "brownouts": "brownout"}.get(section)
                findings.append(f"{name or section}: there is no version; add one")
    if contract is None and told.versions:
        contract = _declared(told, findings)
    if findings:
        raise DefinitionError(findings)
    return None if contract is None else _with_terms(contract, told)


def _declared(told: VersionsSettings, findings: list[str]) -> Contract:
    versions = []
    for name, row in told.versions.items():
        ops = []
        for word, target, terms in row.ops:
            try:
                ops.append(_op(word, target, terms))
            except (TypeError, ValueError, AttributeError, KeyError) as error:
                where = f'version.{name}.{word}."{target}"'
                findings.append(f"{where}: {_plain(error)}; {_EXAMPLES[word]}")
        versions.append(
            Version(
                name,
                *ops,
                deprecated=row.deprecated,
                sunset=row.sunset,
                link=row.link,
                after=row.after,
            )
        )
    terms = {**told.terms}
    if "read" in terms:
        terms["read"] = tuple(_source(row) for row in terms["read"])
    return Contract(versions, **terms)


def _plain(error: Exception) -> str:
    text = str(error).partition("() ")[2]
    return text if isinstance(error, TypeError) and text else "cannot be used so"


def _with_terms(contract: Contract, told: VersionsSettings) -> Contract:
    if not told.pins and not told.brownouts:
        return contract
    brownouts = {brownout.name: brownout for brownout in contract.brownouts}
    for name, row in told.brownouts.items():
        terms = {f.name: getattr(row, f.name) for f in fields(row)}
        brownouts[name] = Brownout(name, **terms)
    given = {f.name: getattr(contract, f.name) for f in fields(contract)}
    given["pins"] = {**contract.pins, **told.pins}
    given["brownouts"] = tuple(brownouts.values())
    return Contract(given.pop("versions"), **given)


def _source(row: Mapping[str, Any]) -> Source:
    if "header" in row:
        return Header(row["header"])
    if "media_type" in row:
        return MediaTypeParam(row["media_type"])
    if "query" in row:
        return Query(row["query"])
    return PathPrefix(row["path"], row.get("strip", True))


def _target(text: str) -> Target:
    found = _BODY.fullmatch(text)
    if found is None:
        return text
    direction: Any = found[2]
    return Body(found[1], direction, found[3] or "")


def _op(word: str, target: str, terms: Any) -> Op:
    op: Op = _MAKERS[word](_target(target), terms)
    return op


def _table(terms: Any, **short: Any) -> dict[str, Any]:
    """Return terms as keywords; text alone stands for the one keyword of `short`."""
    if isinstance(terms, Mapping):
        return dict(terms)
    ((name, kinds),) = short.items()
    if not isinstance(terms, kinds):
        raise TypeError("has the wrong type")
    return {name: terms}


def _valued(name: str) -> Callable[[Any], dict[str, Any]]:
    """Read a value itself, or a table that has it under a name beside others."""

    def read(terms: Any) -> dict[str, Any]:
        known = {"default", "required", "fill", "hidden", "schema"}
        is_long = isinstance(terms, Mapping) and bool(terms) and terms.keys() <= known
        return dict(terms) if is_long else {name: terms}

    return read


def _join(target: Any, terms: Any) -> Op:
    told = _table(terms, of=list)
    parent, _, into = str(target).rpartition(".")
    names = told.pop("of")
    targets = [f"{parent}.{name}" for name in names]
    if isinstance(target, Body):
        parent, _, into = target.pointer.rpartition("/")
        return words.join(
            [replace(target, pointer=f"{parent}/{name}") for name in names],
            into=into,
            **told,
        )
    return words.join(targets, into=into, **told)


def _enum_map(target: Any, terms: Any) -> Op:
    is_long = isinstance(terms.get("values"), Mapping)
    told = dict(terms) if is_long else {"values": terms}
    return words.enum_map(target, told.pop("values"), **told)


def _made(word: str, **short: Any) -> Callable[[Any, Any], Op]:
    make = getattr(words, word)

    def read(target: Any, terms: Any) -> Op:
        op: Op = make(target, **_table(terms, **short))
        return op

    return read


_MAKERS: dict[str, Callable[[Any, Any], Op]] = {
    "rename": _made("rename", to=str),
    "move": _made("move", to=str),
    "add": lambda target, terms: words.add(target, **_valued("default")(terms)),
    "drop": lambda target, terms: words.drop(target, **_valued("fill")(terms)),
    "split": _made("split", into=list),
    "join": _join,
    "retype": _made("retype", was=()),
    "enum_map": _enum_map,
    "wrap_list": _made("wrap_list", to=str),
    "unwrap_list": _made("unwrap_list", to=str),
    "envelope": _made("envelope", at=str),
    "status": _made("status", was=()),
    "header": _made("header", was=()),
    "query": _made("query", was=()),
    "endpoint_added": lambda target, terms: words.endpoint_added(target),
    "endpoint_moved": lambda target, terms: words.endpoint_moved(was=target, now=terms),
    "gone": _made("gone", link=str),
    "deprecate": _made("deprecate", since=str),
    "union": _made("union", by=str),
}

_EXAMPLES = {
    "rename": 'write "Order.email" = "customer_email"',
    "move": 'write "Order.email" = "contact.email"',
    "add": 'write "Order.currency" = "EUR"',
    "drop": 'write "Order.fax" = { fill = "" }',
    "split": 'write "Customer.name" = { into = ["first", "last"], sep = " " }',
    "join": 'write "Customer.name" = { of = ["first", "last"], sep = " " }',
    "retype": 'write "Order.id" = { was = "int", now = "str" }',
    "enum_map": 'write "Order.state" = { canceled = "cancelled" }',
    "wrap_list": 'write "Order.tag" = "tags"',
    "unwrap_list": 'write "Order.tags" = "tag"',
    "envelope": 'write "GET /orders" = "data"',
    "status": 'write "POST /orders" = { was = 200, now = 201 }',
    "header": 'write "GET /orders" = { was = "X-Total", now = "Total-Count" }',
    "query": 'write "GET /orders" = { was = "page", now = "offset" }',
    "endpoint_added": 'write ["GET /orders/{id}"]',
    "endpoint_moved": 'write "GET /order/{id}" = "GET /orders/{id}"',
    "gone": 'write "GET /legacy" = "https://docs.example/moved"',
    "deprecate": 'write "GET /old" = { since = "2026-02-01", sunset = "2026-11-01" }',
    "union": 'write "Pet" = "type"',
}
