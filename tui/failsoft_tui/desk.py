"""What all screens share: the operator, the newest view, the status line.

The painter asks it how old the view is; the reader never says so itself, so a dead
reader cannot look alive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from failsoft.clock import elapsed
from failsoft.ops.flaglife import FlagLife
from failsoft.ops.flagsheet import FlagSheet, flag_notes, flag_sheet
from failsoft.ops.operator import Operator
from failsoft.ops.stale import STALE_S, age_s, link_word, span
from failsoft.ops.views import FleetView, Link, Notice
from failsoft_tui.alarms import alarms
from failsoft_tui.figures import clock_text
from failsoft_tui.header import Session
from failsoft_tui.paint import Line

__all__ = ["HOW_TO_ARM", "Desk"]

HOW_TO_ARM = "disarmed: press W and give a reason, then repeat the key"


class Desk:
    """State of one session.  clock: seconds that go on during sleep."""

    def __init__(
        self, *, clock: Callable[[], float] = elapsed, ascii_only: bool = False
    ) -> None:
        self.clock = clock
        self.ascii_only = ascii_only
        self.operator: Operator | None = None
        self.started = clock()
        self.newest = FleetView(
            seq=0, env="", link=Link("connecting"), received=self.started, server_ms=0
        )
        self.held: FleetView | None = None
        self.held_at = 0.0
        self.notice_index = 0
        self.lives: tuple[FlagLife, ...] = ()  # how flags are used, once read
        self._notes: tuple[object, Mapping[str, str]] = ((), {})
        self.tries = 0
        self.cause = ""
        self._alarms: frozenset[str] = frozenset()
        self._status: Line = ()
        self._status_until = 0.0

    @property
    def border_class(self) -> str:
        """Return the class of dialogs' borders."""
        return "-ascii" if self.ascii_only else ""

    # -- the view --------------------------------------------------------------

    @property
    def view(self) -> FleetView:
        """The view on display: the held one while the operator holds."""
        return self.newest if self.held is None else self.held

    def sheet(self, key: str) -> FlagSheet:
        """Return all that is known of a flag."""
        declared = self.operator.definitions if self.operator else None
        return flag_sheet(key, self.view, declared, self.lives)

    def notes(self) -> Mapping[str, str]:
        """Return target -> what is odd about a flag, in a word."""
        if self.operator is None:
            return {}
        of = (self.view.seq, self.lives)
        if self._notes[0] != of:
            declared = self.operator.definitions
            self._notes = (of, flag_notes(self.view, declared, self.lives))
        return self._notes[1]

    def hold(self) -> None:
        """Freeze the display, or let it go on."""
        self.held = self.newest if self.held is None else None
        self.held_at = self.clock()

    def has_data(self) -> bool:
        """Whether a complete reply ever came."""
        return self.newest.server_ms > 0

    def age(self) -> float:
        """Return seconds since the last complete reply."""
        return age_s(self.newest, self.clock())

    def now_ms(self) -> int:
        """Return the store's time as far as it is known."""
        return self.newest.server_ms + int(1000 * self.age())

    def is_stale(self) -> bool:
        """Whether what is shown is too old to act on."""
        down = self.newest.link.state in ("down", "auth")
        return self.has_data() and (self.age() > STALE_S or down)

    def stale_of(self) -> str:
        """Return the time of stale values, "" when they are fresh."""
        return clock_text(self.newest.server_ms) if self.is_stale() else ""

    def word(self) -> str:
        """Return the link word of the header; notices say the cause."""
        word, text = link_word(self.newest, self.clock())
        if word == "CONNECTING" or not self.has_data():
            refused = self.newest.link.state == "auth"
            head = "REFUSED" if refused else "CONNECTING"
            return f"{head} {span(self.clock() - self.started)}"
        if self.held is not None and word in ("LIVE", "SLOW"):
            return f"HELD {span(self.clock() - self.held_at)} ({text.lower()})"
        return text

    def notices(self) -> tuple[Notice, ...]:
        """Return what there is to tell, the link's own faults first."""
        link = self.newest.link
        cause = self.cause or link.cause
        own: tuple[Notice, ...] = ()
        if not self.has_data():
            tries = self.tries or link.tries
            where = f" to {link.address}" if link.address else ""
            why = f": {cause}" if cause else ""
            if link.state == "auth":
                why += "; not tried again by itself, ctrl+r tries again"
            own = (Notice(1, f"connecting{where}, try {max(1, tries)}{why}"),)
        elif self.is_stale():
            why = f": {cause}" if cause else ""
            text = f"STALE {span(self.age())}{why}; writes are refused, never queued"
            own = (Notice(2, text),)
        return (*own, *self.newest.notices)

    def rings(self) -> bool:
        """Whether something new cannot wait; true once for each."""
        if not self.has_data():
            return False
        now = alarms(self.newest, self.now_ms(), stale=self.is_stale())
        new, self._alarms = now - self._alarms, now
        return bool(new)

    # -- the operator ----------------------------------------------------------

    def armed_s(self) -> float | None:
        """Return seconds of arming left, None when disarmed."""
        until = None if self.operator is None else self.operator.armed_until
        return None if until is None or until <= self.clock() else until - self.clock()

    def session(self) -> Session:
        """Return what the header says about operator and link."""
        operator = self.operator
        return Session(
            word=self.word(),
            identity=operator.identity if operator else None,
            role=operator.role if operator else "none",
            armed_s=self.armed_s(),
            reason=operator.armed_reason if operator else "",
            now_ms=self.now_ms(),
        )

    def refusal(self) -> str:
        """Return why no write can be begun now, "" when one can.

        Only to say it early: permission is decided in `ops`.
        """
        if self.operator is None or not self.has_data():
            return "not connected yet: nothing can be written"
        if self.is_stale():
            return f"STALE {span(self.age())}: writes are refused, wait for LIVE"
        if self.operator.role != "operator":
            who = self.operator.identity.user
            return f"{who} may only read: connect as a user with the role operator"
        return "" if self.armed_s() is not None else HOW_TO_ARM

    # -- the status line -------------------------------------------------------

    def say(self, line: Line, *, for_s: float = 20.0) -> None:
        """Show a line above the footer for a while."""
        self._status = line
        self._status_until = self.clock() + for_s

    def tell(self, text: str, style: str = "bad") -> None:
        """Show a text (already safe) above the footer."""
        self.say(((f" {text}", style),))

    def status(self) -> Line:
        """Return the status line, empty when it is over."""
        return self._status if self.clock() < self._status_until else ()
