"""Times of day, days of the week and of the month, as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import time
from typing import TypeAlias, TypeVar

from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidSchedule

At: TypeAlias = str | time | Iterable[str | time]

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
LONG_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_T = TypeVar("_T")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_NUMBERS = {name.upper(): number for names in (WEEKDAYS, LONG_WEEKDAYS) for number, name in enumerate(names)}


def read_times(given: At) -> tuple[time, ...]:
    """Read times of day; return them in order, each once.

    Raises:
        InvalidSchedule: There is none, or one is not "HH:MM", "HH:MM:SS" or a time of whole seconds without a zone.
    """
    return _in_order([_read_time(each) for each in _several(given, (str, time), "at")], "at")


def read_weekdays(given: str | Iterable[str]) -> tuple[int, ...]:
    """Read days of the week; return them in order from 0 = Monday, each once.

    Raises:
        InvalidSchedule: There is none, or one is no name of a day.
    """
    return _in_order([_read_weekday(each) for each in _several(given, (str,), "on")], "on")


def read_month_days(given: int | Iterable[int]) -> tuple[int, ...]:
    """Read days of the month; return them from the first to the last, each once.

    Raises:
        InvalidSchedule: There is none, or one is not 1 to 31 or -1 to -31.
    """
    days = _in_order([_read_month_day(each) for each in _several(given, (int,), "on")], "on")
    return tuple(sorted(days, key=lambda day: (day < 0, day)))


def _several(given: object, kinds: tuple[type, ...], option: str) -> list[object]:
    if isinstance(given, kinds):
        return [given]
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise InvalidSchedule(f"{option}={short(given)} cannot be read.", "Pass one, or a list of them.")
    return list(given)


def _in_order(read: list[_T], option: str) -> tuple[_T, ...]:
    if not read:
        raise InvalidSchedule(f"{option} names nothing.", "Pass at least one.")
    return tuple(sorted(set(read)))  # type: ignore[type-var] # times and numbers are in order


def _read_time(given: object) -> time:
    if isinstance(given, time):
        if given.tzinfo is None and not given.microsecond:
            return given.replace(fold=0)
    elif isinstance(given, str) and (found := _TIME.fullmatch(given)) is not None:
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        if hour < 24 and minute < 60 and second < 60:
            return time(hour, minute, second)
    raise InvalidSchedule(
        f"at={short(given)} is no time of day in whole seconds.", 'Write "09:00" or "17:30:15"; the zone is tz=.'
    )


def _read_weekday(given: object) -> int:
    if isinstance(given, str) and given.upper() in _NUMBERS:
        return _NUMBERS[given.upper()]
    raise InvalidSchedule(f"on={short(given)} is no day of the week.", f"Write one of {', '.join(WEEKDAYS)}.")


def _read_month_day(given: object) -> int:
    if type(given) is int and 1 <= abs(given) <= 31:
        return given
    raise InvalidSchedule(
        f"on={short(given)} is no day of a month.", "Write 1 to 31, or -1 to -31 from the end: -1 is the last day."
    )
