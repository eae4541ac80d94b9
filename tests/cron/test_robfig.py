"""Expressions mean what they mean to robfig/cron, and so to gocron and Asynq."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pgqueue.cron import When, parse
from tests.cron.robfig import ACTIVE, IN_THE_ZONE_OF_THE_START, NEXT


def as_robfig(text: str) -> When:
    """Quartz and robfig take six fields alike; what differs is the rule for daylight saving."""
    return parse(f"GAP=skip FOLD=both {text}")


@pytest.mark.parametrize(("start", "text", "expected"), [*NEXT, *IN_THE_ZONE_OF_THE_START])
def test_the_next_tick_is_the_one_of_robfig(start: str, text: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="no month has that day"):
            as_robfig(text)
    else:
        assert as_robfig(text).next_after(datetime.fromisoformat(start)) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(("minute", "text", "active"), ACTIVE)
def test_a_minute_is_a_tick_when_it_is_one_of_robfig(minute: str, text: str, active: bool) -> None:
    moment = datetime.fromisoformat(minute)
    assert (parse(text).next_after(moment - timedelta(seconds=1)) == moment) is active


def test_all_cases_are_there() -> None:
    assert (len(NEXT), len(ACTIVE)) == (58, 29)
