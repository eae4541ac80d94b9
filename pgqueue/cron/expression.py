"""A cron expression: five or six fields as robfig/cron and gocron read them, or Quartz' six or seven."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal, TypeAlias

from pgqueue.cron.fields import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, YEAR, Bounds, Field, read_field, refusal
from pgqueue.cron.marks import read_marked
from pgqueue.cron.stepper import Stepper, stepper
from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidSchedule

Dialect: TypeAlias = Literal["standard", "extended", "quartz"]
DIALECTS: tuple[Dialect, ...] = ("standard", "extended", "quartz")

_FIELDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)
_QUARTZ = (
    *(bounds._replace(circular=True) for bounds in (SECOND, MINUTE, HOUR, DAY, MONTH)),
    WEEKDAY._replace(circular=True, wraps=None, shift=1),
)
_EVER = Field(frozenset(range(YEAR.low, YEAR.high + 1)), star=True, open=True)
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SOME_TIME = datetime(1999, 12, 31, 23, 59, 59)


@dataclass(frozen=True)
class Expression:
    """What a cron expression means, in wall-clock time.

    Attributes:
        second, minute, hour, day, month, weekday, year: The fields.
    """

    second: Field
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    year: Field = _EVER

    @property
    def canonical(self) -> str:
        """The six fields as croniter takes them."""
        six = (self.second, self.minute, self.hour, self.day, self.month, self.weekday)
        return " ".join(field.canonical for field in six)

    @cached_property
    def step(self) -> Stepper:
        """What finds its next match in any year."""
        return stepper(self.canonical)

    @property
    def is_fixed(self) -> bool:
        """Whether it names times of day. Else it follows the clock: the rule of classic cron for daylight saving."""
        return not (self.minute.open or self.hour.open)

    def next_wall(self, wall: datetime) -> datetime | None:
        """Return the next wall-clock time strictly after another; None when there is none within eight years."""
        found = self.step(wall)
        while found is not None and found.year not in self.year.values:
            later = [year for year in self.year.values if year > found.year]
            if not later:
                return None
            found = self.step(datetime(min(later), 1, 1) - datetime.resolution)
        return found


def read_expression(text: str, dialect: Dialect = "standard", key: str | None = None) -> Expression:
    """Read an expression without its zone.

    Args:
        text: Fields divided by blanks, or a descriptor such as "@daily". "standard": minute hour day-of-month month weekday,
            or six with seconds first. "extended": the same, with L, W, # and H. "quartz": seconds first, weekdays from
            1 = SUN, "?" in one of the day fields, and if need be a year at the end.
        dialect: Which.
        key: The schedule's key, by which H is spread.

    Raises:
        InvalidSchedule: It is not in the grammar, a value is outside its range, or no date ever matches.
    """
    fields = _DESCRIPTORS.get(text, text).split() if dialect != "quartz" else text.split()
    if text.startswith("@") and text not in _DESCRIPTORS:
        raise _unknown_descriptor(text)
    read = _read_quartz if dialect == "quartz" else _read_standard
    expression = read(fields, text, dialect, key)
    _check_days(expression, text)
    if expression.step(_SOME_TIME) is None:
        raise InvalidSchedule(f"{short(text)}: no month has that day.", "Choose a day that the month has.")
    return expression


def _read_standard(fields: list[str], text: str, dialect: Dialect, key: str | None) -> Expression:
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise InvalidSchedule(
            f"{short(text)} has {len(fields)} fields.",
            'Write five, "minute hour day-of-month month weekday", or six with seconds first.',
        )
    return Expression(*(_field(*each, text, dialect, key) for each in zip(fields, _FIELDS, strict=True)))


def _read_quartz(fields: list[str], text: str, dialect: Dialect, key: str | None) -> Expression:
    if len(fields) not in (6, 7):
        raise InvalidSchedule(
            f"{short(text)} has {len(fields)} fields.",
            'Quartz takes six, "second minute hour day-of-month month weekday", and if need be a year.',
        )
    if (fields[3] == "?") == (fields[5] == "?"):
        raise InvalidSchedule(
            f'{short(text)}: Quartz wants "?" in the day-of-month or the weekday field, and in one only.',
            'Write "?" in the one that does not matter.',
        )
    for token, bounds in zip(fields[:3] + fields[4:5] + fields[6:], (SECOND, MINUTE, HOUR, MONTH, YEAR), strict=False):
        if "?" in token:
            raise refusal(text, bounds, token, "is not for this field", 'Write "*".')
    read = [_field(*each, text, dialect, key) for each in zip(fields[:6], _QUARTZ, strict=True)]
    years = [read_field(year, YEAR, text) for year in fields[6:]]
    return Expression(*read, *years)


def _field(token: str, bounds: Bounds, text: str, dialect: Dialect, key: str | None) -> Field:
    if dialect != "standard":
        return read_marked(token, bounds, text, key)
    try:
        return read_field(token, bounds, text)
    except InvalidSchedule as error:
        raise _hinted(error, token, bounds, text) from None


def _hinted(error: InvalidSchedule, token: str, bounds: Bounds, text: str) -> InvalidSchedule:
    """Say of L, W, # and H that another dialect has them, if it does."""
    try:
        read_marked(token, bounds, text, key="")
    except InvalidSchedule:
        return error
    return refusal(
        text,
        bounds,
        token,
        "is not of the standard dialect",
        'Pass dialect="extended" (weekdays 0-6, 0 = SUN), or dialect="quartz" (weekdays 1-7, 1 = SUN).',
    )


def _check_days(expression: Expression, text: str) -> None:
    """Both day fields at once are right for plain values only: croniter drops the one or fails for L, W and #."""
    day, weekday = expression.day, expression.weekday
    if (day.marks and not weekday.star) or (weekday.marks and not day.star):
        raise InvalidSchedule(
            f"{short(text)}: L, W and # stand in one day field only while the other one is *.",
            "Make two schedules of it.",
        )


def _unknown_descriptor(text: str) -> InvalidSchedule:
    if text == "@reboot":
        return InvalidSchedule(
            "'@reboot' names no time: a queue outlives its processes.", "Enqueue the job where the application starts."
        )
    return InvalidSchedule(
        f"{short(text)} is no descriptor.", f"Write one of {', '.join(_DESCRIPTORS)}, or @every 10s; in lower case."
    )
