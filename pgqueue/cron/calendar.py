"""Schedules by the calendar: every so many days, weeks or months, at times of day."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import count

from pgqueue.cron.checks import aware, check_whole
from pgqueue.cron.days import LONG_WEEKDAYS, WEEKDAYS, At, read_month_days, read_times, read_weekdays
from pgqueue.cron.describe import month_day_words, time_word, times_words, words
from pgqueue.cron.kinds import EPOCH, Zoned
from pgqueue.model.errors import InvalidSchedule

MOST_EVERY = 1000


@dataclass(frozen=True, eq=False)
class ByCalendar(Zoned):
    """What days, weeks and months have in common: each day that counts has all times of day.

    Attributes:
        every: Each so many-th day, week or month counts, from that of the anchor.
        anchor: From when is counted; when a schedule is stored, its creation.
        anchor_day: The anchor's day in the zone.
        times: The times of day, in order.
    """

    every: int = field(default=1, kw_only=True)
    anchor: datetime = field(default=EPOCH, kw_only=True)
    anchor_day: date = field(init=False, repr=False)
    times: tuple[time, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("every", self.every, MOST_EVERY, "Pass 1 for each.")
        self._keep(anchor_day=aware(self.anchor, "anchor").astimezone(self.place).date())

    @abstractmethod
    def _days(self, first: date) -> Iterator[date]:
        """Yield the days that count, from one on."""

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick strictly after an instant, in UTC."""
        return self._next(self._next_wall, instant, fixed=True)

    def _next_wall(self, wall: datetime) -> datetime | None:
        moments = (datetime.combine(day, each) for day in self._days(wall.date()) for each in self.times)
        return next((moment for moment in moments if moment > wall), None)

    def _told(self, unit: str, days: str) -> str:
        often = f"every {unit}" if self.every == 1 else f"every {self.every} {unit}s"
        return f"At {times_words(self.times)} {days}{often}, {self.tz}"

    def _written(self, unit: str, days: str) -> str:
        often = unit if self.every == 1 else f"{self.every} {unit}s"
        return f"{self.prefix}@every {often} {days}at {','.join(map(time_word, self.times))}"

    @property
    def _said(self) -> tuple[object, ...]:
        return self.text, self.anchor


@dataclass(frozen=True, eq=False)
class Daily(ByCalendar):
    """Every day, or every so many days, at times of day.

    Args:
        at: "09:00", "17:30:15" or times, one or several.
        every: Each so many-th day, from the anchor's.
        tz, gap, fold: As for ``Cron``.
        anchor: From when is counted.

    Raises:
        InvalidSchedule: A value is outside its range.
    """

    at: At = "00:00"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._keep(times=read_times(self.at))

    def _days(self, first: date) -> Iterator[date]:
        day = first + timedelta(days=(self.anchor_day - first).days % self.every)
        while True:
            yield day
            day += timedelta(days=self.every)

    def describe(self) -> str:
        """Return a sentence in plain English."""
        return self._told("day", "")

    @property
    def text(self) -> str:
        """It in one line."""
        return self._written("day", "")


@dataclass(frozen=True, eq=False)
class Weekly(ByCalendar):
    """On days of the week, every week or every so many weeks, at times of day.

    Args:
        on: "MON", "friday", or several.
        at: As for ``Daily``.
        every: Each so many-th week, from the anchor's; weeks begin on Monday.
        tz, gap, fold: As for ``Cron``.
        anchor: From when is counted.

    Raises:
        InvalidSchedule: A value is outside its range.
    """

    on: str | Iterable[str] = "MON"
    at: At = "00:00"
    days: tuple[int, ...] = field(init=False, repr=False)  # from 0 = Monday

    def __post_init__(self) -> None:
        super().__post_init__()
        self._keep(days=read_weekdays(self.on), times=read_times(self.at))

    def _days(self, first: date) -> Iterator[date]:
        monday = first - timedelta(days=first.weekday())
        anchor = self.anchor_day - timedelta(days=self.anchor_day.weekday())
        monday += timedelta(weeks=(anchor - monday).days // 7 % self.every)
        while True:
            yield from (day for number in self.days if (day := monday + timedelta(days=number)) >= first)
            monday += timedelta(weeks=self.every)

    def describe(self) -> str:
        """Return a sentence in plain English."""
        return self._told("week", f"on {words([LONG_WEEKDAYS[day] for day in self.days])} ")

    @property
    def text(self) -> str:
        """It in one line."""
        return self._written("week", f"on {','.join(WEEKDAYS[day] for day in self.days)} ")


@dataclass(frozen=True, eq=False)
class Monthly(ByCalendar):
    """On days of the month, every month or every so many months, at times of day. Months that lack a day leave it out.

    Args:
        on: 1 to 31, or -1 to -31 from the end: -1 is the last day; one or several.
        at: As for ``Daily``.
        every: Each so many-th month, from the anchor's.
        tz, gap, fold: As for ``Cron``.
        anchor: From when is counted.

    Raises:
        InvalidSchedule: A value is outside its range.
    """

    on: int | Iterable[int] = 1
    at: At = "00:00"
    days: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._keep(days=read_month_days(self.on), times=read_times(self.at))
        if self.next_after(self.anchor.astimezone(UTC)) is None:
            raise InvalidSchedule(f"{self.text!r}: no month that counts has that day.", "Choose another day.")

    def _days(self, first: date) -> Iterator[date]:
        number = _month_number(first)
        number += (_month_number(self.anchor_day) - number) % self.every
        for each in count(number, self.every):
            year, month = divmod(each, 12)
            if year >= date.max.year:
                return
            yield from (day for day in self._days_of(year, month + 1) if day >= first)

    def _days_of(self, year: int, month: int) -> list[date]:
        after = date(year + month // 12, month % 12 + 1, 1)
        length = (after - date(year, month, 1)).days
        days = {day if day > 0 else length + 1 + day for day in self.days}
        return [date(year, month, day) for day in sorted(days) if 1 <= day <= length]

    def describe(self) -> str:
        """Return a sentence in plain English."""
        return self._told("month", f"on {words([month_day_words(day) for day in self.days])} of ")

    @property
    def text(self) -> str:
        """It in one line."""
        return self._written("month", f"on {','.join(map(str, self.days))} ")


def _month_number(day: date) -> int:
    return day.year * 12 + day.month - 1
