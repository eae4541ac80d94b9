"""ctx.complete: work and outcome commit together, or neither, whatever the handler does around it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, IsolationLevel

from pgqueue import JobContext, JobLost, PgQueue, RetryPolicy, Unique
from tests.completion.effects import INSERT, effects_of
from tests.enqueue.handles import Handle
from tests.enqueue.openers import open_handle
from tests.roles.conftest import Login, login
from tests.support import Watch
from tests.worker.harness import ENDED, STATE, Heard, errors_of, row_of, runs_of, timed

__all__ = ["login"]

SOON = RetryPolicy(max_retries=10, delays=[0.05])
KINDS = (
    "psycopg connection",
    "psycopg async connection",
    "session on psycopg",
    "async session on psycopg",
    "async session on asyncpg",
    "psycopg2 connection",
    "asyncpg connection",
    "django connection",
)
Way = Callable[[JobContext[None], AsyncConnection[Any]], Awaitable[None]]


async def work(ctx: JobContext[None], connection: AsyncConnection[Any]) -> None:
    """Do the work and end the job, in the connection's transaction."""
    await connection.execute(INSERT, (int(ctx.id), ctx.run))
    await ctx.acomplete(connection, result={"run": ctx.run})


async def commits(ctx: JobContext[None], connection: AsyncConnection[Any]) -> None:
    await work(ctx, connection)
    await connection.commit()


async def rolls_back(ctx: JobContext[None], connection: AsyncConnection[Any]) -> None:
    await work(ctx, connection)
    await (connection.rollback() if ctx.run == 1 else connection.commit())


async def fails_after(ctx: JobContext[None], connection: AsyncConnection[Any]) -> None:
    await commits(ctx, connection)
    raise ValueError("after the commit")


async def fails_before(ctx: JobContext[None], connection: AsyncConnection[Any]) -> None:
    async with connection.transaction():
        await work(ctx, connection)
        if ctx.run == 1:
            raise ValueError("before the commit")


async def reads_repeatably(ctx: JobContext[None], connection: AsyncConnection[Any]) -> None:
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    await commits(ctx, connection)


async def serializes(ctx: JobContext[None], connection: AsyncConnection[Any]) -> None:
    await connection.set_isolation_level(IsolationLevel.SERIALIZABLE)
    await commits(ctx, connection)


async def undoes_a_part(ctx: JobContext[None], connection: AsyncConnection[Any]) -> None:
    with suppress(ValueError):
        async with connection.transaction():
            async with connection.transaction():
                await work(ctx, connection)
            raise ValueError("all of it")
    await connection.execute(INSERT, (int(ctx.id), ctx.run))
    if ctx.run == 2:
        await ctx.acomplete(connection, result={"run": 2})
    await connection.commit()


# What a handler does; the runs that are recorded, the errors of those that failed, and how often its work was committed.
ENDS: dict[Way, tuple[list[tuple[int, int, str]], list[str], int]] = {
    commits: ([(1, 1, "succeeded")], [], 1),
    rolls_back: ([(1, 1, "retry"), (2, 2, "succeeded")], ["pgqueue.JobNotCommitted"], 1),
    fails_after: ([(1, 1, "succeeded")], [], 1),
    fails_before: ([(1, 1, "retry"), (2, 2, "succeeded")], ["ValueError"], 1),
    reads_repeatably: ([(1, 1, "succeeded")], [], 1),
    serializes: ([(1, 1, "succeeded")], [], 1),
    undoes_a_part: ([(1, 1, "retry"), (2, 2, "succeeded")], ["pgqueue.JobNotCommitted"], 2),
}


