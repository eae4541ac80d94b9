"""Options of a job: what is taken, what is refused, how those of the call lie over those of the task."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from pgqueue.model.errors import InvalidOption
from pgqueue.model.options import JobOptions, Options

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_every_option_of_the_public_type_is_known_and_checked() -> None:
    assert set(JobOptions.__dataclass_fields__) == set(Options.__annotations__)
    for name in Options.__annotations__:
        with pytest.raises(InvalidOption, match=name.removesuffix("s")):
            JobOptions.of({name: object()})


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ({}, JobOptions()),
        ({"queue": None, "priority": None, "tags": None}, JobOptions()),
        ({"queue": "q" * 100}, JobOptions(queue="q" * 100)),
        ({"priority": 0}, JobOptions(priority=0)),
        ({"priority": 9}, JobOptions(priority=9)),
        ({"delay": "1m"}, JobOptions(delay=60.0)),
        ({"run_at": NOON}, JobOptions(run_at=NOON)),
        ({"max_retries": 0}, JobOptions(max_retries=0)),
        ({"max_retries": 32766}, JobOptions(max_retries=32766)),
        ({"timeout": 0.001}, JobOptions(timeout=0.001)),
        ({"timeout": timedelta(days=24)}, JobOptions(timeout=24 * 86400.0)),
        ({"headers": {"a": ""}}, JobOptions(headers={"a": ""})),
        ({"tags": ["x", "y"]}, JobOptions(tags=("x", "y"))),
    ],
)
def test_options_within_their_range_are_kept(written: dict[str, Any], kept: JobOptions) -> None:
    assert JobOptions.of(written) == kept


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ({"que": "x"}, "que is not an option"),
        ({"codec": "x", "cron": "y"}, "codec, cron"),
        ({"queue": ""}, "queue ''"),
        ({"queue": "q" * 101}, "1 to 100"),
        ({"queue": "q" * 1000}, "1 to 100"),
        ({"queue": b"x"}, "queue b'x'"),
        ({"queue": "a\0b"}, "NUL"),
        ({"queue": "\ud800"}, "surrogate"),
        ({"priority": 10}, "priority=10"),
        ({"priority": -1}, "priority=-1"),
        ({"priority": True}, "priority=True"),
        ({"priority": 1.0}, "priority=1.0"),
        ({"priority": "1"}, "priority='1'"),
        ({"delay": -1}, "delay=-1"),
        ({"delay": "soon"}, "delay='soon'"),
        ({"delay": 1, "run_at": NOON}, "exclude each other"),
        ({"run_at": datetime(2030, 1, 1)}, "time zone"),
        ({"run_at": date(2030, 1, 1)}, "time zone"),
        ({"run_at": "2030-01-01T00:00Z"}, "time zone"),
        ({"run_at": 0}, "time zone"),
        ({"max_retries": -1}, "max_retries=-1"),
        ({"max_retries": 32767}, "32766"),
        ({"max_retries": True}, "max_retries=True"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": "25d"}, "24 days"),
        ({"timeout": True}, "timeout=True"),
        ({"headers": [("a", "b")]}, "mapping"),
        ({"headers": {"a": 1}}, "header 'a' 1"),
        ({"headers": {1: "a"}}, "header name 1"),
        ({"headers": {"a": "\0"}}, "NUL"),
        ({"tags": "billing"}, "tags='billing'"),
        ({"tags": [1]}, "tag 1"),
        ({"tags": b"ab"}, "tag 97"),
        ({"tags": {"a"}}, "tags="),
        ({"tags": ["\udfff"]}, "surrogate"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, dict) else "",
)
def test_an_option_outside_its_range_is_refused_with_its_value(written: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidOption) as refusal:
        JobOptions.of(written)
    assert named in refusal.value.problem


def test_the_extremes_of_the_calendar_stay_within_what_the_database_can_give_back() -> None:
    """Year 1 east of Greenwich is 1 BC in UTC, and 9999 west of it is 10000: neither can be read back."""
    east, west = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
    for instant in (datetime(1, 1, 1, tzinfo=east), datetime(9999, 12, 31, 23, tzinfo=west)):
        with pytest.raises(InvalidOption, match="run_at"):
            JobOptions.of({"run_at": instant})
    assert JobOptions.of({"run_at": datetime(1, 1, 1, tzinfo=UTC)}).run_at is not None


def test_options_of_the_call_lie_over_those_of_the_task() -> None:
    task = JobOptions.of({"queue": "mail", "priority": 3, "timeout": "1m"})
    assert JobOptions.of({"priority": 0}).over(task) == JobOptions(queue="mail", priority=0, timeout=60.0)


def test_the_last_word_on_the_time_replaces_the_other_kind() -> None:
    later = JobOptions.of({"run_at": NOON})
    assert JobOptions.of({"delay": 5}).over(later) == JobOptions(delay=5.0)
    assert later.over(JobOptions.of({"delay": 5})) == JobOptions(run_at=NOON)
    assert JobOptions.of({"priority": 1}).over(later) == JobOptions(priority=1, run_at=NOON)


def test_what_the_caller_changes_afterwards_does_not_change_the_options() -> None:
    headers, tags = {"a": "1"}, ["x"]
    options = JobOptions.of({"headers": headers, "tags": tags})
    headers["a"] = "2"
    tags.append("y")
    assert options == JobOptions(headers={"a": "1"}, tags=("x",))
