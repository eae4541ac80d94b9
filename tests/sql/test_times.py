"""A deadline and a time to expire, from SQL."""

from __future__ import annotations

import psycopg
import pytest

WORSE = ["infinity", "-infinity", "10000-01-01 00:00+00"]


def test_a_deadline_and_a_time_to_expire_are_stored(database: psycopg.Connection) -> None:
    database.execute(
        "select pgqueue.enqueue('a', deadline => '2100-01-31 12:00+00', expires_at => '2100-01-30 12:00+00')"
    )
    rows = database.execute("select deadline::text, expires_at::text from pgqueue.all_jobs").fetchall()
    assert [(deadline[:10], expires_at[:10]) for deadline, expires_at in rows] == [("2100-01-31", "2100-01-30")]


@pytest.mark.parametrize("name", ["deadline", "expires_at"])
@pytest.mark.parametrize("time", WORSE)
def test_a_time_that_no_clock_shows_is_refused(database: psycopg.Connection, name: str, time: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"{name} .* is not between the years 1 and 9999"):
        database.execute(f"select pgqueue.enqueue('a', {name} => %s)", (time,))
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"job 1: {name} .* is not between"):
        database.execute(
            "select * from pgqueue.enqueue_many(jsonb_build_array(jsonb_build_object('task', 'a', %s::text, %s::text)))",
            (name, time),
        )


@pytest.mark.parametrize("name", ["deadline", "expires_at"])
@pytest.mark.parametrize("time", WORSE[:2])
def test_the_table_itself_holds_no_such_time_which_would_break_every_claim(
    database: psycopg.Connection, name: str, time: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="job_times_are_finite"):
        database.execute(
            "select pgqueue.enqueue_jobs(array['q'], array['t'], array['{}'::jsonb], array[0], array[0.0], "
            "array[null]::timestamptz[], array[1], array[1000], array[jsonb_build_object(%s::text, %s::text)])",
            (name, time),
        )
