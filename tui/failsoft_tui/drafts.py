"""A flag's form while it is edited (pure): lines, a cursor, and what may be typed."""

from __future__ import annotations

import msgspec

from failsoft.ops.flagforms import Form, FormRule
from failsoft.ops.ruletext import outcome_line, parse_outcome, parse_rule, rule_line

__all__ = ["Draft"]


class Draft:
    """A form and a cursor on one of its lines.  before: as it was opened."""

    def __init__(self, form: Form) -> None:
        self.before = form
        self.form = form
        self.at = 0
        self._fresh = False  # the line under the cursor was never typed

    # -- lines -----------------------------------------------------------------

    @property
    def _rule(self) -> int | None:
        """The number of the rule under the cursor, None on other lines."""
        number = self.at - 2
        return number if 0 <= number < len(self.form.rules) + self._fresh else None

    def lines(self) -> list[tuple[str, str]]:
        """Return (name, text) of each line."""
        form = self.form
        rules = [rule_line(rule) for rule in form.rules]
        if self._fresh:
            rules.insert(self.at - 2, "(new)")
        default = "(default of the code)" if form.default is None else form.default
        return [
            ("state", "enabled" if form.enabled else "DISABLED: the code's default"),
            ("default", default),
            *((f"rule {number}", text) for number, text in enumerate(rules, 1)),
            ("others", outcome_line(form.otherwise)),
        ]

    def is_changed(self) -> bool:
        """Whether there is something to write."""
        return repr(self.form) != repr(self.before)

    def is_choice(self) -> bool:
        """Whether ENTER turns the line to its next value instead of asking."""
        return self.at < 2

    def go(self, count: int) -> None:
        """Move the cursor."""
        self.at = min(max(0, self.at + count), len(self.lines()) - 1)

    # -- changes ---------------------------------------------------------------

    def turn(self) -> None:
        """Give a choice its next value."""
        form = self.form
        if self.at == 0:
            self.form = msgspec.structs.replace(form, enabled=not form.enabled)
            return
        names = [*form.variants, None]
        at = names.index(form.default) if form.default in names else -1
        default = names[(at + 1) % len(names)]
        self.form = msgspec.structs.replace(form, default=default)

    def text(self) -> str:
        """Return what stands in the input at first."""
        return "" if self._fresh else self.lines()[self.at][1]

    def typed(self, text: str) -> Form:
        """Return the form with the line under the cursor as typed; raises Invalid."""
        form, number = self.form, self._rule
        if number is None:
            then = parse_outcome(text, form.variants)
            return msgspec.structs.replace(form, otherwise=then)
        rules = list(form.rules)
        rules[number : number + (not self._fresh)] = [parse_rule(text, form.variants)]
        return msgspec.structs.replace(form, rules=tuple(rules))

    def take(self, form: Form) -> None:
        """Keep what was typed."""
        self.form = form
        self._fresh = False

    def add(self) -> None:
        """Open a line for a new rule, under the cursor's rule or at the end."""
        number = self._rule
        self.at = 2 + (len(self.form.rules) if number is None else number + 1)
        self._fresh = True

    def leave(self) -> None:
        """Drop a new line that was never typed."""
        self._fresh = False
        self.go(0)

    def remove(self) -> None:
        """Drop the rule under the cursor."""
        number = self._rule
        if number is not None:
            self._put([r for i, r in enumerate(self.form.rules) if i != number])
            self.go(0)

    def move(self, count: int) -> None:
        """Move the rule under the cursor: the first that matches decides."""
        number = self._rule
        if number is None or not 0 <= number + count < len(self.form.rules):
            return
        rules = list(self.form.rules)
        rules.insert(number + count, rules.pop(number))
        self._put(rules)
        self.at += count

    def _put(self, rules: list[FormRule]) -> None:
        self.form = msgspec.structs.replace(self.form, rules=tuple(rules))
