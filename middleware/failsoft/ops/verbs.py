"""What operators can say, once: the CLI's parser, the UI's `:` line, help, completion.

`failsoft VERB` and `:VERB` share one grammar, also through shlex.  Pure.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import msgspec

from failsoft.controls.targets import nearest
from failsoft.errors import Invalid
from failsoft.ops.breakerverbs import BREAKER_VERBS
from failsoft.ops.command import (
    NEVER,
    Command,
    Extend,
    FlagDelete,
    FlagEdit,
    FlagRevert,
    GroupLift,
    GuardApply,
    Kill,
    Unkill,
)
from failsoft.ops.contractverbs import CONTRACT_VERBS
from failsoft.ops.limitverbs import LIMIT_VERBS
from failsoft.ops.modeverbs import MODE_VERBS
from failsoft.ops.words import Verb, Word, as_target
from failsoft.settings import parse_span_s

__all__ = [
    "VERBS",
    "Grammar",
    "Said",
    "Verb",
    "Word",
    "add_words",
    "command_of",
    "find_verb",
    "parse_line",
    "parse_words",
    "span_s",
]


class Said(msgspec.Struct, frozen=True):
    """A line that was understood."""

    verb: Verb
    values: argparse.Namespace

    def command(self) -> Command:
        """Return the command; Invalid for verbs that have none."""
        return command_of(self.verb, self.values)


def _end(values: argparse.Namespace) -> float | None:
    if values.until_cleared and values.for_s is not None:
        raise Invalid("--until-cleared", "and --for exclude each other")
    return NEVER if values.until_cleared else values.for_s


def _kill(values: argparse.Namespace) -> Command:
    if values.target.startswith("flag:"):
        for name in ("status", "retry_after"):
            if getattr(values, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise Invalid(option, "is for routes: a flag answers nobody")
    return Kill(
        values.target,
        for_s=_end(values),
        variant=values.variant,
        status=503 if values.status is None else values.status,
        retry_after=30 if values.retry_after is None else values.retry_after,
        public=values.public,
        group=values.group,
        force=values.force,
    )


def _unkill(values: argparse.Namespace) -> Command:
    if (values.target is None) == (values.group is None):
        raise Invalid("unkill", "takes a target or --group, and not both")
    if values.group is None:
        return Unkill(values.target, if_rev=values.if_rev)
    if values.if_rev is not None:
        raise Invalid("--if-rev", "compares one kill, not a group")
    return GroupLift(as_target("group", values.group))


def _flag(**change: Any) -> Callable[[argparse.Namespace], Command]:
    def make(values: argparse.Namespace) -> Command:
        target = as_target("flag", values.key)
        seen = values.if_rev
        return FlagEdit(target, force=values.force, if_rev=seen, **change)

    return make


def _proposed(name: str) -> str:
    is_target = name.startswith(("dependency:", "mode:"))
    return name if is_target else as_target("flag", name)


def _rollout(values: argparse.Namespace) -> Command:
    target = as_target("flag", values.key)
    return FlagEdit(
        target,
        rollout=values.percent,
        force=values.force,
        variant=values.variant,
        rebucket=values.rebucket,
        if_rev=values.if_rev,
    )


def _set_default(values: argparse.Namespace) -> Command:
    target = as_target("flag", values.key)
    if values.default is None:
        raise Invalid("--default", "names the variant that is served; it is missing")
    return FlagEdit(target, default=values.default, if_rev=values.if_rev)


_FORCE = Word("--force", "write although nothing matches", "switch", False)
_FOR = Word("--for", "how long: 10s to 30d, 1h unless said", "span", False)
_OPEN = Word("--until-cleared", "no end (asks for more)", "switch", False)
_GROUP = Word("--group", "incident this belongs to", required=False)
_TARGET = Word(
    "target", "route:METHOD /path, tag:name, flag:key (* and ? match), dependency:name"
)
_KEY = Word("key", "flag key")
_REBUCKET = Word("--rebucket", "write although it moves users", "switch", False)
_IF_REV = Word("--if-rev", "only if the edit has this revision", "count", False)

VERBS: tuple[Verb, ...] = (
    Verb("status", "environment, nodes, totals, notices"),
    Verb("routes", "routes, worst first"),
    Verb("nodes", "nodes and what they enforce"),
    Verb("incidents", "error groups of the last minute and their newest stack"),
    Verb(
        "kill",
        "refuse routes or pin flags on every node",
        (
            _TARGET,
            _FOR,
            _OPEN,
            Word("--variant", "variant served by a killed flag", required=False),
            Word("--status", "status clients get (503)", "count", False),
            Word("--retry-after", "seconds clients are told (30)", "count", False),
            Word("--public", "text clients may read", required=False),
            _GROUP,
            _FORCE,
        ),
        "operator",
        _kill,
    ),
    Verb(
        "unkill",
        "lift a kill, or all kills and modes of a group",
        (
            Word("target", "target of the kill", required=False),
            _GROUP,
            Word("--if-rev", "only if the kill has this revision", "count", False),
        ),
        "operator",
        _unkill,
    ),
    Verb("kills", "kills, active first"),
    *MODE_VERBS,
    Verb("flags list", "flags, edited ones first"),
    Verb("flags show", "one flag and its document", (_KEY,)),
    Verb(
        "flags on",
        "on for all",
        (_KEY, _FORCE, _IF_REV),
        "operator",
        _flag(enabled=True),
    ),
    Verb(
        "flags off",
        "off for all",
        (_KEY, _FORCE, _IF_REV),
        "operator",
        _flag(enabled=False),
    ),
    Verb(
        "flags set",
        "another default variant; rules stay",
        (_KEY, Word("--default", "variant to serve", required=False), _IF_REV),
        "operator",
        _set_default,
    ),
    Verb(
        "flags rollout",
        "a variant for a share of those whom no rule matches",
        (
            _KEY,
            Word("percent", "0 to 100", "percent"),
            Word("--variant", "which one (on)", required=False),
            _FORCE,
            _REBUCKET,
            _IF_REV,
        ),
        "operator",
        _rollout,
    ),
    Verb(
        "flags revert",
        "drop the edit, the layer below decides",
        (_KEY,),
        "operator",
        lambda values: FlagRevert(as_target("flag", values.key)),
    ),
    Verb(
        "flags delete",
        "delete a flag that lives in the store alone",
        (_KEY,),
        "operator",
        lambda values: FlagDelete(as_target("flag", values.key)),
    ),
    Verb(
        "extend",
        "move the end of a kill, mode, brownout, tolerance, pin or ack",
        (_TARGET, Word("span", "from now on", "span")),
        "operator",
        lambda values: Extend(values.target, values.span),
    ),
    Verb("guard status", "what the guards of flags judge now"),
    Verb(
        "guard apply",
        "set the kill that a guard proposes, or what automation does",
        (Word("key", "flag key, dependency:name or mode:name"),),
        "operator",
        lambda values: GuardApply(_proposed(values.key)),
    ),
    Verb("log", "who did what, refused attempts too"),
    Verb(
        "undo",
        "take back a write (your last one unless named)",
        (Word("op", "id of the write", required=False),),
        "operator",
    ),
    *BREAKER_VERBS,
    *LIMIT_VERBS,
    *CONTRACT_VERBS,
)

_BY_NAME = {verb.name: verb for verb in VERBS}
_ALIASES = {"flag": "flags", "version": "versions"}


def span_s(text: str) -> float:
    """Read a span such as `15m`; raises ValueError with the reason."""
    return parse_span_s(text)


def _percent(text: str) -> float:
    try:
        return float(text.removesuffix("%"))
    except ValueError:
        raise ValueError(f"{text!r} is no number; write it like 12.5") from None


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number; write it like 503") from None


def _json_value(text: str) -> object:
    # Numbers and booleans are meant as such; all else is text.
    try:
        value: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    except RecursionError:
        raise ValueError("is nested too deep") from None
    return value


_READERS: dict[str, Callable[[str], object]] = {
    "text": str,
    "texts": str,
    "json": _json_value,
    "span": span_s,
    "percent": _percent,
    "count": _count,
}


class Grammar(argparse.ArgumentParser):
    """A parser that raises `Invalid` instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        """Raise Invalid with argparse's words."""
        raise Invalid(self.prog.removeprefix("failsoft "), message)


