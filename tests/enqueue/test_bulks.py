"""Many jobs in a caller's transaction: all or none, in order, on every handle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import psycopg
import pytest

from pgqueue import HandleError, InvalidArguments, JobExists, JobSpec, PgQueue, Task, Unique
from pgqueue.postgres import chunks, copying
from tests.enqueue.handles import Handle
from tests.enqueue.openers import open_handle

Sending = Task[..., None]
MANY = 6000
ENTRIES = "select (select count(*) from pgqueue.job), (select count(*) from pgqueue.ready), (select count(*) from pgqueue.job_key)"
IN_ORDER = """
select array_agg(r.job_id order by r.seq) = array_agg(r.job_id order by (j.args -> 'user_id')::int) as in_order,
  array_agg(j.id::text order by (j.args -> 'user_id')::int)
from pgqueue.ready r join pgqueue.job j on j.id = r.job_id
"""


class Stop(Exception):
    """What a caller's generator raises."""


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Chunks of 25 jobs; those of 10 and more are copied."""
    monkeypatch.setattr(chunks, "MOST", 25)
    monkeypatch.setattr(copying, "LEAST", 10)
    return 25


def counted(database: psycopg.Connection) -> Any:
    """Return how many jobs, places and keys there are."""
    return database.execute(ENTRIES).fetchone()


async def assert_usable_and_empty(handle: Handle, send: Sending, database: psycopg.Connection) -> None:
    """Fail unless the transaction goes on, with nothing of the bulk in it."""
    await handle.enqueue(send, 0)
    await handle.commit()
    assert counted(database) == (1, 1, 0)


@pytest.mark.parametrize("size", [3, MANY])
async def test_a_bulk_commits_in_order_or_rolls_back_whole(
    handle: Handle,
    pgq: PgQueue[None],
    send: Sending,
    database: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    monkeypatch.setattr(chunks, "MOST", 5000)
    await handle.enqueue_many(pgq, (send.job(number) for number in range(size)), returning="count")
    await handle.rollback()
    assert counted(database) == (0, 0, 0)
    ids = await handle.enqueue_many(pgq, (send.job(number) for number in range(size)), returning="ids")
    assert counted(database) == (0, 0, 0)
    await handle.commit()
    assert counted(database) == (size, size, 0)
    assert database.execute(IN_ORDER).fetchone() == (True, ids)


async def test_a_bulk_whose_generator_raises_in_the_second_chunk_leaves_nothing(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, small_chunks: int
) -> None:
    def jobs() -> Iterator[JobSpec[Any]]:
        yield from (send.job(number) for number in range(small_chunks + 5))
        raise Stop

    def later() -> Iterator[JobSpec[Any]]:
        yield from (send.job(number) for number in range(3 * small_chunks + 5))
        raise Stop

    for broken in (jobs, later):
        with pytest.raises(Stop):
            await handle.enqueue_many(pgq, broken())
    await assert_usable_and_empty(handle, send, database)


async def test_a_bulk_with_something_else_than_a_job_in_the_third_chunk_leaves_nothing(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, small_chunks: int
) -> None:
    jobs: list[Any] = [send.job(number) for number in range(3 * small_chunks)]
    jobs[-1] = "no job"
    with pytest.raises(InvalidArguments, match="'no job' is not a job"):
        await handle.enqueue_many(pgq, jobs)
    await assert_usable_and_empty(handle, send, database)


async def test_a_bulk_whose_progress_raises_leaves_nothing(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, small_chunks: int
) -> None:
    def progress(done: int) -> None:
        if done > small_chunks:
            raise Stop

    with pytest.raises(Stop):
        await handle.enqueue_many(pgq, (send.job(number) for number in range(3 * small_chunks)), progress=progress)
    await assert_usable_and_empty(handle, send, database)


async def test_a_bulk_with_a_held_key_in_the_third_chunk_leaves_nothing(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, small_chunks: int
) -> None:
    send.using(key="held").enqueue(-1)
    strict = send.using(key="held", unique=Unique(on_conflict="raise"))
    jobs = [send.using(key=f"key {number}").job(number) for number in range(3 * small_chunks)]
    with pytest.raises(JobExists):
        await handle.enqueue_many(pgq, [*jobs, strict.job(-2)])
    await handle.enqueue(send, 0)
    await handle.commit()
    assert counted(database) == (2, 2, 1)


async def test_a_bulk_that_the_database_refuses_in_the_second_chunk_leaves_nothing(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, small_chunks: int
) -> None:
    database.execute(
        "create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'not today'; end $$;"
        "create trigger refuse before insert on pgqueue.job for each row when (new.queue = 'closed')"
        " execute function public.refuse()"
    )
    closed = send.using(queue="closed")
    with pytest.raises(Exception, match="not today"):
        await handle.enqueue_many(pgq, [*(send.job(number) for number in range(3 * small_chunks)), closed.job(-1)])
    await assert_usable_and_empty(handle, send, database)


@pytest.mark.parametrize(
    "kind", ["psycopg async connection", "asyncpg connection", "async session on psycopg", "async session on asyncpg"]
)
@pytest.mark.parametrize("whole", [1, 3])
async def test_a_bulk_that_is_cancelled_leaves_nothing(
    dsn: str, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, small_chunks: int, kind: str, whole: int
) -> None:
    async with open_handle(kind, dsn) as handle:
        with anyio.CancelScope() as scope:

            async def jobs() -> AsyncIterator[JobSpec[Any]]:
                for number in range(whole * small_chunks):
                    yield send.job(number)
                scope.cancel()
                await anyio.sleep_forever()

            await handle.enqueue_many(pgq, jobs())
        assert scope.cancelled_caught
        await assert_usable_and_empty(handle, send, database)


async def test_an_asynchronous_generator_may_use_the_handle_between_chunks(
    dsn: str, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, small_chunks: int
) -> None:
    async with open_handle("psycopg async connection", dsn) as handle:

        async def jobs() -> AsyncIterator[JobSpec[Any]]:
            for number in range(3 * small_chunks):
                ((answer,),) = await handle.execute(f"select {number}")
                yield send.job(answer)

        await handle.enqueue_many(pgq, jobs())
        await handle.commit()
    assert counted(database) == (75, 75, 0)


@pytest.mark.parametrize(
    "kind",
    ["psycopg connection", "session on psycopg2", "pg8000 connection", "asyncpg connection", "django connection"],
)
async def test_a_bulk_in_a_read_only_transaction_is_refused_whole(
    dsn: str, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, small_chunks: int, kind: str
) -> None:
    async with open_handle(kind, dsn) as handle:
        await handle.execute("set transaction read only")
        with pytest.raises(HandleError, match="read only"):
            await handle.enqueue_many(pgq, [send.job(number) for number in range(3 * small_chunks)])
        await handle.rollback()
        await assert_usable_and_empty(handle, send, database)
