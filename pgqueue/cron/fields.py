"""One field of a cron expression: what may stand in it, and which values it means.

Source of the grammar: robfig/cron v3, as gocron takes it. Stricter where robfig guesses: an empty item, as in "1,,2", and a
sign, as in "*-5", are errors here. Wider in one thing: 7 is Sunday too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pgqueue.cron.days import WEEKDAYS
from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidSchedule

_NUMBER = re.compile(r"[0-9]+")
_NONE: Mapping[str, int] = MappingProxyType({})
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = (WEEKDAYS[-1], *WEEKDAYS[:-1])  # from Sunday


class Bounds(NamedTuple):
    """What a field takes.

    Attributes:
        name: As errors call it.
        low: Smallest value.
        high: Largest value that "*" and "n/step" reach.
        names: Words for values, in upper case.
        wraps: A value above that means the smallest one; None: there is none.
        shift: How much larger values are written than they mean; Quartz counts weekdays from 1.
        circular: Whether a range may end before it begins, and goes on from the smallest value; Quartz has it.
    """

    name: str
    low: int
    high: int
    names: Mapping[str, int] = _NONE
    wraps: int | None = None
    shift: int = 0
    circular: bool = False

    @property
    def range(self) -> str:
        """The values as a reader writes them."""
        words = f"{self.low + self.shift}-{self.high + self.shift}"
        return f"{words}, {next(iter(self.names))}-{list(self.names)[-1]}" if self.names else words


SECOND = Bounds("second", 0, 59)
MINUTE = Bounds("minute", 0, 59)
HOUR = Bounds("hour", 0, 23)
DAY = Bounds("day of month", 1, 31)
MONTH = Bounds("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)})
WEEKDAY = Bounds("weekday", 0, 6, {name: number for number, name in enumerate(_WEEKDAYS)}, wraps=7)
YEAR = Bounds("year", 1970, 2199)


class Field(NamedTuple):
    """What one field means.

    Attributes:
        values: Those that match.
        star: Whether it restricts nothing: "*" or "?" stands in it, alone or in a list, with no step above 1. Source: robfig.
        open: Whether it begins with "*" or "?": such a minute or hour follows the clock when that is put forward or back.
        marks: Items that only a calendar can resolve, as croniter writes them: "L", "15W", "5#3", "L5".
    """

    values: frozenset[int]
    star: bool
    open: bool
    marks: tuple[str, ...] = ()

    @property
    def canonical(self) -> str:
        """The field as croniter takes it and cannot misread: "*", or values in order."""
        return "*" if self.star else ",".join([*map(str, sorted(self.values)), *self.marks])


def read_field(text: str, bounds: Bounds, expression: str) -> Field:
    """Read a field of plain items.

    Args:
        text: The field.
        bounds: What it takes.
        expression: The whole, for the error.

    Raises:
        InvalidSchedule: An item is not in the grammar, or outside the range.
    """
    values: set[int] = set()
    star = False
    for item in text.split(","):
        found, unrestricted = _read_item(item, bounds, expression)
        values |= found
        star |= unrestricted
    return Field(frozenset(values), star, text[:1] in ("*", "?"))


def read_value(text: str, bounds: Bounds, expression: str) -> int:
    """Read a number or a name; 7 of the weekdays stays 7, for a range may end there.

    Raises:
        InvalidSchedule: It is neither, or outside the range.
    """
    if text.upper() in bounds.names:
        return bounds.names[text.upper()]
    if not _NUMBER.fullmatch(text):
        raise refusal(expression, bounds, text, "is not a value of it")
    value = int(text) - bounds.shift
    if value != bounds.wraps and not bounds.low <= value <= bounds.high:
        raise refusal(expression, bounds, text, "is outside its range")
    return value


def read_step(text: str, item: str, bounds: Bounds, expression: str) -> int:
    """Read what follows the slash of an item.

    Raises:
        InvalidSchedule: It is no whole number from 1 on.
    """
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        raise refusal(expression, bounds, item, "has a step that is no whole number from 1 on")
    return int(text)


def refusal(expression: str, bounds: Bounds, token: str, problem: str, remedy: str | None = None) -> InvalidSchedule:
    """Return the error of an item: it names the field, the item and the range."""
    return InvalidSchedule(
        f"{short(expression)}: in the {bounds.name} field, {short(token)} {problem}.",
        remedy or f"Values are {bounds.range}; write n, a-b, a-b/step, *, */step, or a list of them.",
    )


def _read_item(item: str, bounds: Bounds, expression: str) -> tuple[set[int], bool]:
    base, slash, step_text = item.partition("/")
    step = read_step(step_text, item, bounds, expression) if slash else 1
    if base in ("*", "?"):
        return set(range(bounds.low, bounds.high + 1, step)), step == 1
    first_text, dash, last_text = base.partition("-")
    if not first_text:
        raise refusal(expression, bounds, item, "is empty" if not item else "has no beginning")
    first = read_value(first_text, bounds, expression)
    last = read_value(last_text, bounds, expression) if dash else (bounds.high if slash else first)
    if first > last and bounds.circular:
        turn = bounds.high - bounds.low + 1
        return {(value - bounds.low) % turn + bounds.low for value in range(first, last + turn + 1, step)}, False
    if first > last:
        raise _reversed(item, first, last, step_text, bounds, expression, wraps=first == bounds.wraps)
    return {bounds.low if value == bounds.wraps else value for value in range(first, last + 1, step)}, False


def _reversed(
    item: str, first: int, last: int, step: str, bounds: Bounds, expression: str, *, wraps: bool
) -> InvalidSchedule:
    if wraps or step:
        return refusal(expression, bounds, item, "ends before it begins")
    shift = bounds.shift
    parts = [f"{first + shift}-{bounds.high + shift}", f"{bounds.low + shift}-{last + shift}"]
    return refusal(expression, bounds, item, "ends before it begins", f'Write two ranges: "{",".join(parts)}".')
