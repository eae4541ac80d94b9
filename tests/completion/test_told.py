"""What the log and errors tell of ctx.complete."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg import AsyncConnection

from pgqueue import HandleError, JobContext, PgQueue, RetryPolicy
from tests.support import Watch
from tests.worker.harness import STATE, Heard, row_of, timed


async def test_the_log_tells_of_a_completion_what_the_database_knows(
    pgq: PgQueue[None], dsn: str, watch: Watch
) -> None:
    told = list[tuple[str, str]]()
    pgq.events.subscribe(lambda event: told.append((event.name, event.fields.get("task", ""))), successes=True)

    @pgq.task(name="committed", context=True)
    async def committed(ctx: JobContext) -> None:
        async with await AsyncConnection.connect(dsn) as connection:
            await ctx.acomplete(connection)

    @pgq.task(name="undone", context=True, retry=RetryPolicy(max_retries=0))
    async def undone(ctx: JobContext) -> None:
        async with await AsyncConnection.connect(dsn) as connection:
            await ctx.acomplete(connection)
            await connection.rollback()

    await committed.aenqueue()
    await undone.aenqueue()
    async with pgq.worker(concurrency=2):
        await watch.auntil("select count(*) = 2 from pgqueue.job_history")
    assert {event for event in told if event[0].startswith("job.")} == {
        ("job.succeeded", "committed"),
        ("job.dead", "undone"),
    }


async def test_complete_is_called_once_in_a_run(pgq: PgQueue[None], dsn: str, watch: Watch) -> None:
    seen = list[str]()

    @pgq.task(context=True)
    async def work(ctx: JobContext) -> None:
        async with await AsyncConnection.connect(dsn) as connection:
            await ctx.acomplete(connection)
            with pytest.raises(HandleError, match="called before in this run") as refused:
                await ctx.acomplete(connection)
            seen.append(refused.value.remedy)

    job = work.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job.id)
    assert seen == ["Call it once, or roll back in between."]


async def test_a_stop_while_a_completing_transaction_is_open_says_so(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection
) -> None:
    held: list[AsyncConnection] = []
    running = asyncio.Event()

    @pgq.task(context=True)
    async def work(ctx: JobContext) -> None:
        held.append(await AsyncConnection.connect(dsn))
        await ctx.acomplete(held[0])
        running.set()

    job = work.enqueue()
    heard = Heard(pgq.events)
    worker = timed(pgq.worker(concurrency=1), hard_stop=0.5)
    await worker.start()
    await running.wait()
    assert await worker.stop() == 3
    assert heard.named("jobs.unwritten") == [{"jobs": 1, "ids": job.id}]
    await held[0].close()
    assert row_of(database, job.id)["state"] == "running", "a sweep hands it back"