async def test_a_job_is_ended_by_the_commit_of_its_handler_and_by_nothing_else(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    ways = {way.__name__: way for way in ENDS}
    heard = Heard(pgq.events)

    @pgq.task(context=True, retry=SOON)
    async def act(ctx: JobContext[None], way: str) -> str:
        async with await AsyncConnection.connect(dsn) as connection:
            try:
                await ways[way](ctx, connection)
            except BaseException:
                await connection.rollback()
                raise
        return "not stored"

    jobs = {way: act.enqueue(way.__name__).id for way in ENDS}
    async with pgq.worker(concurrency=10):
        await watch.auntil(ENDED, len(ENDS), "succeeded")
    for way, (runs, errors, effects) in ENDS.items():
        job = jobs[way]
        assert runs_of(database, job) == runs, way
        assert [kind for kind, _ in errors_of(database, job) if kind] == errors, way
        assert effects_of(database, job) == [effects], way
        assert row_of(database, job)["result"] == {"run": len(runs)}, way
    assert heard.named("job.lost") == []


async def test_every_kind_of_handle_carries_the_end_of_a_job(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    async def end(ctx: JobContext[None], handle: Handle) -> None:
        await handle.begin()
        await handle.execute(f"insert into public.effects values ({ctx.id}, {ctx.run})")
        if handle.is_async:
            await ctx.acomplete(handle.given, bind=handle.bind, result=ctx.run)
        else:
            ctx.complete(handle.given, bind=handle.bind, result=ctx.run)
        await handle.settle(committed=ctx.run == 2)

    @pgq.task(context=True, retry=SOON)
    async def act(ctx: JobContext[None], kind: str) -> None:
        async with open_handle(kind, dsn) as handle:
            await end(ctx, handle)

    jobs = {kind: act.enqueue(kind).id for kind in KINDS}
    async with pgq.worker(concurrency=1):
        await watch.auntil(ENDED, len(KINDS), "succeeded")
    for kind, job in jobs.items():
        assert runs_of(database, job) == [(1, 1, "retry"), (2, 2, "succeeded")], kind
        assert effects_of(database, job) == [1], kind
        assert row_of(database, job)["result"] == 2, kind


@pytest.mark.parametrize("committed", [True, False])
async def test_a_transaction_that_is_open_when_the_handler_returns_decides_in_the_end(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection, watch: Watch, committed: bool
) -> None:
    returned = asyncio.Event()
    async with await AsyncConnection.connect(dsn) as connection:

        @pgq.task(context=True, retry=SOON)
        async def act(ctx: JobContext[None]) -> None:
            if ctx.run == 1:
                await work(ctx, connection)
                returned.set()
            else:
                async with await AsyncConnection.connect(dsn) as other:
                    await commits(ctx, other)

        job, other = act.enqueue().id, pgq.named("other")
        heard = Heard(pgq.events)

        @pgq.task(name="other")
        async def nothing() -> None: ...

        async with pgq.worker(concurrency=4):
            await returned.wait()
            await watch.auntil(STATE, "succeeded", other.enqueue().id)  # nobody else is held up
            assert row_of(database, job)["state"] == "running"
            await (connection.commit() if committed else connection.rollback())
            await watch.auntil(STATE, "succeeded", job)
    last = 1 if committed else 2
    assert [run for run, _, outcome in runs_of(database, job) if outcome == "succeeded"] == [last]
    assert effects_of(database, job) == [1]
    assert errors_of(database, job)[:-1] == [] or errors_of(database, job)[0][0] == "pgqueue.JobNotCommitted"
    assert heard.named("job.lost") == []


async def test_a_run_that_was_handed_to_another_worker_cannot_complete_and_its_transaction_changes_nothing(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    loop, started = asyncio.get_running_loop(), asyncio.Event()
    goes_on = {1: asyncio.Event(), 2: asyncio.Event()}
    errors: list[BaseException] = []

    @pgq.task(context=True, retry=SOON)
    def act(ctx: JobContext[None]) -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute(INSERT, (int(ctx.id), ctx.run))
            if ctx.run == 1:
                loop.call_soon_threadsafe(started.set)
            asyncio.run_coroutine_threadsafe(goes_on[ctx.run].wait(), loop).result()
            try:
                ctx.complete(connection, result=ctx.run)
            except JobLost as lost:
                errors.append(lost)
                connection.rollback()
                loop.call_soon_threadsafe(goes_on[2].set)

    job = act.enqueue().id
    async with timed(pgq.worker(concurrency=4), beat=0.1, sweep=0.1):
        await started.wait()
        database.execute("delete from pgqueue.worker")  # as if it had been silent
        await watch.auntil("select run = 2 from pgqueue.all_jobs where id = %s and state = 'running'", job)
        goes_on[1].set()
        await watch.auntil(STATE, "succeeded", job)
    assert runs_of(database, job) == [(1, 0, "rescued"), (2, 1, "succeeded")]
    assert row_of(database, job)["result"] == 2
    assert effects_of(database, job) == [1]
    assert "Run 1 of job" in str(errors[0])


async def test_a_run_that_is_over_its_time_or_cancelled_cannot_complete(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    loop, over, refused = asyncio.get_running_loop(), asyncio.Event(), asyncio.Semaphore(0)
    started = asyncio.Event()

    @pgq.task(context=True, retry=RetryPolicy(max_retries=0))
    def act(ctx: JobContext[None]) -> None:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(over.wait(), loop).result()
        with psycopg.connect(dsn) as connection:
            connection.execute(INSERT, (int(ctx.id), ctx.run))
            with suppress(JobLost):
                ctx.complete(connection)
            refused.release()
            connection.rollback()

    late, cancelled = act.using(timeout=0.2).enqueue().id, act.enqueue().id
    async with timed(pgq.worker(concurrency=4), beat=0.1):
        await started.wait()
        await watch.auntil(STATE, "dead", late)
        pgq.inspector.cancel(cancelled)
        await watch.auntil(STATE, "cancelled", cancelled)
        over.set()
        for _ in range(2):
            await asyncio.wait_for(refused.acquire(), 10)
    assert (runs_of(database, late), runs_of(database, cancelled)) == ([(1, 1, "dead")], [(1, 1, "cancelled")])
    assert effects_of(database, late, cancelled) == [0, 0]


async def test_a_stop_before_the_commit_costs_no_attempt(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection
) -> None:
    completed = asyncio.Event()

    @pgq.task(context=True, retry=SOON)
    async def act(ctx: JobContext[None]) -> None:
        async with await AsyncConnection.connect(dsn) as connection:
            await work(ctx, connection)
            completed.set()
            await asyncio.Event().wait()

    job = act.enqueue().id
    async with timed(pgq.worker(concurrency=4), soft_stop=0.1):
        await completed.wait()
    row = row_of(database, job)
    assert (row["state"], row["attempt"], effects_of(database, job)) == ("ready", 0, [0])


async def test_the_key_of_a_job_is_free_when_its_end_is_committed_and_not_before(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    completed, goes_on = asyncio.Event(), asyncio.Event()

    @pgq.task(context=True, retry=SOON, unique=Unique(scope="finished"))
    async def act(ctx: JobContext[None]) -> None:
        async with await AsyncConnection.connect(dsn) as connection:
            await work(ctx, connection)
            await (connection.rollback() if ctx.run == 1 else connection.commit())
        if ctx.run == 1:
            completed.set()
            await goes_on.wait()

    first = await act.aenqueue()
    async with pgq.worker(concurrency=1):
        await completed.wait()
        assert not (await act.aenqueue()).created, "rolled back, so it holds its key"
        goes_on.set()
        await watch.auntil(STATE, "succeeded", first.id)
        assert (await act.aenqueue()).created
        await watch.auntil(ENDED, 2, "succeeded")


async def test_whoever_waits_gets_the_result_that_was_committed(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection
) -> None:
    @pgq.task(context=True, retry=SOON)
    async def act(ctx: JobContext[None]) -> dict[str, int] | None:
        async with await AsyncConnection.connect(dsn) as connection:
            await commits(ctx, connection)
        return {"returned": 1}

    async with pgq.worker(concurrency=1):
        job = await act.aenqueue()
        assert await job.aresult(timeout="20s") == {"run": 1}


async def test_a_role_that_may_only_enqueue_may_complete_its_own_job(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection, watch: Watch, login: Login
) -> None:
    producer = login("producer")
    database.execute("grant insert on public.effects to public")

    @pgq.task(context=True, retry=SOON)
    async def act(ctx: JobContext[None]) -> None:
        async with await AsyncConnection.connect(producer) as connection:
            await commits(ctx, connection)

    job = act.enqueue().id
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job)
    assert runs_of(database, job) == [(1, 1, "succeeded")]
    assert effects_of(database, job) == [1]


async def test_a_worker_that_was_taken_for_dead_while_the_transaction_is_open_ends_the_job_once(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    completed = asyncio.Event()

    async with await AsyncConnection.connect(dsn) as connection:

        @pgq.task(context=True, retry=SOON)
        async def act(ctx: JobContext[None]) -> None:
            await work(ctx, connection)
            completed.set()
            await asyncio.Event().wait()

        job, heard = act.enqueue().id, Heard(pgq.events)
        async with timed(pgq.worker(concurrency=4), beat=0.1, sweep=0.1):
            await completed.wait()
            database.execute("delete from pgqueue.worker")
            await heard.wait("worker.lost")
            await connection.commit()
            await watch.auntil(STATE, "succeeded", job)
            await watch.auntil("select not exists (select from pgqueue.lease)")
    assert runs_of(database, job) == [(1, 1, "succeeded")]
    assert effects_of(database, job) == [1]
    assert heard.named("job.lost") == []
