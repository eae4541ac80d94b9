"""Attempts that take too long."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import psycopg
import pytest

from pgqueue import PgQueue, RetryPolicy
from tests.support import Watch
from tests.worker.harness import ENDED, PATIENCE, STATE, ZombieWatch, errors_of, runs_of

ONCE = RetryPolicy(max_retries=0)


async def test_an_async_handler_over_its_time_is_cancelled_and_the_attempt_counts(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    told: list[bool] = []

    @pgq.task(timeout=0.2, retry=RetryPolicy(max_retries=1, delays=[0]))
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append(True)
            raise

    job = hang.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    assert told == [True, True]
    assert runs_of(database, job.id) == [(1, 1, "retry"), (2, 2, "dead")]
    assert {kind for kind, _ in errors_of(database, job.id)} == {"TimeoutError"}
    lengths = database.execute(
        "select extract(epoch from ended_at - started_at)::float8 from pgqueue.all_attempts where job_id = %s",
        (job.id,),
    ).fetchall()
    assert all(0.2 <= length < 1.2 for (length,) in lengths), lengths


async def test_a_handler_that_swallows_the_cancellation_is_recorded_as_timed_out(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(timeout=0.1, retry=ONCE)
    async def stubborn(times: int) -> None:
        for _ in range(times):
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    jobs = pgq.enqueue_many([stubborn.job(n) for n in (1, 3, 1)])
    async with pgq.worker(concurrency=1):
        await watch.auntil(ENDED, 3, "dead")
    assert [errors_of(database, job.id)[0][0] for job in jobs] == ["TimeoutError"] * 3


async def test_a_handler_that_raises_something_else_when_its_time_is_up_is_recorded_as_timed_out(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(timeout=0.1, retry=ONCE)
    async def rude() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while cleaning up")

    job = rude.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    assert errors_of(database, job.id)[0][0] == "TimeoutError"


async def test_a_handler_may_use_timeouts_of_its_own(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(timeout=30, retry=ONCE)
    async def careful() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    job = careful.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    assert "took longer than" not in errors_of(database, job.id)[0][1], "the handler's own timeout, not the attempt's"


@pytest.mark.parametrize("raises", [False, True])
async def test_a_thread_over_its_time_is_left_behind_and_counted_until_it_ends(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, *, raises: bool
) -> None:
    release = threading.Event()

    @pgq.task(name="hang", timeout=0.2, retry=ONCE)
    def hang() -> None:
        release.wait(PATIENCE)
        if raises:
            raise ValueError("too late")

    @pgq.task(name="next")
    def go_on() -> None:
        pass

    async with pgq.worker(concurrency=1) as worker:
        zombies = ZombieWatch(worker)
        late, next_ = pgq.enqueue_many([hang.job(), go_on.job()])
        await watch.auntil(STATE, "dead", late.id)
        await watch.auntil(STATE, "succeeded", next_.id)
        assert await zombies.next() == 1
        assert worker.slots.threads.zombies == 1
        release.set()
        assert await zombies.next() == 0
    assert runs_of(database, late.id) == [(1, 1, "dead")], "what the zombie did after its time is no outcome"
    assert errors_of(database, late.id)[0][0] == "TimeoutError"


async def test_a_thread_in_time_is_no_zombie(pgq: PgQueue[None], watch: Watch) -> None:
    @pgq.task
    def quick() -> None:
        pass

    pgq.enqueue_many([quick.job() for _ in range(20)])
    async with pgq.worker(concurrency=4) as worker:
        await watch.auntil(ENDED, 20, "succeeded")
        assert worker.slots.threads.zombies == 0
