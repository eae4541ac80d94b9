"""ctx.checkpoint and ctx.resumed: what a run keeps, later runs of the job find, until it has succeeded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pgqueue import GiveUp, HandleError, InvalidPayload, JobContext, JobLost, PgQueue, RetryPolicy, Snooze
from pgqueue.contrib.encryption import Encryption
from pgqueue.model.clock import monotonic
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.store import PostgresWorker
from pgqueue.worker.state import describe_worker
from tests.support import Watch
from tests.worker.harness import STATE, row_of, runs_of, timed

SOON = RetryPolicy(max_retries=10, delays=[0.05])
KEPT = "select count(*) from pgqueue.job_checkpoint"
NONE_KEPT = "select not exists (select from pgqueue.job_checkpoint)"
SECRET = "4111-1111"


async def test_a_checkpoint_survives_a_retry_a_snooze_and_an_operators_retry_and_goes_with_success(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    seen: list[Any] = []
    errors = [ValueError("retry"), Snooze(0.05), GiveUp("dead")]

    @pgq.task(context=True, retry=SOON)
    async def act(ctx: JobContext[None]) -> str:
        seen.append(ctx.resumed)
        await ctx.acheckpoint({"run": ctx.run})
        if ctx.run <= len(errors):
            raise errors[ctx.run - 1]
        return "done"

    job = act.enqueue().id
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job)
        assert database.execute(KEPT).fetchone() == (1,), "an operator may bring it back"
        pgq.inspector.retry(job)
        await watch.auntil(STATE, "succeeded", job)
        await watch.auntil(NONE_KEPT)
    assert seen == [None, {"run": 1}, {"run": 2}, {"run": 3}]


async def test_a_plain_handler_keeps_checkpoints_too_and_the_last_one_counts(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    seen: list[Any] = []

    @pgq.task(context=True, retry=SOON)
    def act(ctx: JobContext[None]) -> None:
        seen.append(ctx.resumed)
        if ctx.run == 1:
            for page in range(3):
                ctx.checkpoint(page)
            raise ValueError
        if ctx.run == 2:
            ctx.checkpoint(None)
            raise ValueError

    job = act.enqueue().id
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job)
        await watch.auntil(NONE_KEPT)
    assert seen == [None, 2, None]


async def test_a_job_that_completes_leaves_no_checkpoint(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    @pgq.task(context=True, retry=SOON)
    async def act(ctx: JobContext[None]) -> None:
        await ctx.acheckpoint("half")
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            await ctx.acomplete(connection)

    job = act.enqueue().id
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job)
    assert database.execute(KEPT).fetchone() == (0,)


async def test_a_run_that_is_over_keeps_nothing(pgq: PgQueue[None], database: psycopg.Connection, watch: Watch) -> None:
    loop, goes_on, refused = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    errors: list[BaseException] = []

    @pgq.task(context=True, retry=SOON)
    def act(ctx: JobContext[None]) -> Any:
        if ctx.run > 1:
            loop.call_soon_threadsafe(goes_on.set)
            asyncio.run_coroutine_threadsafe(refused.wait(), loop).result()
            return ctx.resumed
        ctx.checkpoint("first")
        asyncio.run_coroutine_threadsafe(goes_on.wait(), loop).result()
        try:
            ctx.checkpoint("late")
        except JobLost as lost:
            errors.append(lost)
            loop.call_soon_threadsafe(refused.set)

    @pgq.task
    async def hold() -> None:
        await refused.wait()

    job = act.using(timeout=0.5).enqueue().id
    hold.enqueue()  # of the same claim: its lease stands on
    async with timed(pgq.worker(concurrency=4), beat=0.1):
        await watch.auntil(STATE, "succeeded", job)
        await watch.auntil(NONE_KEPT)
    assert runs_of(database, job) == [(1, 1, "retry"), (2, 2, "succeeded")]
    assert row_of(database, job)["result"] == "first"
    assert "is over" in str(errors[0])


async def test_what_cannot_be_kept_is_refused_where_it_is_said(pgq: PgQueue[None], watch: Watch) -> None:
    errors: list[type[BaseException]] = []

    @pgq.task(context=True, retry=SOON)
    async def act(ctx: JobContext[None]) -> None:
        for value in (object(), "x" * 70_000):
            try:
                await ctx.acheckpoint(value)
            except Exception as error:  # noqa: BLE001 - which one is what is asked
                errors.append(type(error))
        try:
            ctx.checkpoint(1)
        except HandleError as error:
            errors.append(type(error))

    job = act.enqueue().id
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job)
    assert errors == [InvalidPayload, InvalidPayload, HandleError]


@pytest.fixture
def private(worker_dsn: str) -> Iterator[PgQueue[None]]:
    """An application that encrypts."""
    queue: PgQueue[None] = PgQueue(worker_dsn, codec=Encryption([Encryption.new_key()]))
    yield queue
    queue.close()


async def test_with_a_cipher_a_checkpoint_cannot_be_read_in_the_table(
    private: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    readable: list[Any] = []

    @private.task(context=True, retry=SOON)
    async def act(ctx: JobContext[None]) -> None:
        if ctx.resumed is None:
            await ctx.acheckpoint({"card": SECRET})
            raise ValueError
        readable.append(ctx.resumed)
        raise GiveUp("look at it")

    job = act.enqueue().id
    async with private.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job)
    [(stored,)] = database.execute("select value::text from pgqueue.job_checkpoint").fetchall()
    assert SECRET not in stored
    assert readable == [{"card": SECRET}]


async def test_the_statement_itself_keeps_nothing_of_another_run_or_another_lease(
    pgq: PgQueue[None], settings: Settings
) -> None:
    pgq.named("act").enqueue()
    backend = PostgresWorker(settings, monotonic)
    await backend.register(describe_worker({"default": 1}, 1, "0"))
    [job] = (await backend.claim("default", 7, 10)).jobs
    assert not await backend.keep(job._replace(run=job.run + 1), "1")
    assert not await backend.keep(job._replace(lease=8), "1")
    assert await backend.kept(job) == ()
    assert await backend.keep(job, "1")
    assert await backend.kept(job) == (1,)
    await backend.close()
