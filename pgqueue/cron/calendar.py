"""Schedules by the calendar: every so many days, weeks or months, at times of day."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

from pgqueue.cron.days import LONG_WEEKDAYS, WEEKDAYS, At, read_month_days, read_times, read_weekdays
from pgqueue.cron.describe import month_day_words, times_words, words
from pgqueue.cron.kinds import EPOCH, Zoned
from pgqueue.cron.when import aware
from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidSchedule

MOST_EVERY = 1000
_MOST_LOOKS = (
    4000  # months, days or weeks that are looked at for a day that fits: a leap day of every 48th month is among them
)


@dataclass(frozen=True, eq=False)
class ByCalendar(Zoned):
    """What days, weeks and months have in common: each day that counts has all times of day.

    Attributes:
        every: Each so many-th day, week or month counts, from that of the anchor.
        anchor: From when is counted; when a schedule is stored, its creation.
    """

    every: int = field(default=1, kw_only=True)
    anchor: datetime = field(default=EPOCH, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.every) is not int or not 1 <= self.every <= MOST_EVERY:
            raise InvalidSchedule(
                f"every={short(self.every)} is not a whole number from 1 to {MOST_EVERY}.", "Pass 1 for each."
            )
        aware(self.anchor, "anchor")

    @cached_property
    @abstractmethod
    def times(self) -> tuple[time, ...]:
        """The times of day, in order."""

    @abstractmethod
    def _days(self, first: date) -> Iterator[date]:
        """Yield the days that count, from one on."""

    @cached_property
    def anchor_day(self) -> date:
        """The anchor's day in the zone."""
        return self.anchor.astimezone(self.place).date()

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first tick strictly after an instant, in UTC."""
        return self._next(self._next_wall, instant, fixed=True)

    def _next_wall(self, wall: datetime) -> datetime | None:
        try:
            for day in self._days(wall.date()):
                for moment in self.times:
                    found = datetime.combine(day, moment)
                    if found > wall:
                        return found
        except OverflowError:
            pass
        return None

    def _told(self, unit: str, days: str) -> str:
        often = f"every {unit}" if self.every == 1 else f"every {self.every} {unit}s"
        return f"At {times_words(self.times)} {days}{often}, {self.tz}"

    def _written(self, unit: str, days: str) -> str:
        count = f"{unit}" if self.every == 1 else f"{self.every} {unit}s"
        moments = ",".join(f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}" for moment in self.times)
        return f"{self.prefix}@every {count} {days}at {moments}"


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
        assert self.times

    @cached_property
    def times(self) -> tuple[time, ...]:
        """The times of day, in order."""
        return read_times(self.at)

    def _days(self, first: date) -> Iterator[date]:
        behind = (first - self.anchor_day).days % self.every
        day = first if behind == 0 else first + timedelta(days=self.every - behind)
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

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.days
        assert self.times

    @cached_property
    def times(self) -> tuple[time, ...]:
        """The times of day, in order."""
        return read_times(self.at)

    @cached_property
    def days(self) -> tuple[int, ...]:
        """The days, from 0 = Monday, in order."""
        return read_weekdays(self.on)

    def _days(self, first: date) -> Iterator[date]:
        monday = first - timedelta(days=first.weekday())
        anchor = self.anchor_day - timedelta(days=self.anchor_day.weekday())
        behind = (monday - anchor).days // 7 % self.every
        if behind:
            monday += timedelta(weeks=self.every - behind)
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

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.days
        assert self.times
        if self.next_after(self.anchor.astimezone(UTC)) is None:
            raise InvalidSchedule(f"{self.text!r}: no month that counts has that day.", "Choose another day.")

    @cached_property
    def times(self) -> tuple[time, ...]:
        """The times of day, in order."""
        return read_times(self.at)

    @cached_property
    def days(self) -> tuple[int, ...]:
        """The days as they are said, in order."""
        return read_month_days(self.on)

    def _days(self, first: date) -> Iterator[date]:
        number = first.year * 12 + first.month - 1
        behind = (number - (self.anchor_day.year * 12 + self.anchor_day.month - 1)) % self.every
        number += self.every - behind if behind else 0
        for look in range(_MOST_LOOKS):
            year, month = divmod(number + look * self.every, 12)
            if year > date.max.year - 1:
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
