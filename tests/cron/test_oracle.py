"""Stepping finds what looking at every minute finds, in zones whose clocks do unusual things."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pgqueue.cron import Cron, When
from pgqueue.model.errors import InvalidSchedule
from tests.cron.oracle import WINDOWS, Written, ticks, written

EXPRESSIONS = 4  # in each window and under each rule; a longer proof takes more
RULES = [("run", "once"), ("skip", "both"), ("run", "both"), ("skip", "once")]


def window(day: str) -> tuple[datetime, datetime]:
    middle = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return middle - timedelta(hours=30), middle + timedelta(hours=54)


def expressions(seed: str) -> list[Written]:
    chance = random.Random(seed)
    return [written(chance) for _ in range(EXPRESSIONS)]


def all_ticks(cron: When, start: datetime, end: datetime) -> list[datetime]:
    found, moment = [], cron.next_after(start - timedelta(seconds=1))
    while moment is not None and moment < end:
        found.append(moment)
        moment = cron.next_after(moment)
    return found


def cron_of(expression: Written, place: str, gap: str, fold: str) -> When | None:
    try:
        return Cron(expression.text, tz=place, gap=gap, fold=fold)  # type: ignore[arg-type]
    except InvalidSchedule:
        return None  # such as February 30


@pytest.mark.parametrize(("gap", "fold"), RULES, ids=["-".join(rule) for rule in RULES])
@pytest.mark.parametrize(("place", "day"), WINDOWS, ids=["-".join(window) for window in WINDOWS])
def test_every_tick_is_found_and_no_other(place: str, day: str, gap: str, fold: str) -> None:
    start, end = window(day)
    for expression in expressions(f"{place} {day} {gap} {fold}"):
        cron = cron_of(expression, place, gap, fold)
        if cron is not None:
            expected = ticks(expression, ZoneInfo(place), start, end, gap=gap, fold=fold)
            assert all_ticks(cron, start, end) == expected, expression.text


@pytest.mark.parametrize(("gap", "fold"), RULES[:2], ids=["-".join(rule) for rule in RULES[:2]])
@pytest.mark.parametrize(("place", "day"), WINDOWS, ids=["-".join(window) for window in WINDOWS])
def test_where_one_begins_to_ask_does_not_matter(place: str, day: str, gap: str, fold: str) -> None:
    start, end = window(day)
    chance = random.Random(day)
    for expression in expressions(f"{day} {place}"):
        cron = cron_of(expression, place, gap, fold)
        if cron is None:
            continue
        series = all_ticks(cron, start, end)
        for _ in range(20):
            moment = start + timedelta(seconds=chance.randrange(int((end - start).total_seconds())))
            following = next((tick for tick in series if tick > moment), None)
            assert following is None or cron.next_after(moment) == following, (
                expression.text,
                moment,
            )  # else after the window


@pytest.mark.parametrize(("place", "day"), WINDOWS, ids=["-".join(window) for window in WINDOWS])
def test_the_last_tick_is_the_last_of_all(place: str, day: str) -> None:
    start, end = window(day)
    chance = random.Random(place)
    for expression in expressions(f"last {place}"):
        cron = cron_of(expression, place, "run", "once")
        if cron is None:
            continue
        series = all_ticks(cron, start, end)
        for _ in range(5):
            floor, now = sorted(start + timedelta(seconds=chance.randrange(84 * 3600)) for _ in range(2))
            expected = [tick for tick in series if floor < tick <= now]
            assert cron.last_in(floor, now) == (expected[-1] if expected else None), (expression.text, floor, now)
