"""Our own pool, missing or second schemas, a database that went away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import anyio
import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from pgqueue import BackendUnavailable, ConfigurationError, PgQueue, SchemaError, Task
from pgqueue.postgres import pools
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import migrate
from tests.enqueue.handles import Handle
from tests.enqueue.openers import engine_url

Sending = Task[..., None]
AWAY = "postgresql://postgres@/nowhere?host=/nonexistent"


def declare(queue: PgQueue[None]) -> Sending:
    """Declare the task of these tests on another application."""

    def send(user_id: object) -> None: ...

    task: Sending = queue.task(name="send")(send)
    return task


def test_without_a_handle_the_job_is_committed_when_enqueue_returns(
    send: Sending, pgq: PgQueue[None], database: psycopg.Connection
) -> None:
    ids = [send.enqueue(1).id, *(job.id for job in pgq.enqueue_many([send.job(2), send.job(3)]))]
    assert [row[0] for row in database.execute("select id::text from pgqueue.all_jobs j order by j.id")] == ids


async def test_without_a_handle_the_job_is_committed_when_aenqueue_returns(
    send: Sending, pgq: PgQueue[None], database: psycopg.Connection
) -> None:
    ids = [(await send.aenqueue(1)).id, *(job.id for job in await pgq.aenqueue_many([send.job(2), send.job(3)]))]
    assert [row[0] for row in database.execute("select id::text from pgqueue.all_jobs j order by j.id")] == ids
    await pgq.aclose()


def test_one_application_serves_many_threads_and_event_loops(send: Sending, pgq: PgQueue[None]) -> None:
    async def several() -> list[str]:
        jobs = [await send.aenqueue(number) for number in range(3)]
        await pgq.aclose()
        return [job.id for job in jobs]

    def both() -> list[str]:
        return [send.enqueue(0).id, *anyio.run(several)]

    with ThreadPoolExecutor(4) as pool:
        ids = [job_id for batch in pool.map(lambda _: both(), range(4)) for job_id in batch]
    assert len(set(ids)) == 16


def test_after_a_close_the_application_goes_on(send: Sending, pgq: PgQueue[None]) -> None:
    first = send.enqueue(1)
    pgq.close()
    assert int(send.enqueue(2).id) > int(first.id)


def test_a_missing_schema_is_said_with_the_remedy(dsn: str) -> None:
    queue = PgQueue(dsn, schema="absent")
    with pytest.raises(SchemaError, match=r'"absent".*pgqueue migrate') as refusal:
        declare(queue).enqueue(1)
    assert len(str(refusal.value)) < 300
    queue.close()


async def test_a_missing_schema_is_said_on_every_handle(handle: Handle, dsn: str) -> None:
    task = declare(PgQueue(dsn, schema="absent"))
    with pytest.raises(SchemaError, match="absent"):
        await handle.enqueue(task, 1)
    await handle.rollback()
    assert [tuple(row) for row in await handle.execute("select 1")] == [(1,)]


async def test_a_connection_that_broke_is_said_on_every_handle(
    handle: Handle, send: Sending, database: psycopg.Connection
) -> None:
    pid = (await handle.execute("select pg_backend_pid()"))[0][0]
    assert database.execute("select pg_terminate_backend(%s, 10000)", (pid,)).fetchone() == (True,)
    try:
        with pytest.raises(BackendUnavailable, match="PostgreSQL cannot be reached"):
            await handle.enqueue(send, 1)
    finally:
        await handle.invalidate()
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (0,)


def test_a_pooled_connection_that_broke_is_replaced(send: Sending, database: psycopg.Connection) -> None:
    send.enqueue(1)
    database.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'pgqueue producer'"
    )
    send.enqueue(2)
    assert database.execute("select count(*) from pgqueue.job").fetchone() == (2,)


async def test_a_database_that_is_away_is_said_after_ten_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pools.PATIENCE <= 10
    monkeypatch.setattr(pools, "PATIENCE", 0.3)
    queue = PgQueue(AWAY)
    task = declare(queue)
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="cannot be reached"):
            task.enqueue(1)
        with pytest.raises(BackendUnavailable, match="cannot be reached"):
            await task.aenqueue(1)
    queue.close()
    await queue.aclose()


def test_a_session_whose_database_is_away_is_said(send: Sending) -> None:
    engine = create_engine(engine_url(AWAY))
    with Session(engine) as session, pytest.raises(BackendUnavailable, match="cannot be reached"):
        send.using(session).enqueue(1)
    engine.dispose()


def test_an_application_without_a_database_is_told_how_to_name_one() -> None:
    with pytest.raises(ConfigurationError, match="PGQUEUE_DSN"):
        declare(PgQueue()).enqueue(1)


def test_declaring_tasks_needs_no_database() -> None:
    assert declare(PgQueue()).job(1).args == '{"user_id":1}'


def test_two_schemas_in_one_database_do_not_see_each_other(
    send: Sending, pgq: PgQueue[None], dsn: str, database: psycopg.Connection
) -> None:
    migrate(Settings(dsn, "jobs_eu"))
    other = PgQueue(dsn, schema="jobs_eu")
    send_there = declare(other)
    try:
        send.enqueue(1)
        with psycopg.connect(dsn) as connection:
            send_there.using(connection).enqueue(2)
            send.using(connection).enqueue(3)
            send_there.using(connection).enqueue(4)
        seen = "select array_agg(args -> 'user_id' order by id) from {}.all_jobs"
        assert database.execute(seen.format("pgqueue")).fetchone() == ([1, 3],)
        assert database.execute(seen.format("jobs_eu")).fetchone() == ([2, 4],)
        assert [queue.inspector.queues()[0].ready for queue in (pgq, other)] == [2, 2]
        channels = database.execute("select pgqueue.channel(), jobs_eu.channel()").fetchone()
        assert channels is not None
        assert channels[0] != channels[1]
    finally:
        other.close()
        database.execute("drop schema jobs_eu cascade")
