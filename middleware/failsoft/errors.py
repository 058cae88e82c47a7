"""The one error tree of failsoft: catch `FailsoftError` to catch them all.

    FailsoftError(code, where, todo)
    |-- DefinitionError     settings or definitions are wrong; `.findings` lists them
    |-- MissingExtraError   an optional dependency is not installed
    |-- StoreError          the control store
    |   |-- StoreUnavailable    no answer; the outcome may be unknown (`.op_id`)
    |   |-- StoreConflict       somebody wrote first (`.current`, `.actor`, `.revision`)
    |   |-- StoreRefused        the store said no: rights, read-only, limits
    |   `-- StoreRewound        the epoch is not the one that was expected
    |-- OpsError            what operators ask for
    |   |-- ReadOnly  NotArmed  NeedsConfirm  TargetGone  Invalid
    |   `-- Stale  EnvMismatch  Throttled
    |-- FlagError           evaluation of flags
    |   `-- FlagUnavailable
    |-- DeadlineMissed      a body was cut off: its route covers it by a deadline
    `-- CallError           a call to a dependency (`.dependency .why .retry_after_s`)
        |-- BreakerOpen  CallThrottled  QuotaReserved   refused here, nothing was sent
        |-- DeadlineExceeded    no time is left for it, or it ran out amid the call
        |-- CallTimeout         its own timeout ran out
        `-- CallFailed          it answered that it failed; given to fallbacks

`code` is kebab-case and stable: it appears in `--json`, logs and problem types.
A message says where, what is wrong with which value, and what to do.
"""

from __future__ import annotations

__all__ = [
    "BreakerOpen",
    "CallError",
    "CallFailed",
    "CallThrottled",
    "CallTimeout",
    "DeadlineExceeded",
    "DeadlineMissed",
    "DefinitionError",
    "EnvMismatch",
    "FailsoftError",
    "FlagError",
    "FlagUnavailable",
    "Invalid",
    "MissingExtraError",
    "NeedsConfirm",
    "NotArmed",
    "OpsError",
    "QuotaReserved",
    "ReadOnly",
    "Stale",
    "StoreConflict",
    "StoreError",
    "StoreRefused",
    "StoreRewound",
    "StoreUnavailable",
    "TargetGone",
    "Throttled",
]


class FailsoftError(Exception):
    """Anything failsoft raises on purpose.

    message: what is wrong, with the value.  where: file, key or target.
    todo: what the reader should do now.
    """

    code = "failsoft"

    def __init__(self, message: str, *, where: str = "", todo: str = "") -> None:
        self.message = message
        self.where = where
        self.todo = todo
        head = f"{where}: {message}" if where else message
        super().__init__(f"{head}; {todo}" if todo else head)


class DefinitionError(FailsoftError, ValueError):
    """Settings or definitions cannot be used; `findings` holds every fault."""

    code = "definition"

    def __init__(self, findings: list[str]) -> None:
        self.findings = findings
        shown = findings[:50]
        more = len(findings) - len(shown)
        lines = [*shown, f"... and {more} more"] if more else shown
        super().__init__("\n".join(lines))


class MissingExtraError(FailsoftError, ImportError):
    """A feature needs a package of an extra that is not installed."""

    code = "missing-extra"

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs {package}: pip install 'failsoft[{extra}]'")


class StoreError(FailsoftError, ConnectionError):
    """The control store did not do what was asked."""

    code = "store"


class StoreUnavailable(StoreError):
    """No answer in time.

    With `op_id` set the outcome of a write is unknown: repeating it with the
    same op_id is safe and tells.
    """

    code = "store-unavailable"

    def __init__(
        self, message: str, *, where: str = "", op_id: str = "", todo: str = ""
    ) -> None:
        self.op_id = op_id
        todo = f"outcome unknown: repeat with op_id {op_id}" if op_id else todo
        super().__init__(message, where=where, todo=todo)


class StoreConflict(StoreError):
    """Somebody else wrote the record first; nothing of this call was written.

    target: `kind/name`.  current: raw record now in the store, None if absent.
    revision: its revision, 0 if absent.  expected: the revision the caller saw.
    actor, age_ms: who wrote it and how long ago, "" and None when unknown.
    diff: what the caller had, and what is there now, in words.
    """

    code = "store-conflict"

    def __init__(  # noqa: PLR0913 - carries the whole newer record
        self,
        target: str,
        *,
        current: bytes | None,
        revision: int,
        expected: int,
        actor: str = "",
        age_ms: int | None = None,
        diff: str = "",
    ) -> None:
        self.target = target
        self.current = current
        self.revision = revision
        self.expected = expected
        self.actor = actor
        self.age_ms = age_ms
        self.diff = diff
        who = f" by {actor}" if actor else ""
        ago = "" if age_ms is None else f" {age_ms / 1000:.1f} s ago"
        change = f": {diff}" if diff else ""
        super().__init__(
            f"was changed{who}{ago} (rev {revision}, you saw {expected}){change}",
            where=target,
            todo="preview again",
        )


