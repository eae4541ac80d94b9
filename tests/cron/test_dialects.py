"""Quartz' expressions under its own name, and L, W, # and H."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from pgqueue.cron import Cron
from pgqueue.cron.expression import Dialect
from pgqueue.model.errors import InvalidSchedule

START = datetime(2026, 3, 28, 12, tzinfo=UTC)


def next_days(expression: str, dialect: Dialect, count: int = 3) -> list[str]:
    return [f"{tick:%Y-%m-%d}" for tick in Cron(expression, dialect=dialect).upcoming(START, count)]


def next_times(expression: str, dialect: Dialect, count: int = 3) -> list[str]:
    return [f"{tick:%d %H:%M:%S}" for tick in Cron(expression, dialect=dialect).upcoming(START, count)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 2 * * ?", ["29 02:00:00", "30 02:00:00", "31 02:00:00"]),
        ("0 */5 8-18 * * ?", ["28 12:05:00", "28 12:10:00", "28 12:15:00"]),
        ("0 0/15 9 ? * MON-FRI", ["30 09:00:00", "30 09:15:00", "30 09:30:00"]),
        ("0 0 12 ? * 2", ["30 12:00:00", "06 12:00:00", "13 12:00:00"]),
        ("0 0 22-2 * * ?", ["28 22:00:00", "28 23:00:00", "29 00:00:00"]),
        ("0 0 12 ? * FRI-MON", ["29 12:00:00", "30 12:00:00", "03 12:00:00"]),
    ],
)
def test_quartz_counts_weekdays_from_sunday_and_lets_ranges_go_round(expression: str, expected: list[str]) -> None:
    assert next_times(expression, "quartz") == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 12 L * ?", ["2026-03-31", "2026-04-30", "2026-05-31"]),
        ("0 0 12 15W * ?", ["2026-04-15", "2026-05-15", "2026-06-15"]),
        ("0 0 12 ? * 6L", ["2026-04-24", "2026-05-29", "2026-06-26"]),
        ("0 0 12 ? * 6#3", ["2026-04-17", "2026-05-15", "2026-06-19"]),
        ("0 0 12 ? * FRI#5", ["2026-05-29", "2026-07-31", "2026-10-30"]),
        ("0 0 12 1 1 ? 2028-2030", ["2028-01-01", "2029-01-01", "2030-01-01"]),
        ("0 0 12 1 1 ? 2190", ["2190-01-01"]),
        ("0 0 12 1 1 ? 2025", []),
    ],
)
def test_quartz_days_and_years(expression: str, expected: list[str]) -> None:
    assert next_days(expression, "quartz") == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 12 L * *", ["2026-03-31", "2026-04-30", "2026-05-31"]),
        ("0 12 15,L * *", ["2026-03-31", "2026-04-15", "2026-04-30"]),
        ("0 12 15W * *", ["2026-04-15", "2026-05-15", "2026-06-15"]),
        ("0 12 31W * *", ["2026-03-31", "2026-04-30", "2026-05-29"]),
        ("0 12 * * 5L", ["2026-04-24", "2026-05-29", "2026-06-26"]),
        ("0 12 * * friL", ["2026-04-24", "2026-05-29", "2026-06-26"]),
        ("0 12 * * FRI#3", ["2026-04-17", "2026-05-15", "2026-06-19"]),
        ("0 12 * * 5#1,5#3", ["2026-04-03", "2026-04-17", "2026-05-01"]),
        ("0 12 * * 7#1", ["2026-04-05", "2026-05-03", "2026-06-07"]),
    ],
)
def test_the_extended_dialect_counts_weekdays_as_cron_does(expression: str, expected: list[str]) -> None:
    assert next_days(expression, "extended") == expected


@pytest.mark.parametrize(
    ("dialect", "expression", "said"),
    [
        ("quartz", "0 0 2 * * *", 'Quartz wants "?"'),
        ("quartz", "0 0 2 ? * ?", 'Quartz wants "?"'),
        ("quartz", "0 ? 2 * * ?", "'?' is not for this field"),
        ("quartz", "0 2 * * *", "has 5 fields"),
        ("quartz", "0 0 12 ? * 0", "'0' is outside its range. Values are 1-7, SUN-SAT"),
        ("quartz", "0 0 12 ? * 8", "'8' is outside its range. Values are 1-7, SUN-SAT"),
        ("quartz", "0 0 12 1 1 ? 1900", "in the year field, '1900'"),
        ("quartz", "@daily", "has 1 fields"),
        ("quartz", "0 0 12 LW * ?", "'LW' is not supported"),
        ("quartz", "0 0 12 L-3 * ?", "'L-3' is not supported"),
        ("extended", "0 0 1 * 5#2", "Make two schedules"),
        ("extended", "0 0 13 * 5L", "Make two schedules"),
        ("extended", "0 0 L * 5", "Make two schedules"),
        ("extended", "0 0 * * 1,5L", "Make two schedules"),
        ("extended", "0 0 15W,20 * *", "Make two schedules"),
        ("extended", "0 0 15W,L * *", "Make two schedules"),
        ("extended", "0 0 32W * *", "'32' is outside its range"),
        ("extended", "0 0 * * 5#6", "names no week of a month"),
        ("extended", "0 0 * * 8#1", "'8' is outside its range"),
        ("extended", "L 0 * * *", "in the minute field, 'L'"),
    ],
)
def test_what_a_dialect_lacks_is_refused(dialect: Dialect, expression: str, said: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        Cron(expression, dialect=dialect)
    assert said in str(caught.value)


def hashed(expression: str, key: str) -> tuple[set[int], set[int]]:
    fields = Cron(expression, dialect="extended", key=key).fields
    return set(fields.minute.values), set(fields.hour.values)


def test_h_is_the_same_for_a_key_and_needs_one() -> None:
    assert hashed("H H * * *", "report") == hashed("H H * * *", "report")
    with pytest.raises(InvalidSchedule, match="spread by a key, and none is given"):
        Cron("H * * * *", dialect="extended")


def test_h_reaches_all_minutes_of_a_day() -> None:
    """croniter's own reaches 240 of 1,440 pairs of hour and minute."""
    pairs = Counter(
        (min(minute), min(hour)) for minute, hour in (hashed("H H * * *", f"key {number}") for number in range(4000))
    )
    assert len(pairs) > 1250
    assert max(pairs.values()) < 20


