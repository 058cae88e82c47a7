"""How values change between versions: cut, joined, retyped, mapped, listed.

Each converter takes and returns a list of values, one per source and target, ABSENT
for one that is not there.  Scalars keep their JSON text where they can, so that no
digit is lost.  `Unfit` says that a value has no counterpart; never which value.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Raw

from failsoft.shapes.rawjson import open_list, scalar, text_of
from failsoft.versions._model import ABSENT

__all__ = [
    "RETYPES",
    "Convert",
    "Unfit",
    "Untranslatable",
    "cut",
    "cut_all",
    "first_of",
    "glue",
    "glue_all",
    "list_of",
    "mapped",
    "retyped",
]

# values, whether the body is a PATCH -> values
Convert = Callable[[Sequence[Any], bool], list[Any]]


class Unfit(Exception):
    """A value, or a set of them, cannot be said in the other version.

    kind: of KINDS.  slug: problem type.  source: which of the values.  tokens: where,
    innermost first, filled on the way up.
    """

    def __init__(self, kind: str, detail: str, source: int = 0) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.slug = "request-not-migratable"
        self.source = source
        self.tokens: list[str | int] = []


class Untranslatable(Unfit):
    """A partial update that says too little."""

    def __init__(self, detail: str, source: int = 0) -> None:
        super().__init__("missing", detail, source)
        self.slug = "patch-not-translatable"


def _is_null(value: Any) -> bool:
    return value is None or (type(value) is Raw and bytes(value) == b"null")


def cut(sep: str, count: int) -> Convert:
    """Cut one text into `count`; what `glue` makes of them is the text again."""

    def convert(values: Sequence[Any], is_patch: bool) -> list[Any]:
        text = scalar(values[0])
        if text is ABSENT or text is None:
            return [text] * count
        if type(text) is not str:
            raise Unfit("type", "must be a string")
        parts = text.split(sep, count - 1)
        # An empty last part leaves the separator with the one before: "Prince " is
        # not "Prince", and both have to come back.
        while len(parts) > 1 and not parts[-1]:
            parts.pop()
            parts[-1] += sep
        return parts + [""] * (count - len(parts))

    return convert


def glue(sep: str) -> Convert:
    """Join texts for an older version; empty ones at the end leave no separator."""

    def convert(values: Sequence[Any], is_patch: bool) -> list[Any]:
        texts = [scalar(value) for value in values]
        told = [text for text in texts if text is not ABSENT]
        if not any(text is not None for text in told):
            return [None if told else ABSENT]
        parts = [_text(text, source) for source, text in enumerate(texts)]
        while parts and not parts[-1]:
            parts.pop()
        return [sep.join(parts)]

    return convert


def glue_all(sep: str) -> Convert:
    """Join texts of an older version into one; what is absent may only be the end."""

    def convert(values: Sequence[Any], is_patch: bool) -> list[Any]:
        texts = [scalar(value) for value in values]
        told = [text for text in texts if text is not ABSENT]
        if all(text is None for text in told) and (len(told) in (0, len(texts))):
            return [None if told else ABSENT]
        if is_patch and len(told) < len(texts):
            raise Untranslatable("must be sent together with the fields beside it")
        last = len(told)
        for source, text in enumerate(texts[:last]):
            if type(text) is not str:
                raise Unfit(
                    "missing" if text is ABSENT else "type", "must be a string", source
                )
        return [sep.join(texts[:last])]

    return convert


def cut_all(sep: str, required: Sequence[bool]) -> Convert:
    """Cut one text into as many as there are; what is required is at least empty."""

    def convert(values: Sequence[Any], is_patch: bool) -> list[Any]:
        text = scalar(values[0])
        if text is ABSENT or text is None:
            return [text] * len(required)
        if type(text) is not str:
            raise Unfit("type", "must be a string")
        parts: list[Any] = [*text.split(sep, len(required) - 1)]
        missing = required[len(parts) :]
        return parts + ["" if must else ABSENT for must in missing]

    return convert


def _text(value: Any, source: int) -> str:
    if value is ABSENT or value is None:
        return ""
    if type(value) is not str:
        raise Unfit("type", "must be a string", source)
    return value


# --- members ---------------------------------------------------------------------


def mapped(values: Mapping[Any, Any], fallback: Any = ABSENT) -> Convert:
    """Replace members; others stay, or become the fallback."""
    table = {(type(was), was): now for was, now in values.items()}

    def convert(found: Sequence[Any], is_patch: bool) -> list[Any]:
        value = scalar(found[0])
        if value is ABSENT or value is None or type(value) in (Raw, dict, list):
            return [found[0]]
        other = found[0] if fallback is ABSENT else fallback
        return [table.get((type(value), value), other)]

    return convert


# --- lists -----------------------------------------------------------------------


def list_of(found: Sequence[Any], is_patch: bool) -> list[Any]:
    """Put one value into a list; null is the empty list, on a PATCH it clears."""
    value = found[0]
    if value is ABSENT:
        return [ABSENT]
    if _is_null(value):
        return [value if is_patch else []]
    return [[value]]


def first_of(is_strict: bool) -> Convert:
    """Take the first of a list.  is_strict: refuse one that holds more."""

    def convert(found: Sequence[Any], is_patch: bool) -> list[Any]:
        items = open_list(found[0])
        if items is None:
            return [found[0]]
        if is_strict and len(items) > 1:
            raise Unfit("array_scalar", "must hold at most one item")
        return [items[0] if items else None]

    return convert


# --- types -----------------------------------------------------------------------

_INT = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_STAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?"
    r"(?:([Zz])|([+-])(\d\d):?(\d\d))"
)
_DAY_S = 86_400


def _number_text(value: Any, pattern: re.Pattern[str], what: str) -> str:
    text = text_of(value)
    if not pattern.fullmatch(text):
        raise Unfit("type", f"must be {what}")
    return text


def _raw(text: str) -> Raw:
    return Raw(text.encode())


def _to_text(pattern: re.Pattern[str], what: str) -> Callable[[Any], Any]:
    return lambda value: _number_text(value, pattern, what)


def _from_text(pattern: re.Pattern[str], what: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        text = scalar(value)
        if type(text) is not str or not pattern.fullmatch(text):
            raise Unfit("format", f"must be {what} as text")
        return _raw(text)

    return convert


def _bool_to_text(value: Any) -> Any:
    told = scalar(value)
    if type(told) is not bool:
        raise Unfit("type", "must be true or false")
    return "true" if told else "false"


def _text_to_bool(value: Any) -> Any:
    told = scalar(value)
    if told not in ("true", "false"):
        raise Unfit("format", 'must be "true" or "false"')
    return told == "true"


def _bool_to_int(value: Any) -> Any:
    return int(_bool_to_text(value) == "true")


def _int_to_bool(value: Any) -> Any:
    text = _number_text(value, _INT, "an integer")
    if text not in ("0", "1"):
        raise Unfit("enum", "must be 0 or 1")
    return text == "1"


def _same_number(value: Any) -> Any:
    _number_text(value, _NUMBER, "a number")
    return value


def _number_to_int(is_lossy: bool) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        text = _number_text(value, _NUMBER, "a number")
        if _INT.fullmatch(text):
            return value
        number = Decimal(text)
        if number.adjusted() > 30:
            raise Unfit("number", "is too large for an integer")
        whole = int(number)
        if whole != number and not is_lossy:
            raise Unfit("number", "must be a whole number")
        return _raw(str(whole))

    return convert


def _epoch_to_stamp(value: Any) -> Any:
    text = _number_text(value, _NUMBER, "seconds since 1970")
    if "e" in text.lower():
        raise Unfit("format", "must be seconds without an exponent")
    whole, dot, fraction = text.partition(".")
    seconds = int(whole)
    if whole.startswith("-") and dot:
        raise Unfit("format", "must be whole seconds before 1970")
    if not -62_135_596_800 <= seconds < 253_402_300_800:
        raise Unfit("number", "is no instant of the years 1 to 9999")
    days, rest = divmod(seconds, _DAY_S)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{_date_text(days)}T{clock}{dot}{fraction}Z"


def _date_text(days: int) -> str:
    """Return the civil date of days since 1970 (Howard Hinnant, chrono dates)."""
    shifted = days + 719_468
    era, day_of_era = divmod(shifted, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day + 2) // 153
    month = month_from_march + (3 if month_from_march < 10 else -9)
    year = year_of_era + era * 400 + (month <= 2)
    return f"{year:04d}-{month:02d}-{day - (153 * month_from_march + 2) // 5 + 1:02d}"


def _stamp_to_epoch(value: Any) -> Any:
    text = scalar(value)
    match = _STAMP.fullmatch(text) if type(text) is str else None
    if match is None:
        raise Unfit("format", "must be a date-time with an offset")
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    is_real = 1 <= month <= 12 and 1 <= day <= 31 and year >= 1
    if not is_real or hour > 23 or minute > 59 or second > 60:
        raise Unfit("format", "must be a date-time with an offset")
    epoch = timegm((year, month, day, hour, minute, second, 0, 0, 0))
    if match[9]:
        offset = int(match[10]) * 3600 + int(match[11]) * 60
        epoch += offset if match[9] == "-" else -offset
    return _raw(f"{epoch}{match[7] or ''}" if epoch >= 0 else str(epoch))


_Pair = tuple[Callable[[Any], Any], Callable[[Any], Any], bool]
# (was, now) -> up, down, whether an old value may come back changed
RETYPES: dict[tuple[str, str], _Pair] = {}


def _declare(was: str, now: str, up: Any, down: Any, *losses: bool) -> None:
    to_lossy, back_lossy = losses or (False, False)
    RETYPES[was, now] = (up, down, to_lossy)
    RETYPES[now, was] = (down, up, back_lossy)


_declare("int", "str", _to_text(_INT, "an integer"), _from_text(_INT, "an integer"))
_declare(
    "number", "str", _to_text(_NUMBER, "a number"), _from_text(_NUMBER, "a number")
)
_declare("bool", "str", _bool_to_text, _text_to_bool)
_declare("bool", "int", _bool_to_int, _int_to_bool)
_declare("int", "number", _same_number, _number_to_int(False), False, True)
_declare("epoch", "date-time", _epoch_to_stamp, _stamp_to_epoch, False, True)
_LOOSE = {("int", "number"), ("number", "int")}


def retyped(was: str, now: str, is_lossy: bool) -> tuple[Convert, Convert] | None:
    """Return (up, down) of a pair of types, None for one there is no rule for."""
    pair = RETYPES.get((was, now))
    if pair is None:
        return None
    up, down, _ = pair
    if is_lossy and (was, now) in _LOOSE:
        rounded = _number_to_int(True)
        up, down = (up, rounded) if was == "int" else (rounded, down)
    return _each(up), _each(down)


def _each(convert: Callable[[Any], Any]) -> Convert:
    def one(found: Sequence[Any], is_patch: bool) -> list[Any]:
        value = found[0]
        if value is ABSENT or _is_null(value):
            return [value]
        return [convert(value)]

    return one
