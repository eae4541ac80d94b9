"""The ticks of a cron expression found without stepping: every minute of a window is looked at on the zone's clock."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
RANGES = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 6)}

# Zones and dates at which a clock was put forward or back: by an hour, by half of one, at midnight, over a whole day, to
# the winter time that is the exception (Dublin), for a month (Casablanca).
WINDOWS = [
    ("Europe/Berlin", "2026-03-29"), ("Europe/Berlin", "2026-10-25"), ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"), ("Australia/Lord_Howe", "2026-04-05"), ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Sao_Paulo", "2018-02-18"), ("America/Sao_Paulo", "2018-11-04"), ("Europe/Dublin", "2026-03-29"),
    ("Europe/Dublin", "2026-10-25"), ("Africa/Casablanca", "2026-02-15"), ("Africa/Casablanca", "2026-03-22"),
    ("Pacific/Apia", "2011-12-30"), ("Asia/Tehran", "2022-03-22"), ("America/St_Johns", "2026-11-01"),
]  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A field as it is written, and what it means."""

    text: str
    values: frozenset[int]
    star: bool = False


@dataclass(frozen=True)
class Written:
    """Five fields."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def text(self) -> str:
        return " ".join(field.text for field in (self.minute, self.hour, self.day, self.month, self.weekday))

    @property
    def is_fixed(self) -> bool:
        return self.minute.text[0] != "*" and self.hour.text[0] != "*"

    def matches(self, wall: datetime) -> bool:
        on_day, on_weekday = wall.day in self.day.values, wall.isoweekday() % 7 in self.weekday.values
        right_day = on_day and on_weekday if self.day.star or self.weekday.star else on_day or on_weekday
        time_fits = wall.minute in self.minute.values and wall.hour in self.hour.values
        return time_fits and right_day and wall.month in self.month.values


def written(chance: random.Random) -> Written:
    """Return an expression of any shape; days and months more often open than not, or a window would have no tick."""
    open_more = {"minute": 2, "hour": 3, "day": 8, "month": 12, "weekday": 8}
    return Written(*(_field(chance, *bounds, open_more[name]) for name, bounds in RANGES.items()))


def ticks(
    expression: Written, place: ZoneInfo, start: datetime, end: datetime, *, gap: str, fold: str
) -> list[datetime]:
    """Return the ticks in [start, end) under the rules of daylight saving."""
    if not expression.is_fixed or (gap, fold) == ("skip", "both"):
        return [moment for moment in _minutes(start, end) if expression.matches(_wall(moment, place))]
    found = set()
    wall, last = _wall(start, place) - timedelta(days=2), _wall(end, place) + timedelta(days=2)
    for each in _minutes(wall, last):
        if expression.matches(each):
            found |= _instants(each, place, gap, fold)
    return sorted(moment for moment in found if start <= moment < end)


def _instants(wall: datetime, place: ZoneInfo, gap: str, fold: str) -> set[datetime]:
    """Return the instants at which the clock shows a time; of one that it leaves out, the end of the gap."""
    both = [wall.replace(tzinfo=place, fold=each).astimezone(UTC) for each in (0, 1)]
    shown = sorted({moment for moment in both if _wall(moment, place) == wall})
    if shown:
        return set(shown if fold == "both" else shown[:1])
    return {_end_of_gap(min(both), max(both), place)} if gap == "run" else set()


def _end_of_gap(low: datetime, high: datetime, place: ZoneInfo) -> datetime:
    offset = low.astimezone(place).utcoffset()
    return next(moment for moment in _minutes(low, high + MINUTE) if moment.astimezone(place).utcoffset() != offset)


def _minutes(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        yield start
        start += MINUTE


def _wall(moment: datetime, place: ZoneInfo) -> datetime:
    return moment.astimezone(place).replace(tzinfo=None, fold=0)


def _field(chance: random.Random, low: int, high: int, opens: int) -> Field:
    if chance.randrange(opens + 3) < opens:
        return _open_field(chance, low, high)
    if chance.random() < 0.5:
        values = sorted(chance.sample(range(low, high + 1), chance.randint(1, 3)))
        return Field(",".join(map(str, values)), frozenset(values))
    first = chance.randint(low, high)
    last, step = chance.randint(first, high), chance.randint(1, 5)
    return Field(f"{first}-{last}/{step}", frozenset(range(first, last + 1, step)))


def _open_field(chance: random.Random, low: int, high: int) -> Field:
    step = chance.choice([1, 1, 1, 2, 3, 7])
    return Field("*" if step == 1 else f"*/{step}", frozenset(range(low, high + 1, step)), star=step == 1)
