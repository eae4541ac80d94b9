"""What goes wrong around a run must not reach another one."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pgqueue import BackendUnavailable, JobContext, PgQueue, RetryPolicy
from pgqueue.postgres.store import PostgresWorker
from tests.support import Watch
from tests.worker.harness import ENDED, STATE, Heard, row_of, timed

PATIENCE = 10.0


async def test_a_run_whose_checkpoint_could_not_be_read_leaves_nothing_to_the_next_one(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    @pgq.task(context=True, retry=RetryPolicy(delays=[0]))
    async def note(ctx: JobContext, name: str) -> None:
        seen.append(f"{name} {ctx.id}")

    async def away(self: Any, job: Any) -> Any:
        raise BackendUnavailable("It is away.", "Wait.")

    monkeypatch.setattr(PostgresWorker, "kept", away)
    first = note.enqueue("first")
    database.execute("update pgqueue.job set run = 2")
    database.execute("update pgqueue.ready set run = 2")
    async with pgq.worker(concurrency=1):
        await watch.auntil("select state = 'scheduled' and attempt = 0 from pgqueue.all_jobs where id = %s", first.id)
        second = note.enqueue("second")
        await watch.auntil(STATE, "succeeded", second.id)
    assert seen == [f"second {second.id}"]


async def test_a_success_that_came_too_late_leaves_the_checkpoint_to_the_present_run(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    kept, release = asyncio.Event(), asyncio.Event()

    @pgq.task(context=True)
    async def work(ctx: JobContext) -> None:
        await ctx.acheckpoint("mine")
        kept.set()
        await release.wait()

    job = work.enqueue()
    async with timed(pgq.worker(concurrency=1), beat=3600.0, sweep=3600.0):
        async with asyncio.timeout(PATIENCE):
            await kept.wait()
        with database.transaction():  # as after a sweep that took the worker for dead, and a retry
            database.execute("update pgqueue.job set run = run + 1, run_at = now() + interval '1 h'")
            database.execute(
                "insert into pgqueue.scheduled (queue, due_at, job_id, run) select queue, run_at, id, run from pgqueue.job"
            )
            database.execute("delete from pgqueue.lease")
        heard = Heard(pgq.events)
        release.set()
        await heard.wait("job.lost")
    assert database.execute("select value from pgqueue.job_checkpoint where job_id = %s", (job.id,)).fetchone() == (
        "mine",
    )


async def test_a_checkpoint_stays_until_the_success_is_written(
    pgq: PgQueue[None], dsn: str, database: psycopg.Connection, watch: Watch
) -> None:
    kept, release = asyncio.Event(), asyncio.Event()

    @pgq.task(context=True)
    async def work(ctx: JobContext) -> None:
        await ctx.acheckpoint("mine")
        kept.set()
        await release.wait()

    job = work.enqueue()
    count = "select count(*) = %s from pgqueue.job_checkpoint"
    async with pgq.worker(concurrency=1):
        async with asyncio.timeout(PATIENCE):
            await kept.wait()
        with psycopg.connect(dsn) as holder:
            holder.execute("select from pgqueue.job where id = %s for update", (job.id,))
            release.set()
            await asyncio.sleep(1.0)  # longer than the reporter waits between two rounds
            assert database.execute(count, (1,)).fetchone() == (True,)
        await watch.auntil(STATE, "succeeded", job.id)
        await watch.auntil(count, 0)


async def test_what_a_handler_returns_although_it_was_told_to_stop_is_kept(
    pgq: PgQueue[None], database: psycopg.Connection
) -> None:
    running = asyncio.Event()
    told: list[object] = []

    @pgq.task
    async def stubborn() -> dict[str, int]:
        running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return {"partial": 3}
        return {}

    pgq.on_success(lambda ctx, result: told.append(result))
    job = stubborn.enqueue()
    worker = timed(pgq.worker(concurrency=1), soft_stop=0.0)
    async with worker:
        async with asyncio.timeout(PATIENCE):
            await running.wait()
    row = row_of(database, job.id)
    assert (row["state"], row["result"], row["attempt"]) == ("succeeded", {"partial": 3}, 1)
    assert told == [{"partial": 3}]


async def test_a_plain_handler_may_keep_checkpoints_from_a_loop_of_its_own(pgq: PgQueue[None], watch: Watch) -> None:
    @pgq.task(context=True)
    def work(ctx: JobContext, number: int) -> None:
        async def keep() -> None:
            await asyncio.gather(*(ctx.acheckpoint(number + n) for n in range(5)))

        asyncio.run(keep())

    pgq.enqueue_many([work.job(number) for number in range(10)])
    async with pgq.worker(concurrency=10):
        await watch.auntil(ENDED, 10, "succeeded")
