"""Intervals, random times, calendars, instants, and the time after a run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest

from pgqueue.cron import AfterCompletion, Cron, Daily, Every, EveryBetween, Monthly, Once, Weekly, When
from pgqueue.model.errors import InvalidSchedule

START = datetime(2026, 3, 28, 12, tzinfo=UTC)  # a Saturday
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def times(when: When, count: int, start: datetime = START) -> list[str]:
    return [f"{tick:%m-%d %H:%M:%S}" for tick in when.upcoming(start, count)]


def test_an_interval_counts_from_its_anchor_whatever_time_passes() -> None:
    every = Every("10m", anchor=START + timedelta(seconds=7, microseconds=5))
    assert times(every, 2) == ["03-28 12:10:07", "03-28 12:20:07"]
    assert every.next_after(START - timedelta(days=1)) == START + timedelta(minutes=10, seconds=7)
    assert every.next_after(START + timedelta(minutes=10, seconds=7)) == START + timedelta(minutes=20, seconds=7)
    assert times(Every(7), 2, START) == ["03-28 12:00:06", "03-28 12:00:13"], "from 1970 on"


def test_random_intervals_stay_within_their_bounds_and_are_the_same_for_a_seed() -> None:
    ticks = EveryBetween("5s", "10s", seed="a").upcoming(START, 500)
    lengths = [int((after - before).total_seconds()) for before, after in pairwise(ticks)]
    assert set(lengths) == set(range(5, 11))
    assert ticks == EveryBetween(5, 10, seed="a").upcoming(START, 500)
    assert ticks != EveryBetween(5, 10, seed="b").upcoming(START, 500)
    assert 7.2 < sum(lengths) / len(lengths) < 7.8


def test_the_last_random_tick_of_a_long_time_is_found_at_once() -> None:
    every = EveryBetween("1s", "2s")
    last = every.last_in(START - timedelta(days=3650), START)
    assert last is not None
    assert START - timedelta(seconds=2) < last <= START
    assert every.last_in(START, START) is None


def test_days_are_counted_from_the_day_of_the_anchor() -> None:
    assert times(Daily(["17:30:15", "09:00"]), 3) == ["03-28 17:30:15", "03-29 09:00:00", "03-29 17:30:15"]
    every_third = Daily(time(9), every=3, anchor=datetime(2026, 3, 27, 23, tzinfo=UTC))
    assert times(every_third, 2) == ["03-30 09:00:00", "04-02 09:00:00"]
    assert times(every_third, 1, START - timedelta(days=3)) == ["03-27 09:00:00"]
    auckland = Daily("09:00", every=2, tz="Pacific/Auckland", anchor=datetime(2026, 3, 27, 23, tzinfo=UTC))
    assert times(auckland, 1) == ["03-29 20:00:00"], "the anchor is on the 28th there, so the 30th counts"


def test_weeks_begin_on_monday_and_are_counted_from_that_of_the_anchor() -> None:
    assert times(Weekly(["friday", "MON"], "09:00"), 3) == ["03-30 09:00:00", "04-03 09:00:00", "04-06 09:00:00"]
    other = Weekly(["MON", "SUN"], "09:00", every=2, anchor=START)
    assert times(other, 4) == ["03-29 09:00:00", "04-06 09:00:00", "04-12 09:00:00", "04-20 09:00:00"]


def test_months_that_lack_a_day_leave_it_out() -> None:
    assert times(Monthly(31), 3) == ["03-31 00:00:00", "05-31 00:00:00", "07-31 00:00:00"]
    assert times(Monthly([1, -1], "09:00"), 3) == ["03-31 09:00:00", "04-01 09:00:00", "04-30 09:00:00"]
    assert times(Monthly([-1, 30]), 3) == ["03-30 00:00:00", "03-31 00:00:00", "04-30 00:00:00"], (
        "the 30th once in April"
    )
    assert times(Monthly(-31), 2) == ["05-01 00:00:00", "07-01 00:00:00"]
    assert times(Monthly(15, every=5, anchor=START), 2) == ["08-15 00:00:00", "01-15 00:00:00"]


def test_a_leap_day_every_fourth_year_is_found_and_a_day_that_never_comes_refused() -> None:
    leap = Monthly(29, every=48, anchor=datetime(2024, 2, 1, tzinfo=UTC))
    assert [tick.year for tick in leap.upcoming(START, 2)] == [2028, 2032]
    with pytest.raises(InvalidSchedule, match="no month that counts has that day"):
        Monthly(30, every=12, anchor=datetime(2024, 2, 1, tzinfo=UTC))


def test_instants_come_in_order_and_once() -> None:
    once = Once(START + timedelta(hours=2), START + timedelta(hours=1), START + timedelta(hours=2))
    assert times(once, 5) == ["03-28 13:00:00", "03-28 14:00:00"]
    assert once.last_in(START, START + timedelta(hours=9)) == START + timedelta(hours=2)
    assert once.next_after(LAST) is None


def test_the_time_after_a_run_is_never_too_short() -> None:
    after = AfterCompletion("10m")
    assert after.next_after(START) == START + timedelta(minutes=10)
    assert after.next_after(START + timedelta(microseconds=1)) == START + timedelta(minutes=10, seconds=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Every(0),
        lambda: Every("0.5s"),
        lambda: Every(1.5),
        lambda: Every(-1),
        lambda: Every("soon"),
        lambda: Every(None),  # type: ignore[arg-type]
        lambda: Every("1s", anchor=datetime(2026, 1, 1)),
        lambda: EveryBetween(5, 5),
        lambda: EveryBetween(6, 5),
        lambda: AfterCompletion(0),
        lambda: Daily([]),
        lambda: Daily("24:00"),
        lambda: Daily("09:60"),
        lambda: Daily("9"),
        lambda: Daily(time(9, tzinfo=UTC)),
        lambda: Daily(time(9, 0, 0, 5)),
        lambda: Daily(9),  # type: ignore[arg-type]
        lambda: Daily(every=0),
        lambda: Daily(every=True),
        lambda: Daily(every=1001),
        lambda: Daily(tz="Mars/Olympus"),
        lambda: Daily(tz=""),
        lambda: Daily(tz=None),  # type: ignore[arg-type]
        lambda: Daily(gap="maybe"),  # type: ignore[arg-type]
        lambda: Weekly("Someday"),
        lambda: Weekly([1]),  # type: ignore[list-item]
        lambda: Weekly([]),
        lambda: Monthly(0),
        lambda: Monthly(32),
        lambda: Monthly(-32),
        lambda: Monthly(True),
        lambda: Monthly("1"),  # type: ignore[arg-type]
        Once,
        lambda: Once(datetime(2026, 1, 1)),
        lambda: Once(START.replace(microsecond=5)),
        lambda: Once(*[START + timedelta(seconds=second) for second in range(1001)]),
        lambda: Once("2026-01-01"),  # type: ignore[arg-type]
        lambda: Cron("* * * * *").next_after(datetime(2026, 1, 1)),
        lambda: Cron("* * * * *").next_after("now"),  # type: ignore[arg-type]
    ],
)
def test_what_makes_no_schedule_is_refused_where_it_is_written(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidSchedule):
        make()


@pytest.mark.parametrize(
    "when",
    [Cron("* * * * *"), Cron("0 0 29 2 *"), Every("1s"), EveryBetween(1, 2), Daily(), Weekly(), Monthly(),
     Monthly(29, every=48, anchor=datetime(2024, 2, 1, tzinfo=UTC)), Once(START), AfterCompletion("1s"),
     Daily(tz="Pacific/Kiritimati"), Cron("0 * * * *", tz="America/Los_Angeles")],
    ids=lambda when: when.text,
)  # fmt: skip
def test_the_end_of_the_calendar_is_the_end_of_every_series(when: When) -> None:
    assert when.next_after(LAST) is None
    assert when.upcoming(LAST - timedelta(days=1), 5) is not None
    assert when.next_after(datetime(1, 1, 2, tzinfo=UTC)) is not None


def test_one_schedule_serves_many_threads() -> None:
    cron, right = Cron("*/7 * * * *", tz="Europe/Berlin"), list[bool]()
    expected = {hour: cron.upcoming(START + timedelta(hours=hour), 20) for hour in range(8)}

    def ask(hour: int) -> None:
        right.extend(cron.upcoming(START + timedelta(hours=hour), 20) == expected[hour] for _ in range(30))

    threads = [threading.Thread(target=ask, args=(hour,)) for hour in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 240


def test_schedules_cannot_be_changed_and_are_equal_when_they_say_the_same() -> None:
    with pytest.raises(AttributeError):
        Every("1s").length = "2s"  # type: ignore[misc]
    assert Every("60s") == Every("1m") == Every(timedelta(minutes=1))
    assert Every("60s") != Every("60s", anchor=START)
    assert Daily("9:00") == Daily(["09:00", time(9)])
    assert len({Cron("0 9 * * *"), Cron("0  9 * * *"), Cron("0 9 * * *", tz="Europe/Paris")}) == 2
