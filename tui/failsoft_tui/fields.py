"""A form of named lines that say what a verb is told (pure).

The lines become a `:` line of the one grammar, so that a form asks for nothing that
the command line does not know, and reads it in the same way.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import NamedTuple

from failsoft.ops.command import Command
from failsoft.ops.contractrows import DriftRow
from failsoft.ops.driftplans import HANDLINGS, REPAIRS, suggested
from failsoft.ops.fleetrows import ModeRow
from failsoft.ops.verbs import parse_line

__all__ = [
    "REASON",
    "Field",
    "Fields",
    "brownout_fields",
    "mode_fields",
    "tolerance_fields",
]

_OPTION = re.compile(r"--(?:set )?[a-z]+")
REASON = "reason"  # the one line that is no option: it goes to the preview


class Field(NamedTuple):
    """One line.  option: `--for`, "" for the words in front of all options.

    choices: what ENTER turns it to, instead of asking.  many: commas part values.
    switch: said or not.  An empty text is not said.
    """

    name: str
    option: str
    text: str = ""
    hint: str = ""
    choices: tuple[str, ...] = ()
    many: bool = False
    switch: bool = False


class Fields:
    """The lines of one verb, and a cursor on one of them."""

    def __init__(self, title: str, verb: str, fields: Iterable[Field]) -> None:
        self.title = title
        self.fields = tuple(fields)
        self.before = self.fields
        self.at = 0
        self._verb = verb

    @property
    def current(self) -> Field:
        """The line under the cursor."""
        return self.fields[self.at]

    @property
    def reason(self) -> str:
        """The reason of its own, "" for none."""
        return next((f.text for f in self.fields if f.name == REASON), "")

    def go(self, count: int) -> None:
        """Move the cursor."""
        self.at = min(max(0, self.at + count), len(self.fields) - 1)

    def turn(self) -> None:
        """Give a choice its next value."""
        choices = self.current.choices
        at = choices.index(self.current.text) if self.current.text in choices else -1
        self.take(choices[(at + 1) % len(choices)])

    def take(self, text: str) -> None:
        """Keep a text in the line under the cursor."""
        self.fields = self.typed(text)

    def typed(self, text: str) -> tuple[Field, ...]:
        """Return the lines with the one under the cursor as typed."""
        changed = self.current._replace(text=text.strip())
        return (*self.fields[: self.at], changed, *self.fields[self.at + 1 :])

    def is_changed(self) -> bool:
        """Whether anything was typed."""
        return self.fields != self.before

    def in_words(self, fault: str) -> str:
        """Return a fault with the names of lines instead of options."""
        names = {f.option.replace("=", " "): f.name for f in self.fields}
        names |= {"--set": "parameter"}
        return _OPTION.sub(lambda m: names.get(m[0], m[0]), fault)

    def command(self, fields: Iterable[Field]) -> Command:
        """Return what the lines say; raises Invalid."""
        words = [*shlex.split(self._verb), *_words(fields)]
        return parse_line(shlex.join(words)).command()


def _words(fields: Iterable[Field]) -> list[str]:
    words: list[str] = []
    for field in fields:
        if not field.text or field.name == REASON:
            continue
        texts = field.text.split(",") if field.many else [field.text]
        for text in filter(None, (part.strip() for part in texts)):
            if field.switch:
                words += [field.option] * (text == "yes")
            else:
                words.append(f"{field.option}={text}" if field.option else text)
    return words


def brownout_fields(target: str, *, only: str = "") -> Fields:
    """Return the form of a brownout of `version:ID`.  only: a consumer, "" for all."""
    return Fields(
        f"BROWNOUT {target}",
        "brownout start",
        (
            Field("target", "", target, "version:ID, or route:METHOD /path"),
            Field("share", "--percent", "100", "percent that is refused"),
            Field("of", "--by", "request", "what the share is of",
                  ("request", "consumer")),
            Field("until", "--for", "15m", "10s to 24h, then it ends by itself"),
            Field("routes", "--route", "", "all, or METHOD /path, ... (* matches)",
                  many=True),
            Field("only", "--only", only, "all consumers, or these", many=True),
            Field("exempt", "--exempt", "", "consumers that are left out", many=True),
            Field("status", "--status", "503", "what clients get",
                  ("503", "410", "429")),
            Field("critical", "--force", "no", "cover critical_plus routes too",
                  ("no", "yes"), switch=True),
            Field("name", "--name", "", "as the version, unless said"),
            Field(REASON, "", "", "the arming's, unless said"),
        ),
    )  # fmt: skip


def mode_fields(row: ModeRow) -> Fields:
    """Return the form of entering a mode, with the parameters that it declares."""
    routes = f"all of {', '.join(row.scope[:3])}, or METHOD /path, tag:x (* matches)"
    params = [Field(name, f"--set={name}", "", told) for name, told in row.params]
    return Fields(
        f"ENTER mode:{row.name}",
        f"mode enter {shlex.quote(row.name)}",
        (
            *params,
            Field("routes", "--routes", "", routes, many=True),
            Field("consumers", "--share", "100", "percent of them that meet it"),
            Field("until", "--for", "1h", "10s to 30d, then it ends by itself"),
            Field("observe", "--observe", "no", "only count what it would do",
                  ("no", "yes"), switch=True),
            Field(REASON, "", "", "the arming's, unless said"),
        ),
    )  # fmt: skip


def tolerance_fields(row: DriftRow) -> Fields:
    """Return the form of a tolerance that would meet a drift entry."""
    made = suggested(row)
    kind = made.kind if made else ""
    name = made.target[10:] if made else f"handling-{row.id[:8]}"
    return Fields(
        f"TOLERATE {row.route} {row.path or '(body)'}",
        "tolerance add",
        (
            Field("name", "", name),
            Field("kind", "--kind", kind, "repair, or none", ("", *REPAIRS)),
            Field("value", "--value", "", "JSON: alias from, default value, enum to"),
            Field("until", "--for", "30d", "10s to 90d, then it ends by itself"),
            Field("route", "--route", row.route, "METHOD /path (* matches)"),
            Field("consumer", "--consumer", row.consumer, "all, or one (* matches)"),
            Field("path", "--path", row.path, "place in the body, as /items/*/qty"),
            Field("handling", "--handling", "" if kind else "tolerate",
                  "of whole bodies, instead of a kind", ("", *HANDLINGS)),
            Field("owner", "--owner", "", "who answers for it"),
            Field(REASON, "", "", "the arming's, unless said"),
        ),
    )  # fmt: skip
