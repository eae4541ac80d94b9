"""Where each statement commits by itself: one job at once, a bulk at its end, on every kind of handle that can do so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest

from pgqueue import JobExists, JobSpec, PgQueue, Task, Unique
from pgqueue.postgres import chunks
from tests.enqueue.handles import Handle
from tests.enqueue.openers import AUTOCOMMITTING, open_autocommitting

Sending = Task[..., None]
CHUNK = 25
CHUNKS = 3
SIZE = CHUNK * CHUNKS + 5


class Stop(Exception):
    """What a caller's generator raises."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 25 jobs."""
    monkeypatch.setattr(chunks, "MOST", CHUNK)


@pytest.fixture(params=AUTOCOMMITTING)
async def handle(dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Handle]:
    """A connection that autocommits, outside of any transaction, of each kind in turn."""
    async with open_autocommitting(request.param, dsn) as opened:
        yield opened


def counted(database: psycopg.Connection) -> Any:
    """Return how many jobs, places and transactions that wrote them another connection sees."""
    return database.execute(
        "select count(*), (select count(*) from pgqueue.ready), count(distinct j.xmin::text) from pgqueue.job j"
    ).fetchone()


async def assert_idle(handle: Handle, database: psycopg.Connection) -> None:
    """Fail if a transaction was left open."""
    ((pid,),) = await handle.execute("select pg_backend_pid()")
    assert database.execute("select state from pg_stat_activity where pid = %s", (pid,)).fetchone() == ("idle",)


async def test_one_job_is_committed_at_once(handle: Handle, send: Sending, database: psycopg.Connection) -> None:
    job = await handle.enqueue(send, 1)
    assert counted(database) == (1, 1, 1)
    assert job.transaction is None
    assert job.status() == "ready"
    await assert_idle(handle, database)


@pytest.mark.parametrize("size", [1, CHUNK, SIZE])
async def test_a_bulk_is_committed_at_its_end_and_not_before(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, size: int
) -> None:
    seen = []

    def jobs() -> Iterator[JobSpec[Any]]:
        for number in range(size):
            if number % CHUNK == 0:
                seen.append(counted(database))
            yield send.job(number)

    made = await handle.enqueue_many(pgq, jobs())
    assert counted(database) == (size, size, 1)
    assert set(seen) == {(0, 0, 0)}
    assert {job.transaction for job in made} == {None}
    await assert_idle(handle, database)


@pytest.mark.parametrize("size", [5, CHUNK, CHUNK + 5, SIZE])
async def test_a_generator_that_raises_leaves_nothing(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection, size: int
) -> None:
    def jobs() -> Iterator[JobSpec[Any]]:
        yield from (send.job(number) for number in range(size))
        raise Stop

    with pytest.raises(Stop):
        await handle.enqueue_many(pgq, jobs())
    assert counted(database) == (0, 0, 0)
    await assert_idle(handle, database)
    await handle.enqueue(send, 0)
    assert counted(database) == (1, 1, 1)


async def test_a_held_key_in_the_last_chunk_leaves_nothing(
    handle: Handle, pgq: PgQueue[None], send: Sending, database: psycopg.Connection
) -> None:
    await handle.enqueue(send, -1, key="held")
    strict = send.using(key="held", unique=Unique(on_conflict="raise"))
    with pytest.raises(JobExists):
        await handle.enqueue_many(pgq, [*(send.job(number) for number in range(SIZE)), strict.job(-2)])
    assert counted(database) == (1, 1, 1)
    await assert_idle(handle, database)
