"""Time zones: the instants at which a zone's clock is put forward or back, found once for a zone and year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pgqueue.model.conversion import short
from pgqueue.model.errors import InvalidSchedule

_FIRST_YEAR, _LAST_YEAR = 2, 9990  # a day's margin to the ends of datetime, and more
_SECOND = timedelta(seconds=1)


class Change(NamedTuple):
    """A change of a zone's offset.

    Attributes:
        at: The first instant with the new offset, in UTC without saying so.
        before: Offset until then.
        behind: Offset from then on.
    """

    at: datetime
    before: timedelta
    behind: timedelta


def zone(name: str) -> ZoneInfo:
    """Return a zone by its IANA name.

    Raises:
        InvalidSchedule: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise InvalidSchedule(
            f"{short(name)} is no time zone.", 'Write its IANA name, such as "Europe/Paris", or "UTC".'
        ) from None


def offset_at(place: ZoneInfo, moment: datetime) -> timedelta:
    """Return a zone's offset at an instant, given in UTC without saying so."""
    offset = moment.replace(tzinfo=UTC).astimezone(place).utcoffset()
    assert offset is not None
    return offset


def is_second_pass(place: ZoneInfo, moment: datetime) -> bool:
    """Whether the clock shows the time of an instant, given in UTC without saying so, for the second time."""
    return moment.replace(tzinfo=UTC).astimezone(place).fold == 1


def first_change(place: ZoneInfo, after: datetime, until: datetime) -> Change | None:
    """Return the first change in (after, until], both in UTC without saying so."""
    for year in range(after.year, until.year + 1):
        for change in _changes(place, year):
            if after < change.at <= until:
                return change
    return None


@lru_cache(maxsize=4096)
def _changes(place: ZoneInfo, year: int) -> tuple[Change, ...]:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return ()
    first, last = datetime(year, 1, 1), datetime(year + 1, 1, 1)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    offsets = [(day, offset_at(place, day)) for day in days]
    return tuple(
        _change_between(place, day, following, before)
        for (day, before), (following, behind) in pairwise(offsets)
        if before != behind
    )


def _change_between(place: ZoneInfo, low: datetime, high: datetime, before: timedelta) -> Change:
    """Find the change between two instants to the second; no zone has two in a day."""
    while high - low > _SECOND:
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if offset_at(place, middle) == before:
            low = middle
        else:
            high = middle
    return Change(high, before, offset_at(place, high))