@pytest.mark.parametrize(
    ("expression", "low", "high", "count"),
    [("H/15", 0, 59, 4), ("H(10-19)", 10, 19, 1), ("H(0-29)/10", 0, 29, 3), ("H/7", 0, 59, 8), ("H/99", 0, 59, 1)],
)
def test_h_keeps_to_its_range_and_step(expression: str, low: int, high: int, count: int) -> None:
    for number in range(50):
        minutes, _ = hashed(f"{expression} * * * *", f"key {number}")
        assert count <= len(minutes) <= count + 1
        assert low <= min(minutes) <= max(minutes) <= high


def test_h_of_days_is_in_every_month_and_h_of_quartz_weekdays_is_a_weekday() -> None:
    for number in range(100):
        assert max(Cron("0 0 H * *", dialect="extended", key=f"{number}").fields.day.values) <= 28
        assert Cron("0 0 0 ? * H", dialect="quartz", key=f"{number}").fields.weekday.values <= set(range(7))


@pytest.mark.parametrize("expression", ["H(5)", "H(20-10)", "H(0-60)", "H()", "H/0", "H/x", "H(0-9)x", "HH"])
def test_a_wrong_h_is_refused(expression: str) -> None:
    with pytest.raises(InvalidSchedule, match="in the minute field"):
        Cron(f"{expression} * * * *", dialect="extended", key="k")