class _Pairs(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        key, found, text = str(values).partition("=")
        if not key or not found:
            parser.error(f"{option_string} {values!r} must be KEY=VALUE")
        kept = getattr(namespace, self.dest) or {}
        setattr(namespace, self.dest, kept | {key: _json_value(text)})


def add_words(parser: argparse.ArgumentParser, words: Iterable[Word]) -> None:
    """Declare a verb's arguments on a parser."""
    for word in words:
        if word.kind == "switch":
            parser.add_argument(word.name, action="store_true", help=word.help)
            continue
        more: dict[str, Any] = {"help": word.help}
        if word.name == "--for":
            more |= {"dest": "for_s", "metavar": "SPAN"}
        elif word.name.startswith("--"):
            more["dest"] = word.name.strip("-").replace("-", "_")
            more["metavar"] = word.name.strip("-").upper()
        elif not word.required:
            more["nargs"] = "?"
        if word.kind == "texts":
            more |= {"action": "append", "default": []}
        if word.kind == "pairs":
            parser.add_argument(word.name, action=_Pairs, **more)
        else:
            parser.add_argument(word.name, type=_reader(word), **more)


def _reader(word: Word) -> Callable[[str], object]:
    read = _READERS[word.kind]

    def reader(text: str) -> object:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return reader


def command_of(verb: Verb, values: argparse.Namespace) -> Command:
    """Return the command a line asks for; Invalid for verbs that have none."""
    if verb.make is None:
        raise Invalid(verb.name, "is no command")
    return verb.make(values)


def parse_words(parser: argparse.ArgumentParser, words: list[str]) -> Any:
    """Parse all words; an unknown option is Invalid and names the nearest."""
    values, rest = parser.parse_known_args(words)
    if rest:
        options = re.findall(r"--[a-z-]+", parser.format_usage())
        close = nearest(rest[0].split("=")[0], options, 1)
        what = "is not known" if rest[0].startswith("-") else "is one word too many"
        raise Invalid(rest[0], what, nearest=close[0] if close else "")
    return values


def find_verb(words: list[str], known: Iterable[str]) -> tuple[str, list[str]]:
    """Split words into (verb, rest); Invalid with the nearest verb."""
    names = list(known)
    words = [_ALIASES.get(words[0], words[0]), *words[1:]] if words else []
    for count in (2, 1):
        name = " ".join(words[:count])
        if len(words) >= count and name in names:
            return name, words[count:]
    first = words[0] if words else ""
    seconds = [n.partition(" ")[2] for n in names if n.startswith(f"{first} ")]
    if seconds:
        said = words[1] if len(words) > 1 else ""
        close = nearest(said, seconds, 1)
        what = repr(said) if said else "what follows"
        message = f"{what} must be one of {', '.join(seconds)}"
        raise Invalid(first, message, nearest=f"{first} {close[0]}" if close else "")
    heads = list(dict.fromkeys(n.split(" ")[0] for n in names))
    close = nearest(first, heads, 1)
    raise Invalid("verb", f"{first!r} is not known", nearest=close[0] if close else "")


def parse_line(line: str) -> Said:
    """Parse a `:` line (without the colon); Invalid says what is wrong."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise Invalid("line", f"{error}") from None
    name, rest = find_verb(words, _BY_NAME)
    verb = _BY_NAME[name]
    parser = Grammar(prog=name, add_help=False, allow_abbrev=False)
    add_words(parser, verb.words)
    return Said(verb, parse_words(parser, rest))
