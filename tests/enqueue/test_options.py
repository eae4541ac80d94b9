"""Options reach their columns, and Python and SQL write the same rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pgqueue import Job, PgQueue, RetryPolicy, Task
from pgqueue.model import options as defaults

Sending = Task[..., None]
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = datetime(2030, 6, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45)))

# One call in both languages. SQL takes intervals where Python takes lengths of time.
SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"queue": "mail", "priority": 9}, {"queue": "mail", "priority": 9}),
    ({"run_at": LATER}, {"run_at": LATER}),
    ({"delay": "1h"}, {"delay": timedelta(hours=1)}),
    ({"delay": 0}, {"delay": timedelta(0)}),
    ({"delay": 0.25, "priority": 1}, {"delay": timedelta(milliseconds=250), "priority": 1}),
    ({"max_retries": 0, "timeout": "90s"}, {"max_retries": 0, "timeout": timedelta(seconds=90)}),
    ({"max_retries": 32766, "timeout": 24 * 86400}, {"max_retries": 32766, "timeout": timedelta(days=24)}),
    ({"timeout": 0.001}, {"timeout": timedelta(milliseconds=1)}),
    ({"timeout": 0.0012}, {"timeout": timedelta(microseconds=1200)}),
    ({"headers": {"trace": "é\"\\{},'"}}, {"headers": Jsonb({"trace": "é\"\\{},'"})}),
    ({"headers": {}, "tags": []}, {"headers": Jsonb({}), "tags": []}),
    ({"tags": ["a", "", "b,{}\"'\\"]}, {"tags": ["a", "", "b,{}\"'\\"]}),
]


def whole_row(database: psycopg.Connection, job_id: object) -> dict[str, Any]:
    """Return a job with its place, without what two jobs may never share; run_at as distance where it is relative."""
    row = database.execute(
        """
        select to_jsonb(j) - array['id', 'enqueued_at', 'run_at']
          || jsonb_build_object('ready', (select to_jsonb(r) - array['seq', 'job_id'] from pgqueue.ready r where r.job_id = j.id),
            'scheduled', (select to_jsonb(s) - array['job_id', 'due_at'] from pgqueue.scheduled s where s.job_id = j.id),
            'due is run_at', (select s.due_at = j.run_at from pgqueue.scheduled s where s.job_id = j.id)),
          j.run_at, j.run_at - j.enqueued_at
        from pgqueue.job j where j.id = %s::bigint
        """,
        (job_id,),
    ).fetchone()
    assert row is not None
    absolute = row[1] if row[1] in (NOON, LATER) else None
    return {**row[0], "run_at": absolute, "distance": None if absolute else round(row[2].total_seconds(), 1)}


def by_sql(database: psycopg.Connection, task: str, args: dict[str, Any], options: dict[str, Any]) -> int:
    """Enqueue with the SQL function, by named parameters."""
    named = "".join(f", {name} => %({name})s" for name in options)
    call = f"select pgqueue.enqueue(%(task)s, %(args)s{named})"
    row = database.execute(call, {"task": task, "args": Jsonb(args), **options}).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(("python", "sql"), SAME, ids=lambda value: str(value)[:40])
def test_python_and_sql_write_the_same_row(
    send: Sending, database: psycopg.Connection, python: dict[str, Any], sql: dict[str, Any]
) -> None:
    job = send.using(**python).enqueue(101, "ü")
    assert whole_row(database, job.id) == whole_row(
        database, by_sql(database, "send", {"user_id": 101, "note": "ü"}, sql)
    )


async def test_the_asynchronous_way_writes_the_same_row(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    chosen = send.using(queue="mail", priority=3, run_at=NOON, headers={"a": "b"}, tags=["x"])
    job = await chosen.aenqueue(1)
    assert whole_row(database, job.id) == whole_row(database, chosen.enqueue(1).id)
    await pgq.aclose()


def test_the_defaults_are_those_that_the_model_names(send: Sending, database: psycopg.Connection) -> None:
    row = whole_row(database, send.enqueue(1).id)
    assert (row["queue"], row["priority"]) == (defaults.DEFAULT_QUEUE, defaults.DEFAULT_PRIORITY)
    assert (row["max_retries"], row["timeout_ms"]) == (defaults.DEFAULT_MAX_RETRIES, defaults.DEFAULT_TIMEOUT * 1000)
    assert (row["attempt"], row["run"], row["crashes"]) == (0, 1, 0)
    assert row["headers"] is row["tags"] is row["metadata"] is row["retry"] is row["body"] is None
    assert row["distance"] == 0


def test_every_option_reaches_its_column(send: Sending, database: psycopg.Connection) -> None:
    job = send.using(
        queue="mail",
        priority=4,
        run_at=LATER,
        max_retries=3,
        timeout=timedelta(minutes=2),
        headers={"trace": "1"},
        tags=("a", "b"),
    ).enqueue(1)
    row = database.execute(
        "select queue, priority, run_at, max_retries, timeout, headers, tags, args, state from pgqueue.all_jobs where id = %s",
        (job.id,),
    ).fetchone()
    minutes = timedelta(minutes=2)
    assert row == ("mail", 4, LATER, 3, minutes, {"trace": "1"}, ["a", "b"], {"user_id": 1}, "scheduled")
    assert job.queue == "mail"


def test_options_of_the_call_lie_over_those_of_the_task(pgq: PgQueue[None], database: psycopg.Connection) -> None:
    @pgq.task(name="resize", queue="images", priority=2, timeout="1m", retry=RetryPolicy(max_retries=7))
    def resize(path: str) -> None: ...

    resize.enqueue("a")
    resize.using(priority=0, max_retries=1).using(delay="1h").using(run_at=NOON).enqueue("b")
    resize.using(run_at=NOON).using(delay=0).enqueue("c")
    rows = database.execute(
        "select args ->> 'path', queue, priority, timeout_ms, max_retries, run_at = %s from pgqueue.job order by id",
        (NOON,),
    ).fetchall()
    assert rows == [
        ("a", "images", 2, 60_000, 7, False),
        ("b", "images", 0, 60_000, 1, True),
        ("c", "images", 2, 60_000, 7, False),
    ]


def test_jobs_of_a_bulk_keep_their_own_options(pgq: PgQueue[None], send: Sending, database: psycopg.Connection) -> None:
    @pgq.task(name="other", queue="others")
    def other() -> None: ...

    jobs = pgq.enqueue_many(
        [
            send.using(priority=9, tags=["first"]).job(1),
            other.job(),
            send.using(run_at=NOON, headers={"a": "b"}, timeout=5).job(2, "x"),
        ]
    )
    rows = database.execute(
        "select id::text, task, queue, state, priority, tags, headers, timeout, args from pgqueue.all_jobs as j order by j.id"
    ).fetchall()
    half_an_hour = timedelta(minutes=30)
    assert rows == [
        (jobs[0].id, "send", "default", "ready", 9, ["first"], None, half_an_hour, {"user_id": 1}),
        (jobs[1].id, "other", "others", "ready", 0, None, None, half_an_hour, {}),
        (
            jobs[2].id,
            "send",
            "default",
            "scheduled",
            0,
            None,
            {"a": "b"},
            timedelta(seconds=5),
            {"user_id": 2, "note": "x"},
        ),
    ]
    assert [job.queue for job in jobs] == ["default", "others", "default"]


def test_a_run_at_in_the_past_is_ready_at_once(send: Sending, database: psycopg.Connection) -> None:
    for run_at in (datetime(1, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)):
        job = send.using(run_at=run_at).enqueue(1)
        row = database.execute("select state, run_at from pgqueue.all_jobs where id = %s", (job.id,)).fetchone()
        assert row == ("ready", run_at)


def test_the_year_9999_can_be_waited_for_and_read_back(
    pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    job = send.using(run_at=last).enqueue(1)
    assert pgq.inspector.job(job.id).run_at == last
    same = by_sql(database, "send", {"user_id": 1}, {"run_at": last})
    assert pgq.inspector.job(str(same)).run_at == last


def test_an_absolute_time_does_not_depend_on_the_session_that_writes_it(send: Sending, dsn: str) -> None:
    for setting in (
        "timezone=Asia/Kathmandu",
        "datestyle=SQL,DMY",
        "search_path=pg_temp",
        "intervalstyle=sql_standard",
    ):
        with psycopg.connect(dsn, options=f"-c {setting}") as connection:
            job = send.using(connection, run_at=LATER).enqueue({"a": 1.5}, None)
            row = connection.execute(
                "select run_at = %s, args from pgqueue.job where id = %s", (LATER, job.id)
            ).fetchone()
            assert row == (True, json.loads('{"note": null, "user_id": {"a": 1.5}}')), setting


def test_numbers_come_back_as_the_same_numbers(send: Sending, database: psycopg.Connection) -> None:
    numbers = [0, -1, 2**53 + 1, 2**63, 10**100, 0.1, 1.0, 123456789.5, -2.5e-7, 5e-324]
    back = stored_arguments(database, send, send.enqueue(numbers))["user_id"]
    assert back == numbers
    assert [type(number) for number in back] == [type(number) for number in numbers]


@pytest.mark.parametrize("number", [2, 1e15, 1e16, -1e22, 1.7976931348623157e308])
def test_a_parameter_declared_as_float_receives_that_float(
    pgq: PgQueue[None], database: psycopg.Connection, number: float
) -> None:
    """PostgreSQL writes 1e16 as 10000000000000000, which JSON reads as an integer; 1e300 even becomes another number."""

    @pgq.task(name="scale")
    def scale(factor: float) -> None: ...

    back = stored_arguments(database, scale, scale.enqueue(number))["factor"]
    assert (back, type(back)) == (float(number), float)


def stored_arguments(database: psycopg.Connection, task: Task[..., Any], job: Job[Any]) -> dict[str, Any]:
    """Return the arguments as the worker would pass them."""
    row = database.execute("select args::text from pgqueue.job where id = %s", (job.id,)).fetchone()
    assert row is not None
    args, kwargs = task.declaration.shape.decode(row[0])
    assert args == ()
    return kwargs
