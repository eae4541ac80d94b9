"""Deadline and expiry as options: what is taken, how they lie over each other, what is stored."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from pgqueue import InvalidOption, PgQueue
from pgqueue.model.job import JobSpec
from pgqueue.model.options import JobOptions
from pgqueue.postgres.copying import LEAST, is_copied
from pgqueue.postgres.parameters import parameters

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ({"deadline": NOON}, JobOptions(deadline=NOON)),
        ({"expires_at": NOON.astimezone(timezone(timedelta(hours=9)))}, JobOptions(expires_at=NOON)),
        ({"expires_in": "1h"}, JobOptions(expires_in=3600.0)),
        ({"expires_in": timedelta(days=1), "delay": "1h"}, JobOptions(expires_in=86400.0, delay=3600.0)),
        ({"expires_in": 0.001}, JobOptions(expires_in=0.001)),
        (
            {"expires_at": NOON, "run_at": NOON, "deadline": NOON},
            JobOptions(expires_at=NOON, run_at=NOON, deadline=NOON),
        ),
        ({"expires_at": None, "expires_in": None, "deadline": None}, JobOptions()),
    ],
)
def test_times_within_their_range_are_kept(written: dict[str, Any], kept: JobOptions) -> None:
    assert JobOptions.of(written) == kept


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"deadline": datetime(2030, 1, 1)}, "deadline="),
        ({"deadline": "10m"}, "deadline='10m'"),
        ({"deadline": datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))}, "deadline="),
        ({"expires_at": date(2030, 1, 1)}, "expires_at="),
        ({"expires_at": "1h"}, "expires_at='1h'"),
        ({"expires_in": NOON}, "expires_in="),
        ({"expires_in": 0}, "expires_in=0 is less than 1 ms"),
        ({"expires_in": -1}, "expires_in=-1"),
        ({"expires_in": "1h", "expires_at": NOON}, "exclude each other"),
        ({"expires_in": "1h", "delay": "1h"}, "would never start"),
        ({"expires_in": "1h", "delay": "2h"}, "would never start"),
    ],
)
def test_times_outside_their_range_are_refused(written: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidOption) as refusal:
        JobOptions.of(written)
    assert told in refusal.value.problem


def test_the_last_word_on_the_expiry_replaces_the_other_kind() -> None:
    task = JobOptions.of({"expires_in": "1h", "deadline": NOON})
    assert JobOptions.of({"expires_at": NOON}).over(task) == JobOptions(expires_at=NOON, deadline=NOON)
    assert task.over(JobOptions.of({"expires_at": NOON})) == task
    assert JobOptions.of({"delay": "1m"}).over(task).expires_in == 3600


def test_a_delay_that_outlasts_the_tasks_own_expiry_is_refused() -> None:
    task = JobOptions.of({"expires_in": "1h"})
    with pytest.raises(InvalidOption, match="would never start"):
        JobOptions.of({"delay": "2h"}).over(task)
    handle = PgQueue("postgresql://nowhere").task(name="send")(lambda: None).using(expires_in="1h")
    with pytest.raises(InvalidOption, match="would never start"):
        handle.using(delay="2h")


def test_times_travel_as_text_and_the_expiry_of_a_length_as_seconds() -> None:
    options = JobOptions.of({"deadline": NOON, "expires_in": "90s"})
    (more,) = json.loads(parameters([JobSpec("t", "{}", options)], None)["more"].replace("{", "[", 1)[:-1] + "]")
    assert json.loads(more) == {"deadline": "2030-01-01T12:00:00+00:00", "expires_in": 90.0}


@pytest.mark.parametrize("option", [{"deadline": NOON}, {"expires_at": NOON}, {"expires_in": 60}], ids=repr)
def test_a_bulk_of_jobs_with_such_a_time_does_not_go_by_copy(option: dict[str, Any]) -> None:
    plain, limited = JobSpec("t", "{}", JobOptions()), JobSpec("t", "{}", JobOptions.of(option))
    assert is_copied([plain] * LEAST)
    assert not is_copied([plain] * LEAST + [limited])
