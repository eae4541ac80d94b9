"""Schedules in plain English: one sentence that says when, and in which zone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time, timedelta
from itertools import pairwise, product
from typing import TYPE_CHECKING

from pgqueue.cron.days import LONG_WEEKDAYS
from pgqueue.cron.fields import DAY, HOUR, MINUTE, SECOND, Bounds, Field

if TYPE_CHECKING:
    from pgqueue.cron.expression import Expression

MOST_TIMES = 6  # more are told by their fields

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_LENGTHS = (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def describe_cron(expression: Expression, tz: str) -> str:
    """Return a sentence for a cron expression in a zone."""
    moment, is_time_of_day = _moment(expression)
    days = _days(expression)
    parts = [moment, days or ("every day" if is_time_of_day else ""), _months(expression.month), _years(expression)]
    sentence = " ".join(part for part in parts if part)
    depends_on_zone = is_time_of_day or days or not (expression.hour.star and expression.month.star)
    return sentence[0].upper() + sentence[1:] + (f", {tz}" if depends_on_zone else "")


def words(parts: Sequence[object]) -> str:
    """Return "a, b and c"."""
    *first, last = map(str, parts)
    return f"{', '.join(first)} and {last}" if first else last


def times_words(times: Sequence[time]) -> str:
    """Return times of day as "09:00 and 17:30:15"."""
    return words([time_word(each) for each in times])


def time_word(moment: time) -> str:
    """Return a time of day as "09:00" or "17:30:15"."""
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"


def length_words(length: timedelta) -> str:
    """Return a length of whole seconds as "1 hour 30 minutes"."""
    rest, parts = int(length.total_seconds()), []
    for unit, size in _LENGTHS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
    return " ".join(parts)


def month_day_words(day: int) -> str:
    """Return a day of the month, from its end when negative, as "day 15" or "the last day"."""
    if day > 0:
        return f"day {day}"
    return "the last day" if day == -1 else f"the last day but {-day - 1}"


def _moment(expression: Expression) -> tuple[str, bool]:
    """Return when within a day, and whether that is told by times of day."""
    second, minute, hour = expression.second, expression.minute, expression.hour
    if not (second.star or minute.star or hour.star):
        count = len(second.values) * len(minute.values) * len(hour.values)
        if count <= MOST_TIMES:
            every = product(sorted(hour.values), sorted(minute.values), sorted(second.values))
            return f"at {times_words([time(*each) for each in every])}", True
    of_hours = "" if hour.star else f"in {_listed('hour', hour, HOUR)}"
    if second.values == {0}:
        lead = _often(minute, MINUTE)
        return _joined(lead, of_hours or ("of every hour" if lead.startswith("at") else "")), False
    lead, often = _often(second, SECOND), _often(minute, MINUTE)
    if not lead.startswith("at"):
        in_minutes = "" if minute.star else f"in {_listed('minute', minute, MINUTE)}"
        return _joined(lead, in_minutes, of_hours), False
    if minute.star:
        return _joined(lead, "of every minute", of_hours), False
    return _joined(
        f"{lead}, {often}" if often.startswith("every") else f"{lead} of {often.removeprefix('at ')}", of_hours
    ), False


def _often(field: Field, bounds: Bounds) -> str:
    """Return "every 5 minutes" or "at minutes 5 and 20"."""
    if field.star:
        return f"every {bounds.name}"
    step = _step(sorted(field.values), bounds)
    if step:
        first = min(field.values)
        return f"every {step} {bounds.name}s" + (f" from {bounds.name} {first} on" if first else "")
    return f"at {_listed(bounds.name, field, bounds)}"


def _step(values: Sequence[int], bounds: Bounds) -> int | None:
    """Return the distance of values that stand evenly over the whole range."""
    steps = {after - before for before, after in pairwise(values)}
    if len(steps) != 1 or len(values) < 2:
        return None
    step = steps.pop()
    goes_round = step > 1 and values[0] < step and values[-1] + step > bounds.high
    return step if goes_round and (bounds.high + 1) % step == 0 else None


def _listed(name: str, field: Field, bounds: Bounds) -> str:
    """Return "minute 5", "minutes 5 and 20" or "hours 8 to 18"."""
    values = sorted(field.values)
    if len(values) == 1:
        return f"{name} {values[0]}"
    return f"{name}s {_values([str(value) for value in values], values)}"


def _values(names: Sequence[str], values: Sequence[int]) -> str:
    """Return values by their names; three or more in a row as a range."""
    if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f"{names[0]} to {names[-1]}"
    return words(names)


def _days(expression: Expression) -> str:
    day, weekday = expression.day, expression.weekday
    of_month = "" if day.star else f"on {_month_days(day)} of the month"
    of_week = "" if weekday.star else f"on {_weekdays(weekday)}"
    return f"{of_month} or {of_week}" if of_month and of_week else of_month or of_week


def _month_days(day: Field) -> str:
    plain = [_listed("day", day, DAY)] if day.values else []
    marked = ["the last day" if mark == "L" else f"the weekday nearest to day {mark[:-1]}" for mark in day.marks]
    return words([*plain, *marked])


def _weekdays(weekday: Field) -> str:
    if weekday.marks:
        return words([_marked_weekday(mark) for mark in weekday.marks])
    days = sorted(_from_monday(value) for value in weekday.values)
    return _values([LONG_WEEKDAYS[day] for day in days], days)


def _marked_weekday(mark: str) -> str:
    if mark.startswith("L"):
        return f"the last {LONG_WEEKDAYS[_from_monday(int(mark[1:]))]} of the month"
    value, _, week = mark.partition("#")
    return f"the {_ORDINALS[int(week) - 1]} {LONG_WEEKDAYS[_from_monday(int(value))]} of the month"


def _from_monday(value: int) -> int:
    """Return a day of the week from 0 = Monday, as days.py counts, for one from 0 = Sunday, as cron does."""
    return (value - 1) % len(LONG_WEEKDAYS)


def _months(month: Field) -> str:
    values = sorted(month.values)
    return "" if month.star else f"in {_values([_MONTHS[value - 1] for value in values], values)}"


def _years(expression: Expression) -> str:
    values = sorted(expression.year.values)
    return "" if expression.year.star else f"in {_values([str(value) for value in values], values)}"


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)
