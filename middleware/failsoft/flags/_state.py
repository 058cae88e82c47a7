"""All flags at one revision, and what is kept of them from one revision to the next.

A document is parsed at its first evaluation and kept while its bytes are equal, so
that an edit among 10,000 flags costs one document.  One that is refused leaves the
last good version of its flag, or the layer below, and is listed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, count
from operator import is_not
from typing import Any

import msgspec

from failsoft.controls.records import KillDoc, Record
from failsoft.controls.targets import literal_weight
from failsoft.errors import FlagError
from failsoft.flags._compile import compile_rule
from failsoft.flags._definitions import FlagDefinitions, refers
from failsoft.flags._model import Flag, Rule
from failsoft.flags._parse import parse_flag

__all__ = [
    "FlagState",
    "Ready",
    "aged",
    "changed_records",
    "check_flags",
    "compile_flags",
    "ready_flag",
]

Records = Mapping[tuple[str, str], Record]
Kills = tuple[tuple[str, KillDoc], ...]

_CHECKED_AT_ONCE = 50  # documents; about 2 ms
_MAX_CHAIN = 8
_MAX_LIMITS = 20_000  # as many as flags; compared each second: 0.5 ms


class Ready(msgspec.Struct, frozen=True):
    """A parsed flag and its rule, with what it was made of."""

    flag: Flag
    rule: Rule | None
    json: bytes
    sources: tuple[bytes | None, ...]  # of its evaluators, in order of their names


class Kept:
    """What passes from one revision to the next, shared by all of them.

    ready: parsed flags.  good: the last good record of a flag that is bad.
    bad: what is wrong, by key.  unchecked: keys nobody has looked at.  faults:
    evaluations that failed, by key.  limits: ages, in seconds, at which some flag
    is called stale.  asking: parsed flags that ask for others, some of them gone.
    """

    __slots__ = ("asking", "bad", "faults", "good", "limits", "ready", "unchecked")

    def __init__(self) -> None:
        self.ready: dict[str, Ready] = {}
        self.good: dict[str, Record] = {}
        self.bad: dict[str, str] = {}
        self.unchecked: dict[str, None] = {}
        self.faults: dict[str, int] = {}
        self.limits: set[float] = set()
        self.asking: set[str] = set()


@dataclass(frozen=True, slots=True)
class FlagState:
    """All flags at one revision.

    records: all controls.  kills: (glob, document), the most literal first.
    disabled: keys that an active mode switches off.  evaluators: how a key is
    served, filled as keys are asked for.  definitions: the layers below.
    overrides: what tests set.  age_s: of the controls, as far as it matters.
    """

    revision: int = 0
    records: Records = field(default_factory=dict)
    kills: Kills = ()
    disabled: frozenset[str] = frozenset()
    declared: Mapping[str, Any] = field(default_factory=dict)
    kept: Kept = field(default_factory=Kept)
    evaluators: dict[str, Any] = field(default_factory=dict)
    definitions: FlagDefinitions = field(default_factory=FlagDefinitions)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    age_s: float = 0.0

    @property
    def bad(self) -> tuple[str, ...]:
        """Keys whose edit this node cannot enforce, as far as they were checked."""
        return tuple(self.kept.bad)

    def knows(self, key: str) -> bool:
        """Whether an edit, a file, settings or code say that this flag exists."""
        return ("flag", key) in self.records or self.definitions.declares(key)

    def bad_targets(self) -> tuple[str, ...]:
        """Return what a heartbeat tells: keys of bad edits, faults of files."""
        faults = (fault[:200] for fault in self.definitions.files.faults)
        return (*(f"flag:{key}" for key in self.bad), *faults)


def compile_flags(
    revision: int,
    records: Records,
    declared: Mapping[str, Any],
    disabled: Iterable[str],
    before: FlagState | None = None,
    definitions: FlagDefinitions = FlagDefinitions(),  # noqa: B008 - immutable
) -> FlagState:
    """Return the flags of the records; `before` saves doing again what stands.

    declared: key -> default of failsoft.toml.  disabled: keys off by a mode.
    Looks at up to 50 changed documents; `check_flags` goes on with the rest.
    O(records), some 30 ns each.
    """
    known: Records = before.records if before else {}
    changed = changed_records(known, records)
    added = sum(key not in known for key in changed)
    gone = len(known) + added > len(records)
    kinds = {kind for kind, _ in changed}
    kept = before.kept if before else Kept()
    if before and not gone and "kill" not in kinds:
        kills = before.kills
    else:
        kills = _kills(records)
    state = FlagState(
        revision,
        records,
        kills,
        frozenset(disabled),
        declared,
        kept,
        definitions=definitions,
    )
    _queue(state, known, [name for kind, name in changed if kind == "flag"])
    if gone:
        _forget(state)
    if "evaluator" in kinds or (gone and any(kind == "evaluator" for kind, _ in known)):
        _queue_users(state)
    if before is None or before.definitions.files is not definitions.files:
        kept.unchecked.update(dict.fromkeys(kept.bad))
        _queue_users(state)
    check_flags(state, _CHECKED_AT_ONCE)
    return state


def aged(state: FlagState, age_s: float) -> FlagState:
    """Return the flags at an age of the controls; the same while no limit is passed.

    age_s: seconds since the controls were proven to be the store's.
    """
    limits = (state.definitions.settings.max_stale_s, *tuple(state.kept.limits))
    if all((age_s > limit) == (state.age_s > limit) for limit in limits):
        return state
    return replace(state, age_s=age_s, evaluators={})


def changed_records(known: Records, records: Records) -> list[tuple[str, str]]:
    """Return the keys of records that are new or have other bytes.

    An edit moves its record to the end and leaves the order of all others, so they
    are compared without a step of Python each: 0.2 ms at 10,000, else 1 ms.
    """
    if not known:
        return list(records)  # the load of a whole set must not stall the loop
    values = list(records.values())
    old, new, at = iter(known.values()), iter(values), -1
    apart: Iterable[Record] = new
    while step := next(compress(count(1), map(is_not, old, new)), 0):
        at += step
        if not any(held is values[at] for held in old):
            apart = [values[at], *new]
            break
    found = []
    for record in apart:
        before = known.get((record.kind, record.name))
        if before is None or before.json != record.json:
            found.append((record.kind, record.name))
    return found


def _kills(records: Records) -> Kills:
    found: list[tuple[str, KillDoc]] = []
    for (kind, name), record in records.items():
        if kind == "kill" and name.startswith("flag:"):
            # One that cannot be read is told by whoever reads all kills.
            with contextlib.suppress(msgspec.DecodeError):
                found.append((name[5:], record.doc()))
    return tuple(sorted(found, key=lambda kill: literal_weight(kill[0]), reverse=True))


def _queue(state: FlagState, known: Records, names: Sequence[str]) -> None:
    """Have changed flags checked; the version before stands in for a bad one."""
    kept = state.kept
    # A flag may be bad because of another one that is repaired now.
    kept.unchecked.update(dict.fromkeys(kept.bad))
    kept.unchecked.update(dict.fromkeys(names))
    if not known:
        return
    for name in names:
        before = known.get(("flag", name))
        if before is not None and name not in kept.bad:
            kept.good[name] = before


def _queue_users(state: FlagState) -> None:
    edits = (r for (kind, _), r in state.records.items() if kind == "flag")
    users = [record.name for record in edits if refers(record.json)]
    state.kept.unchecked.update(dict.fromkeys(users))
    of_files = state.definitions.files.referring
    state.kept.unchecked.update(dict.fromkeys(of_files))


def _forget(state: FlagState) -> None:
    """Drop what is kept of flags that are gone."""
    kept, files = state.kept, state.definitions.files.records
    # Threads that evaluate add names meanwhile: `tuple` is one step to them.
    for name in tuple(kept.good):
        if ("flag", name) not in state.records:
            del kept.good[name]
    for held in (kept.ready, kept.bad, kept.unchecked):
        for name in tuple(held):
            if ("flag", name) not in state.records and name not in files:
                held.pop(name, None)
    kept.asking.intersection_update(tuple(kept.ready))


def check_flags(state: FlagState, count: int) -> bool:
    """Look at up to `count` flags nobody has looked at; whether some are left."""
    kept = state.kept
    for name in [name for name, _ in zip(kept.unchecked, range(count), strict=False)]:
        kept.unchecked.pop(name, None)
        record = _top(state, name)
        if record is None:
            kept.bad.pop(name, None)
            continue
        try:
            ready = _parsed(state, record, keep=False)
            _check_chain(state, ready.flag)
        except FlagError as error:
            kept.bad[name] = str(error)
            continue
        kept.good.pop(name, None)
        kept.bad.pop(name, None)
        if ready.flag.dangling:
            missing = ", ".join(sorted(ready.flag.dangling))
            kept.bad[name] = f"flag:{name}: no evaluator {missing}"
    return bool(kept.unchecked)


def ready_flag(state: FlagState, name: str) -> Ready | None:
    """Return the flag of its edit, the edit's last good version, or that of a file."""
    for record in _versions(state, name):
        try:
            ready = _parsed(state, record)
            _check_chain(state, ready.flag)
        except FlagError as error:
            state.kept.bad.setdefault(name, str(error))
            continue
        return ready
    return None


