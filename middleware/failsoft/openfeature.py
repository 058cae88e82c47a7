"""An OpenFeature provider that asks failsoft's flags.

    from openfeature import api
    from failsoft.openfeature import FailsoftProvider
    api.set_provider(FailsoftProvider())

It is an adapter: the client of OpenFeature costs some 11 us a call, whatever the
provider; `failsoft.flag` a microsecond.  It works inside a request, where the
request's snapshot, targeting key and context count too, and outside of one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from failsoft.errors import FlagError, MissingExtraError
from failsoft.events import Swapped, listen
from failsoft.flags import FlagDetails, FlagState, changed_flags
from failsoft.handlers import flag_details
from failsoft.runtime import current_runtime

try:
    from openfeature.event import ProviderEvent, ProviderEventDetails
    from openfeature.exception import (
        ErrorCode,
        ProviderFatalError,
        ProviderNotReadyError,
    )
    from openfeature.flag_evaluation import FlagResolutionDetails, Reason
    from openfeature.provider import AbstractProvider, Metadata
except ImportError as missing:
    raise MissingExtraError(
        "failsoft.openfeature", "openfeature-sdk", "openfeature"
    ) from missing

if TYPE_CHECKING:
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.flag_evaluation import FlagValueType

__all__ = ["FailsoftProvider"]

_MAX_NAMED = 1_000  # keys in one event
_MAX_ASKED = 10_000
_RECHECK_S = 0.05

_READY, _STALE = ProviderEvent.PROVIDER_READY, ProviderEvent.PROVIDER_STALE
_ERROR = ProviderEvent.PROVIDER_ERROR
_CHANGED = ProviderEvent.PROVIDER_CONFIGURATION_CHANGED
# What a node's state means to OpenFeature.
_EVENTS = {
    "live": _READY,
    "local": _READY,
    "stale": _STALE,
    "rewound": _STALE,
    "cold": _ERROR,
    "refused": _ERROR,
}


class FailsoftProvider(AbstractProvider):
    """Answers OpenFeature's clients from the flags of this process.

    wait_s: how long `initialize` waits for the first controls, outside of an event
    loop; there it never waits.  Events: READY, STALE, ERROR once per transition of
    the node, CONFIGURATION_CHANGED with at most 1,000 keys.  The fail policy
    `refuse` cannot raise through OpenFeature's client, which gives the default.
    """

    def __init__(self, *, wait_s: float = 5.0) -> None:
        super().__init__()
        self._wait_s = wait_s
        self._has_news = threading.Event()
        self._is_open = False  # initialize has ended, events are ours to tell
        self._told: ProviderEvent = _ERROR
        self._state = "cold"
        self._flags: FlagState | None = None
        self._asked: set[str] = set()
        self._end: Callable[[], None] | None = None

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata(name="failsoft")

    # --- life ---------------------------------------------------------------

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Wait for the first controls.

        Raises ProviderNotReadyError where none came in time (READY follows with
        them), ProviderFatalError where the node refused to start without.
        """
        self._has_news.clear()
        self._state, self._flags = "cold", None  # what it was before a shutdown is over
        if self._end is None:
            self._end = listen(self._on_swap)
        self._look()
        if not _is_on_a_loop():
            self._has_news.wait(self._wait_s)
        # The registry tells READY, or ERROR for what is raised, after this.
        is_ready = _EVENTS[self._state] is not _ERROR
        self._told = _READY if is_ready else _ERROR
        self._is_open = True
        again = threading.Timer(_RECHECK_S, self._settle)
        again.daemon = True
        again.start()
        if self._state == "refused":
            raise ProviderFatalError("store.require = true, and no controls came")
        if not is_ready:
            raise ProviderNotReadyError("no controls yet; is failsoft started?")

    def shutdown(self) -> None:
        """Stop listening; the runtime goes on."""
        end, self._end = self._end, None
        self._is_open = False
        self._has_news.set()  # nobody waits for what will not come
        if end is not None:
            end()

    def _look(self) -> None:
        """Take what the process has, if it has anything."""
        runtime = current_runtime()
        if runtime is not None and runtime.snapshot.state != "cold":
            self._on_swap(Swapped(runtime, runtime.snapshot.state, runtime.flags))

    def _on_swap(self, event: Swapped) -> None:
        # None: the one that ended tells so.
        if current_runtime() not in (event.runtime, None):
            return
        before, self._flags, self._state = self._flags, event.flags, event.state
        self._has_news.set()
        if self._is_open:
            self._settle()
            if before is not None and before is not event.flags:
                self._say_changes(before, event.flags)

    def _settle(self) -> None:
        """Tell what the node's state means, unless that was told last."""
        meant = _EVENTS[self._state]
        if self._is_open and meant is not self._told:
            self._told = meant
            self._emit(meant)

    def _emit(self, event: ProviderEvent) -> None:
        state = self._state
        details = ProviderEventDetails(message=f"controls are {state}")
        if event is _ERROR:
            fatal = state == "refused"
            code = ErrorCode.PROVIDER_FATAL if fatal else ErrorCode.PROVIDER_NOT_READY
            details.error_code = code
        self.emit(event, details)

    def _say_changes(self, before: FlagState, after: FlagState) -> None:
        keys = sorted(changed_flags(before, after, self._asked))
        if keys:
            more = len(keys) - _MAX_NAMED
            text = f"{len(keys)} flags changed at revision {after.revision}"
            text += f"; {more} of them are not named" if more > 0 else ""
            details = ProviderEventDetails(keys[:_MAX_NAMED], text)
            self.emit(_CHANGED, details)

    # --- evaluation ---------------------------------------------------------

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Return a boolean flag's details."""
        return self._resolve(flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[str]:
        """Return a text flag's details."""
        return self._resolve(flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[int]:
        """Return a whole-number flag's details."""
        return self._resolve(flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:
        """Return a number flag's details; a stored whole number becomes a float."""
        return self._resolve(flag_key, float(default_value), evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """Return an object flag's details; its value is a copy of the caller's own."""
        # Flags hold no arrays at their top: asked for one, they are objects all the
        # same, and the caller's array is what stands in for a value.
        default = default_value if isinstance(default_value, dict) else {}
        found = self._resolve(flag_key, default, evaluation_context)
        if found.variant is None and not found.value:
            found.value = default_value
        return found

    def _resolve(
        self, key: str, default: Any, context: EvaluationContext | None
    ) -> FlagResolutionDetails[Any]:
        if len(self._asked) < _MAX_ASKED:
            self._asked.add(key)
        user = context.targeting_key if context is not None else None
        attributes = context.attributes if context is not None else None
        try:
            details = flag_details(key, default, targeting_key=user, context=attributes)
        except FlagError as error:
            return FlagResolutionDetails(
                default, ErrorCode.GENERAL, str(error), Reason.ERROR
            )
        return _resolution(details)


def _resolution(details: FlagDetails) -> FlagResolutionDetails[Any]:
    code = None
    if details.error:
        code = ErrorCode.__members__.get(details.error, ErrorCode.GENERAL)
    return FlagResolutionDetails(
        value=details.value,
        error_code=code,
        reason=Reason.ERROR if details.error else details.reason,
        variant=details.variant,
        flag_metadata=details.metadata,
    )


def _is_on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
