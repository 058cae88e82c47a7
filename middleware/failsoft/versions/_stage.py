"""Versions towards the pipeline: resolves requests, and dresses plans.

Per route there are as many plans as it has had shapes, not as there are versions:
what differs by version alone (its headers, its end) is read from `Resolved`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from failsoft.consumer import Consumers
from failsoft.controls.records import Record
from failsoft.dice import random
from failsoft.pipeline import Exchange, Plan, Scope
from failsoft.routes.table import RouteDef
from failsoft.shapes.findings import Finding
from failsoft.versions._chain import Chains
from failsoft.versions._dress import Dresser, Report
from failsoft.versions._headers import keep_original
from failsoft.versions._lifecycle import Notice, notices_of
from failsoft.versions._model import (
    Contract,
    Header,
    MediaTypeParam,
    PathPrefix,
    Query,
)
from failsoft.versions._moved import compile_moved
from failsoft.versions._negotiate import Choice, Negotiation
from failsoft.versions._parts import Parts
from failsoft.versions._refusals import refusal
from failsoft.versions._resolved import INVALID, UNVERSIONED, Resolved, Standing
from failsoft.versions._usage import Usage
from failsoft.versions._windows import FOREVER_S

__all__ = ["VersionStage"]

_PREFLIGHT = b"access-control-request-method"
_DETAILS = {
    "version-invalid": "what {} says is no version",
    "version-unknown": "what {} says is no version of this API",
    "version-conflict": "{} ask for different versions",
    "version-retired": "what {} says is older than all that are left",
}


def _ignore(exchange: Exchange, findings: Sequence[Finding], direction: str) -> None:
    """Take findings that nobody keeps."""


class VersionStage:
    """One contract at work.

    chains: `compile_contract` of it and the models.  now_ms: store time.  dice:
    0..1.  report: takes findings in bodies, "request" or "response".  bypass: prefix
    of paths that are never versioned.  app_root: root path that the application sets
    by itself.

    usage: what to report.  counts: what was noticed: headers of the application
    that won over ours, answers that could not be migrated.  bad: controls that
    cannot be enforced here.
    """

    def __init__(  # noqa: PLR0913 - what one process hands to a feature
        self,
        contract: Contract,
        chains: Chains,
        models: Any,
        *,
        consumers: Consumers,
        now_ms: Callable[[], float],
        usage: Usage | None = None,
        report: Report = _ignore,
        dice: Callable[[], float] = random,
        bypass: str = "/_failsoft",
        app_root: str = "",
    ) -> None:
        self.contract = contract
        self.chains = chains
        self.usage = usage if usage is not None else Usage()
        self.counts: Counter[str] = Counter()
        self._consumers = consumers
        self._now_ms = now_ms
        self._bypass = bypass
        self._app_root = app_root
        self._negotiation = Negotiation(contract)
        self._outside = _compile_outside(contract)
        self._moved = {
            version.id: moves
            for version in contract.versions
            if (moves := compile_moved(chains.moved_paths(version.id)))
        }
        tags = {v.id: f"-fs.{chains.tag(v.id)}".encode() for v in contract.versions}
        self._dresser = Dresser(
            parts=Parts(contract, chains, models),
            now_s=self.now_s,
            dice=dice,
            usage=self.usage,
            report=report,
            tags=tags,
            counts=self.counts,
            on_down_error=contract.on_down_error,
        )
        self.take(())

    def now_s(self) -> float:
        """Return store time in Unix seconds."""
        return self._now_ms() / 1000

    @property
    def standing(self) -> Standing:
        """The contract under the controls in force."""
        return self._standing

    @property
    def bad(self) -> tuple[str, ...]:
        """Controls that cannot be enforced here, as `kind:name`."""
        return tuple(self._standing.bad)

    def notices(self) -> tuple[Notice, ...]:
        """Return the ends of versions and routes that are 30, 7 or 1 days away."""
        lives = {**self._standing.lives, **self._dresser.parts.lives}
        return notices_of(lives, self.now_s())

    # --- plans --------------------------------------------------------------

    def take(self, records: Iterable[Record]) -> None:
        """Read pins, brownouts and sunsets out of the controls in force."""
        records = tuple(records)
        vary = self._negotiation.vary
        if self.contract.pins or any(record.kind == "pin" for record in records):
            vary = (*vary, *self._consumers.vary)
        self._standing = Standing(self.contract, records, vary, self.now_s())

    def dress(self, route: RouteDef, plan: Plan) -> None:
        """Set the plans of all versions of a route."""
        self._dresser.dress(route.key, plan, self._standing)

    # --- requests -----------------------------------------------------------

    def resolve(self, scope: Scope) -> Resolved:
        """Return the version of a request; rewrites its path where that holds it.

        About 2 us.  Never raises for anything a client may send.
        """
        standing = self._standing
        if standing.due_s < FOREVER_S and standing.due_s <= self.now_s():
            standing.tell(self.now_s())
        root = self._app_root or scope.get("root_path", "")
        path = scope["path"]
        if root and path.startswith(root):
            path = path[len(root) :]
        if self._is_outside(scope, path):
            return UNVERSIONED
        negotiation = self._negotiation
        found = negotiation.in_path(path) if negotiation.prefixes else None
        if found is not None and found[0].since_s > self.now_s():
            found = None
        in_path = found[0] if found is not None else None
        choice = negotiation.choose(scope, in_path, self.now_s)
        version = choice.version if choice is not None else self._unasked(scope)
        if not version:
            return self._refused(choice or Choice(slug="version-required"))
        resolved = standing.resolved[version]
        if found is not None and found[2].strip:
            path = path[len(found[1]) :]
            _strip(scope, found[1], self._app_root)
        if version in self._moved:
            return self._at_head(scope, path, resolved)
        return resolved

    def _is_outside(self, scope: Scope, path: str) -> bool:
        if self._outside is not None and self._outside(path):
            return True
        if path.startswith(self._bypass) and path[len(self._bypass) :][:1] in "/":
            return True
        # A preflight carries no header of the request it asks for.
        return scope.get("method") == "OPTIONS" and any(
            name == _PREFLIGHT for name, _ in scope["headers"]
        )

    def _unasked(self, scope: Scope) -> str:
        """Return the version of a request that names none, "" to refuse it."""
        pins = self._standing.pins
        if pins and (pinned := pins.get(self._consumers.name(scope))):
            return pinned
        default, ids = self.contract.default, self._negotiation.ids.ids
        if default == "required":
            return ""
        return {"oldest": ids[0], "newest": ids[-1]}.get(default, default)

    def _refused(self, choice: Choice) -> Resolved:
        members = {
            "requested": choice.requested,
            "supported": self._standing.supported,
            "current": self.contract.head,
            "link": self._standing.link(self.contract.head),
        }
        detail = _DETAILS.get(choice.slug, "name one with {}")
        where = " and ".join(choice.sources) or self._first_source()
        made = self._standing.resolved[INVALID].copy()
        made.refusal = refusal(
            choice.slug, members=members, detail=detail.format(where)
        )
        return made

    def _first_source(self) -> str:
        match self.contract.read[:1]:
            case (Header(name),):
                return f"header {name}"
            case (Query(name),):
                return f"query {name}"
            case (MediaTypeParam(name),):
                return f"Accept: application/json; {name}={self.contract.head}"
            case (PathPrefix(prefix),):
                return f"the path, /{prefix}{self.contract.head}"
        return "the contract's default"

    def _at_head(self, scope: Scope, path: str, resolved: Resolved) -> Resolved:
        """Lead a request to where its route stands at the head."""
        method = scope.get("method", "WS")
        for moved in self._moved[resolved.version]:
            if (there := moved.path(method, path or "/")) is not None:
                original = keep_original(scope)
                scope["path"] = scope["path"].removesuffix(path or "/") + there
                resolved = resolved.copy()
                resolved.original = original
                break
        return resolved


def _strip(scope: Scope, prefix: str, app_root: str) -> None:
    """Hide the version's segment from the application.

    `root_path` grows, so that links it makes keep the segment.  Where the path does
    not begin with the root path, or the application overwrites it, the path is cut.
    """
    root, path = scope.get("root_path", ""), scope["path"]
    if not app_root and path.startswith(root):
        scope["root_path"] = root + prefix
        return
    before = app_root if app_root and path.startswith(app_root) else ""
    scope["path"] = before + (path[len(before) + len(prefix) :] or "/")


def _compile_outside(contract: Contract) -> Callable[[str], bool] | None:
    """Return which paths no version applies to, None where one does to all."""
    included = None if "/*" in contract.applies_to else _union(contract.applies_to)
    excluded = _union(contract.exclude) if contract.exclude else None
    if included is None and excluded is None:
        return None

    def is_outside(path: str) -> bool:
        if included is not None and included.fullmatch(path) is None:
            return True
        return excluded is not None and excluded.fullmatch(path) is not None

    return is_outside


def _union(globs: Iterable[str]) -> re.Pattern[str]:
    escaped = (re.escape(glob).replace(r"\*", ".*") for glob in globs)
    return re.compile("|".join(escaped) or "(?!)", re.DOTALL)