class StoreRefused(StoreError):
    """The store said no: missing rights, read-only server, or a limit."""

    code = "store-refused"


class StoreRewound(StoreError):
    """The store's history is not the one this process knows."""

    code = "store-rewound"


class OpsError(FailsoftError):
    """An operator's request cannot be carried out as asked."""

    code = "ops"


class ReadOnly(OpsError):
    """This session or role may not write."""

    code = "read-only"


class NotArmed(OpsError):
    """The session is disarmed; writes need arming with a reason."""

    code = "not-armed"


class NeedsConfirm(OpsError):
    """The change needs a stronger confirmation than was given."""

    code = "needs-confirm"

    def __init__(self, tier: int, what: str) -> None:
        self.tier = tier
        self.what = what
        super().__init__(f"tier {tier} change is not confirmed", todo=what)


class TargetGone(OpsError):
    """The target matches nothing; `nearest` lists up to three close names."""

    code = "target-gone"

    def __init__(
        self, target: str, nearest: tuple[str, ...] = (), *, can_force: bool = False
    ) -> None:
        self.target = target
        self.nearest = nearest
        near = f"nearest: {', '.join(nearest)}" if nearest else "nothing is close"
        force = "; --force writes it anyway" if can_force else ""
        super().__init__("matches nothing", where=target, todo=near + force)


class Invalid(OpsError):
    """A field of a command is wrong; `nearest` is the closest known name."""

    code = "invalid"

    def __init__(self, field: str, message: str, *, nearest: str = "") -> None:
        self.field = field
        self.nearest = nearest
        todo = f"did you mean {nearest}?" if nearest else ""
        super().__init__(message, where=field, todo=todo)


class Stale(OpsError):
    """The data behind the request is too old to act on; `age` in seconds."""

    code = "stale"

    def __init__(self, age: float) -> None:
        self.age = age
        super().__init__(
            f"the last proof from the store is {age:.1f} s old",
            todo="writes are refused, never queued; wait for LIVE",
        )


class EnvMismatch(OpsError):
    """The server holds another environment than the one asked for."""

    code = "env-mismatch"


class Throttled(OpsError):
    """Too many writes in this session in one minute."""

    code = "throttled"


class FlagError(FailsoftError):
    """A flag could not be evaluated."""

    code = "flag"


class FlagUnavailable(FlagError):
    """A flag with fail policy `refuse` has no usable value."""

    code = "flag-unavailable"


class DeadlineMissed(FailsoftError):
    """An answer had begun, and was not complete at the end of its time.

    Raised to the server, so that it breaks the connection off: nobody may take what
    was sent for the whole body.
    """

    code = "deadline-missed"

    def __init__(self, route: str) -> None:
        todo = 'it was cut off; timeout_scope = "start" lets begun answers end'
        super().__init__("the body took longer than allowed", where=route, todo=todo)


class CallError(FailsoftError):
    """A call to a dependency was refused here, or came to no answer in time.

    why: in words, for operators alone.  retry_after_s: when it is worth a new try, 0
    where nothing is known.
    """

    code = "call"

    def __init__(
        self, dependency: str, why: str, *, retry_after_s: float = 0.0
    ) -> None:
        self.dependency = dependency
        self.why = why
        self.retry_after_s = retry_after_s
        todo = f"try again in {retry_after_s:.1f} s" if retry_after_s > 0 else ""
        super().__init__(why, where=f"dependency {dependency}", todo=todo)


class BreakerOpen(CallError):
    """The breaker lets no call through; none was sent."""

    code = "breaker-open"


class CallThrottled(CallError):
    """Part of the calls fail, so part of them is held back; none was sent."""

    code = "call-throttled"


class QuotaReserved(CallError):
    """What is left of the quota is kept for others, or for later; none was sent."""

    code = "quota-reserved"


class DeadlineExceeded(CallError, TimeoutError):
    """The request's deadline leaves no time for the call."""

    code = "deadline-exceeded"


class CallTimeout(CallError, TimeoutError):
    """The dependency did not answer within the call's own timeout."""

    code = "call-timeout"


class CallFailed(CallError):
    """The dependency answered that it failed."""

    code = "call-failed"
