"""Cancelling a job wherever it stands."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import psycopg
import pytest

from pgqueue import PgQueue, RetryPolicy
from tests.queues.orders import become
from tests.support import Watch
from tests.worker.harness import LISTENING, PATIENCE, STATE, ZombieWatch, row_of, runs_of, timed


def cancel(database: psycopg.Connection, job: object) -> str:
    row = database.execute("select pgqueue.cancel(%s)", (job,)).fetchone()
    assert row is not None
    return str(row[0])


async def test_ready_and_scheduled_jobs_are_cancelled_at_once_and_never_run(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ran: list[str] = []

    @pgq.task
    async def note(name: str) -> None:
        ran.append(name)

    ready, scheduled = note.enqueue("ready"), note.using(delay=0.3).enqueue("scheduled")
    assert [cancel(database, job.id) for job in (ready, scheduled)] == ["cancelled", "cancelled"]
    last = note.using(delay=0.4).enqueue("last")
    async with pgq.worker(concurrency=2):
        await watch.auntil(STATE, "succeeded", last.id)
    assert ran == ["last"]
    for job in (ready, scheduled):
        assert row_of(database, job.id)["state"] == "cancelled"
        assert runs_of(database, job.id) == []
        assert cancel(database, job.id) == "cancelled"


async def test_a_running_handler_is_cancelled(pgq: PgQueue[None], watch: Watch, database: psycopg.Connection) -> None:
    started, told = asyncio.Event(), asyncio.Event()

    @pgq.task(retry=RetryPolicy(delays=[0]))
    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.set()
            raise

    async with pgq.worker(concurrency=1):
        job = hang.enqueue()
        async with asyncio.timeout(PATIENCE):
            await started.wait()
            assert cancel(database, job.id) == "signalled"
            await told.wait()
        await watch.auntil(STATE, "cancelled", job.id, timeout=3)
    assert runs_of(database, job.id) == [(1, 1, "cancelled")]


async def test_a_running_thread_is_left_behind_when_its_job_is_cancelled(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    started, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @pgq.task
    def hang() -> None:
        loop.call_soon_threadsafe(started.set)
        release.wait(PATIENCE)

    async with pgq.worker(concurrency=1) as worker:
        zombies = ZombieWatch(worker)
        job = hang.enqueue()
        async with asyncio.timeout(PATIENCE):
            await started.wait()
        cancel(database, job.id)
        await watch.auntil(STATE, "cancelled", job.id)
        assert await zombies.next() == 1
        release.set()
        assert await zombies.next() == 0
    assert runs_of(database, job.id) == [(1, 1, "cancelled")]


async def test_a_cancelled_handler_that_swallows_it_ends_as_cancelled(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    started = asyncio.Event()

    @pgq.task
    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            started.set()
            await asyncio.Event().wait()

    async with pgq.worker(concurrency=1):
        job = stubborn.enqueue()
        async with asyncio.timeout(PATIENCE):
            await started.wait()
        cancel(database, job.id)
        await watch.auntil(STATE, "cancelled", job.id)
        after = stubborn.using(timeout=0.1, max_retries=0).enqueue()
        await watch.auntil(STATE, "dead", after.id)
    assert runs_of(database, job.id) == [(1, 1, "cancelled")]


async def test_a_buffered_job_is_cancelled_before_it_starts(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.worker.claimer.HELD_SECONDS", 60.0)
    started: list[str] = []
    release = asyncio.Event()

    @pgq.task
    async def hang(queue: str) -> None:
        started.append(queue)
        await release.wait()

    jobs = {queue: hang.using(queue=queue).enqueue(queue) for queue in ("a", "b")}
    async with timed(pgq.worker(queues=["a", "b"], concurrency=1), beat=30.0):
        await watch.auntil(LISTENING)
        await watch.auntil("select sum(cardinality(job_ids)) = 2 from pgqueue.lease")
        await become(lambda: started)  # the lease is there before the slot is
        [busy] = started
        buffered = jobs["b" if busy == "a" else "a"]
        assert cancel(database, buffered.id) == "signalled"
        await watch.auntil(STATE, "cancelled", buffered.id, timeout=3)
        assert started == [busy]
        release.set()
        await watch.auntil(STATE, "succeeded", jobs[busy].id)
    assert started == [busy]
    assert runs_of(database, buffered.id) == []


async def test_a_buffered_job_that_waits_long_is_handed_back_at_no_attempt(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    started: list[str] = []
    running, release = asyncio.Event(), asyncio.Event()

    @pgq.task
    async def hang(queue: str) -> None:
        started.append(queue)
        running.set()
        await release.wait()

    jobs = {queue: hang.using(queue=queue).enqueue(queue) for queue in ("a", "b")}
    async with pgq.worker(queues=["a", "b"], concurrency=1):
        await running.wait()
        await watch.auntil("select sum(cardinality(job_ids)) = 2 from pgqueue.lease")
        buffered = jobs["b" if started == ["a"] else "a"]
        await watch.auntil(STATE, "ready", buffered.id, timeout=5)
        row = row_of(database, buffered.id)
        assert (row["attempt"], row["run"], row["crashes"]) == (0, 2, 0)
        release.set()
        await watch.auntil(STATE, "succeeded", buffered.id)
    assert runs_of(database, buffered.id)[-1][1:] == (1, "succeeded")
    assert len(runs_of(database, buffered.id)) == 1