def _versions(state: FlagState, name: str) -> Iterator[Record]:
    edit = state.records.get(("flag", name))
    good = state.kept.good.get(name) if edit is not None else None
    for record in (edit, good, state.definitions.files.records.get(name)):
        if record is not None:
            yield record


def _top(state: FlagState, name: str) -> Record | None:
    edit = state.records.get(("flag", name))
    return edit or state.definitions.files.records.get(name)


def _parsed(state: FlagState, record: Record, *, keep: bool = True) -> Ready:
    """Return the parsed flag; raises FlagError.  Costs nothing while bytes stand."""
    ready = state.kept.ready.get(record.name)
    same = ready is not None and ready.json == record.json
    if ready is not None and same and _sources(state, ready.flag) == ready.sources:
        return ready
    try:
        flag = parse_flag(record.name, record.json, _Evaluators(state))
        rule = compile_rule(flag) if flag.rule is not None else None
    except FlagError:
        raise
    except Exception as error:  # border: one flag, and no other control
        what = f"cannot be compiled ({type(error).__name__}: {error})"
        raise FlagError(what, where=f"flag:{record.name}") from error
    ready = Ready(flag, rule, record.json, _sources(state, flag))
    if (limit := flag.metadata.get("x.max_stale")) and len(
        state.kept.limits
    ) < _MAX_LIMITS:
        state.kept.limits.add(limit)
    if keep:
        state.kept.ready[record.name] = ready
        if flag.prerequisites:
            state.kept.asking.add(record.name)
    return ready


