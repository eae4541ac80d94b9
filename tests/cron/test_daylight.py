"""What happens on the two Sundays: the rule of classic cron, and each policy by name."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from pgqueue.cron import Cron, Daily, When, parse

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # half an hour into March 29, when 02:00 becomes 03:00
AUTUMN = datetime(2026, 10, 24, 22, 30, tzinfo=UTC)  # half an hour into October 25, when 03:00 becomes 02:00


def clock(when: When, start: datetime, count: int) -> list[str]:
    """Return ticks as Berlin's clock shows them, with the offset that holds then."""
    return [f"{tick.astimezone(BERLIN):%d %H:%M%z}".removesuffix("00") for tick in when.upcoming(start, count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 2 * * *", ["29 03:00+02", "30 02:30+02"]),
        ("GAP=skip 30 2 * * *", ["30 02:30+02", "31 02:30+02"]),
        ("0,30 2 * * *", ["29 03:00+02", "30 02:00+02"]),
        ("0 2,3 * * *", ["29 03:00+02", "30 02:00+02"]),
        ("30 1,2,3 * * *", ["29 01:30+01", "29 03:00+02", "29 03:30+02"]),
        ("*/30 2 * * *", ["30 02:00+02", "30 02:30+02"]),
        ("0 */2 * * *", ["29 04:00+02", "29 06:00+02"]),
        ("0 * * * *", ["29 01:00+01", "29 03:00+02", "29 04:00+02"]),
        ("*/30 * * * *", ["29 01:00+01", "29 01:30+01", "29 03:00+02"]),
        ("*/20 30 2 * * *", ["29 03:00+02", "30 02:30+02"]),
        ("@every day at 02:30", ["29 03:00+02", "30 02:30+02"]),
        ("GAP=skip @every day at 02:30", ["30 02:30+02", "31 02:30+02"]),
    ],
)
def test_the_clock_is_put_forward(text: str, expected: list[str]) -> None:
    assert clock(parse(text, tz="Europe/Berlin"), SPRING, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 2 * * *", ["25 02:30+02", "26 02:30+01"]),
        ("FOLD=both 30 2 * * *", ["25 02:30+02", "25 02:30+01", "26 02:30+01"]),
        ("0 * * * *", ["25 01:00+02", "25 02:00+02", "25 02:00+01", "25 03:00+01"]),
        ("*/30 2 * * *", ["25 02:00+02", "25 02:30+02", "25 02:00+01", "25 02:30+01"]),
        ("0 2-4 * * *", ["25 02:00+02", "25 03:00+01", "25 04:00+01"]),
        ("@every day at 02:30,03:30", ["25 02:30+02", "25 03:30+01"]),
        ("FOLD=both @every day at 02:30", ["25 02:30+02", "25 02:30+01", "26 02:30+01"]),
    ],
)
def test_the_clock_is_put_back(text: str, expected: list[str]) -> None:
    assert clock(parse(text, tz="Europe/Berlin"), AUTUMN, len(expected)) == expected


def test_who_asks_within_the_second_pass_is_not_told_of_the_past() -> None:
    within = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 for the second time
    assert clock(Cron("30 2 * * *", tz="Europe/Berlin"), within, 1) == ["26 02:30+01"]
    assert clock(Cron("30 2 * * *", tz="Europe/Berlin", fold="both"), within, 1) == ["25 02:30+01"]


def test_a_day_that_a_zone_leaves_out_has_its_job_at_the_end_of_the_gap() -> None:
    apia, before = ZoneInfo("Pacific/Apia"), datetime(2011, 12, 30, 9, 0, tzinfo=UTC)  # 23:00 on the 29th; no 30th
    ran = [tick.astimezone(apia) for tick in Daily("12:00", tz="Pacific/Apia").upcoming(before, 2)]
    assert [f"{tick:%d %H:%M}" for tick in ran] == ["31 00:00", "31 12:00"]
    skipped = Daily("12:00", tz="Pacific/Apia", gap="skip").upcoming(before, 1)
    assert f"{skipped[0].astimezone(apia):%d %H:%M}" == "31 12:00"


def test_an_interval_knows_no_clock() -> None:
    ticks = parse("CRON_TZ=Europe/Berlin @every 1h").upcoming(SPRING, 30)
    assert {(after - before).total_seconds() for before, after in pairwise(ticks)} == {3600}
