"""The last tick of a long time is found without walking over those before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgqueue.cron import Cron, Monthly, When
from pgqueue.cron.when import last_in

NOW = datetime(2026, 3, 28, 12, 0, 30, tzinfo=UTC)
YEAR = timedelta(days=365)


def counted(when: When, floor: datetime, now: datetime) -> tuple[datetime | None, int]:
    asked = 0

    def next_after(instant: datetime) -> datetime | None:
        nonlocal asked
        asked += 1
        return when.next_after(instant)

    return last_in(next_after, floor, now), asked


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (Cron("* * * * *"), NOW.replace(second=0)),
        (Cron("* * * * * *"), NOW),
        (Cron("0 3 * * *", tz="Europe/Berlin"), NOW.replace(hour=2, minute=0, second=0)),
        (Cron("0 0 1 7 *"), datetime(2025, 7, 1, tzinfo=UTC)),
        (Cron("0 0 29 2 *"), None),
        (Monthly(-1), datetime(2026, 2, 28, tzinfo=UTC)),
    ],
    ids=lambda value: value.text if isinstance(value, When) else "",
)
def test_a_year_takes_at_most_two_hundred_questions(when: When, expected: datetime | None) -> None:
    found, asked = counted(when, NOW - YEAR, NOW)
    assert found == expected
    assert asked <= 200


def test_the_floor_does_not_count_and_now_does() -> None:
    every_minute, minute = Cron("* * * * *"), NOW.replace(second=0)
    assert every_minute.last_in(minute, NOW) is None
    assert every_minute.last_in(minute - timedelta(seconds=1), minute) == minute
    assert every_minute.last_in(NOW, NOW - YEAR) is None


def test_a_floor_before_the_calendar_of_the_window_is_no_trouble() -> None:
    assert Cron("* * * * *").last_in(datetime(1, 1, 2, tzinfo=UTC), NOW) == NOW.replace(second=0)