def _sources(state: FlagState, flag: Flag) -> tuple[bytes | None, ...]:
    find = _Evaluators(state).get
    return tuple(find(name) for name in sorted(flag.refs))


class _Evaluators(Mapping[str, bytes]):
    """Evaluators by name: JSON of their record, else that of a file."""

    def __init__(self, state: FlagState) -> None:
        self._records = state.records
        self._files = state.definitions.files.evaluators

    def __getitem__(self, name: str) -> bytes:
        record = self._records.get(("evaluator", name))
        return self._files[name] if record is None else record.json

    def __iter__(self) -> Iterator[str]:
        own = {name for kind, name in self._records if kind == "evaluator"}
        return iter(own | self._files.keys())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _check_chain(state: FlagState, flag: Flag) -> None:
    """Refuse prerequisites in a circle, and more than 8 in a row."""
    if flag.prerequisites:
        _chain_of(state, flag, (), {})


def _chain_of(
    state: FlagState, flag: Flag, above: tuple[str, ...], known: dict[str, int]
) -> int:
    """Return how many flags stand in a row below this one."""
    path = (*above, flag.key)
    longest = 0
    for name in sorted(flag.prerequisites):
        if name in path:
            raise _refused(path[0], "prerequisites go round: ", (*path, name))
        if name not in known:
            if len(path) > _MAX_CHAIN:
                raise _refused(path[0], "more than 8 prerequisites: ", (*path, name))
            below = _other(state, name)
            known[name] = _chain_of(state, below, path, known) if below else 0
        longest = max(longest, 1 + known[name])
    if len(above) + longest > _MAX_CHAIN:
        raise _refused(path[0], "more than 8 prerequisites: ", path)
    return longest


def _other(state: FlagState, name: str) -> Flag | None:
    record = _top(state, name)
    try:
        return _parsed(state, record).flag if record else None
    except FlagError:
        return None  # that one is listed itself


def _refused(key: str, what: str, path: Iterable[str]) -> FlagError:
    return FlagError(what + " -> ".join(path), where=f"flag:{key}")
