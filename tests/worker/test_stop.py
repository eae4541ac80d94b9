"""A worker stops in phases: nothing is lost, and what it does not finish costs no attempt."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import psycopg
import pytest

from pgqueue import BackendUnavailable, PgQueue, RetryPolicy, SchemaError
from tests.support import Watch
from tests.worker.harness import ENDED, PATIENCE, STATE, Heard, row_of, runs_of, timed


async def test_a_running_job_may_end_within_the_soft_deadline(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @pgq.task
    async def hang() -> None:
        started.set()
        await release.wait()

    heard = Heard(pgq.events)
    worker = pgq.worker(concurrency=2)
    await worker.start()
    job = hang.enqueue()
    async with asyncio.timeout(PATIENCE):
        await started.wait()
        stopping = asyncio.create_task(worker.stop())
        await heard.wait("worker.stopping")
        release.set()
        assert await stopping == 0
    assert row_of(database, job.id)["state"] == "succeeded"
    for table in ("worker", "worker_idle", "lease"):
        assert database.execute(f"select count(*) from pgqueue.{table}").fetchone() == (0,), table


async def test_a_job_that_does_not_end_in_time_goes_back_at_no_attempt(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    started, told = asyncio.Event(), asyncio.Event()

    @pgq.task(name="hang")
    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            told.set()

    worker = timed(pgq.worker(concurrency=2), soft_stop=0.1)
    await worker.start()
    job = hang.enqueue()
    async with asyncio.timeout(PATIENCE):
        await started.wait()
        assert await worker.stop() == 3
    assert told.is_set()
    row = row_of(database, job.id)
    assert (row["state"], row["attempt"], row["run"], row["crashes"]) == ("ready", 0, 2, 0)
    assert runs_of(database, job.id) == [(1, 0, "release")]


async def test_a_thread_that_does_not_end_in_time_gives_its_job_back(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    started, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @pgq.task
    def hang() -> None:
        loop.call_soon_threadsafe(started.set)
        release.wait(PATIENCE)

    worker = timed(pgq.worker(concurrency=2), soft_stop=0.1)
    await worker.start()
    job = hang.enqueue()
    async with asyncio.timeout(PATIENCE):
        await started.wait()
        assert await worker.stop() == 3
    release.set()
    assert row_of(database, job.id)["state"] == "ready"
    assert runs_of(database, job.id) == [(1, 0, "release")]


async def test_what_a_handler_finishes_while_it_is_cancelled_counts(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    started = asyncio.Event()

    @pgq.task
    async def finishing() -> None:
        with suppress(asyncio.CancelledError):
            started.set()
            await asyncio.Event().wait()

    worker = timed(pgq.worker(concurrency=1), soft_stop=0.1)
    await worker.start()
    job = finishing.enqueue()
    async with asyncio.timeout(PATIENCE):
        await started.wait()
        await worker.stop()
    assert runs_of(database, job.id) == [(1, 1, "succeeded")]


async def test_a_handler_that_will_not_end_holds_up_no_stop_and_its_job_is_rescued(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    @pgq.task(retry=RetryPolicy(delays=[0]))
    async def stubborn() -> None:
        started.set()
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()

    worker = timed(pgq.worker(concurrency=1), soft_stop=0.1)
    await worker.start()
    job = stubborn.enqueue()
    async with asyncio.timeout(PATIENCE):
        await started.wait()
        assert await worker.stop() == 3
    release.set()
    async with timed(pgq.worker(concurrency=1), sweep=0.1):
        await watch.auntil(STATE, "succeeded", job.id)
    assert [outcome for _, _, outcome in runs_of(database, job.id)][-1] == "succeeded"
    assert row_of(database, job.id)["attempt"] == 1


async def test_buffered_jobs_go_back_when_the_worker_stops(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.worker.claimer.HELD_SECONDS", 60.0)
    started, begun, release = list[str](), asyncio.Event(), asyncio.Event()

    @pgq.task
    async def hang(queue: str) -> None:
        started.append(queue)
        begun.set()
        await release.wait()

    jobs = {queue: hang.using(queue=queue).enqueue(queue) for queue in ("a", "b")}
    worker = pgq.worker(queues=["a", "b"], concurrency=1)
    await worker.start()
    await watch.auntil("select sum(cardinality(job_ids)) = 2 from pgqueue.lease")
    await begun.wait()
    [busy] = started
    buffered = jobs["b" if busy == "a" else "a"]
    async with asyncio.timeout(PATIENCE):
        stopping = asyncio.create_task(worker.stop())
        await watch.auntil(STATE, "ready", buffered.id)
        release.set()
        assert await stopping == 0
    assert started == [busy]
    assert row_of(database, jobs[busy].id)["state"] == "succeeded"
    row = row_of(database, buffered.id)
    assert (row["state"], row["attempt"], row["run"], row["crashes"]) == ("ready", 0, 2, 0)
    assert runs_of(database, buffered.id) == []


async def test_hurry_ends_the_soft_phase(pgq: PgQueue[None], watch: Watch, database: psycopg.Connection) -> None:
    started = asyncio.Event()

    @pgq.task
    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    heard = Heard(pgq.events)
    worker = pgq.worker(concurrency=1, stop_timeout="1h")
    await worker.start()
    job = hang.enqueue()
    async with asyncio.timeout(PATIENCE):
        await started.wait()
        stopping = asyncio.create_task(worker.stop())
        await heard.wait("worker.stopping")
        worker.hurry()
        assert await stopping == 3
    assert runs_of(database, job.id) == [(1, 0, "release")]


async def test_stopping_under_load_loses_nothing(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ran: list[int] = []
    enough = asyncio.Event()

    @pgq.task
    async def note(number: int) -> None:
        ran.append(number)
        enough.set()

    pgq.enqueue_many([note.job(number) for number in range(2000)])
    for _ in range(4):
        if len(ran) == 2000:
            break
        enough.clear()
        async with asyncio.timeout(PATIENCE), pgq.worker(concurrency=20):
            await enough.wait()
    async with pgq.worker(concurrency=20):
        await watch.auntil(ENDED, 2000, "succeeded")
    assert sorted(ran) == list(range(2000)), "every stop was clean, so each ran exactly once"
    assert database.execute("select count(*) from pgqueue.job_attempt").fetchone() == (0,)


async def test_an_unreachable_database_fails_the_start(pgq: PgQueue[None]) -> None:
    away = PgQueue("postgresql://nobody@/none?host=/nowhere")

    @away.task
    async def note() -> None:
        pass

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(BackendUnavailable, match="cannot be reached"):
            await away.worker().start()


async def test_a_database_without_the_schema_fails_the_start_and_leaves_no_connection(dsn: str, watch: Watch) -> None:
    elsewhere = PgQueue(dsn, schema="elsewhere")

    @elsewhere.task
    async def note() -> None:
        pass

    with pytest.raises(SchemaError, match="pgqueue migrate"):
        await elsewhere.worker().start()
    await watch.auntil(
        "select count(*) = 0 from pg_stat_activity "
        "where datname = current_database() and application_name like 'pgqueue %%'",
        timeout=3,
    )
