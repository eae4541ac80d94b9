"""A worker that others took for dead, seen from inside: its late outcomes change nothing, and it begins anew."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from pgqueue import JobContext, PgQueue
from pgqueue.backend import Pulse
from pgqueue.worker.identity import Identity
from tests.support import Watch
from tests.worker.harness import LISTENING, PATIENCE, STATE, Heard, row_of, runs_of, timed

CANCEL = "select pg_notify(pgqueue.channel(), 'cancel')"  # every worker beats at once


async def test_a_finish_of_a_run_that_was_rescued_changes_nothing_and_is_told(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    started, release = {1: asyncio.Event(), 2: asyncio.Event()}, {1: asyncio.Event(), 2: asyncio.Event()}

    @pgq.task(context=True)
    async def hold(ctx: JobContext[None]) -> None:
        started[ctx.run].set()
        await release[ctx.run].wait()

    heard = Heard(pgq.events)
    async with timed(pgq.worker(concurrency=1), beat=60.0, sweep=60.0, lease=600.0), asyncio.timeout(2 * PATIENCE):
        job = hold.enqueue()
        await started[1].wait()
        database.execute("delete from pgqueue.worker")
        async with timed(pgq.worker(concurrency=1), sweep=0.1):
            await started[2].wait()
            before = row_of(database, job.id)
            release[1].set()
            lost = await heard.wait("job.lost")
            assert row_of(database, job.id) == before, "the second run goes on"
            release[2].set()
            await watch.auntil(STATE, "succeeded", job.id)
    assert [(int(event["job"]), event["run"]) for event in lost] == [(int(job.id), 1)]
    assert runs_of(database, job.id) == [(1, 0, "rescued"), (2, 1, "succeeded")]


async def test_a_worker_taken_for_dead_cancels_its_handlers_and_goes_on_under_a_new_id(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    started, told = asyncio.Event(), asyncio.Event()

    @pgq.task(context=True)
    async def hold(ctx: JobContext[None]) -> None:
        if ctx.run == 1:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                told.set()

    heard = Heard(pgq.events)
    async with timed(pgq.worker(concurrency=1), beat=60.0, sweep=0.1, lease=600.0) as worker:
        first = worker.state.info.id
        await watch.auntil(LISTENING)
        job = hold.enqueue()
        async with asyncio.timeout(PATIENCE):
            await started.wait()
            database.execute("delete from pgqueue.worker")
            database.execute(CANCEL)
            await told.wait()
        await watch.auntil(STATE, "succeeded", job.id)
        [(second,)] = database.execute("select id from pgqueue.worker").fetchall()
    assert len(heard.named("worker.lost")) == 1
    assert second == row_of(database, job.id)["worker_id"] != first
    assert runs_of(database, job.id) == [(1, 0, "rescued"), (2, 1, "succeeded")]


async def test_the_jobs_of_a_claim_whose_answer_was_lost_go_back_at_no_attempt(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def note() -> None:
        pass

    async with timed(pgq.worker(concurrency=1), beat=60.0, sweep=60.0) as worker:
        await watch.auntil(LISTENING)
        database.execute("select pgqueue.pause('default')")
        job = note.enqueue()
        database.execute(
            """
            with taken as (delete from pgqueue.ready where job_id = %s returning job_id, run)
            insert into pgqueue.lease (id, worker_id, job_ids, runs) select 99, %s, array[job_id], array[run] from taken
            """,
            (job.id, worker.state.info.id),
        )
        database.execute("select pgqueue.resume('default')")
        database.execute(CANCEL)
        await watch.auntil(STATE, "succeeded", job.id)
    assert runs_of(database, job.id) == [(2, 1, "succeeded")]
    assert row_of(database, job.id)["crashes"] == 0


async def test_a_worker_whose_lease_ran_out_starts_no_buffered_job(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.worker.claimer.HELD_SECONDS", 60.0)
    felt, feel = asyncio.Event(), Identity.felt

    def feel_and_tell(identity: Identity, number: int, pulse: Pulse) -> None:
        feel(identity, number, pulse)
        felt.set()

    monkeypatch.setattr(Identity, "felt", feel_and_tell)
    started: list[str] = []
    begun, release = asyncio.Event(), asyncio.Event()

    @pgq.task
    async def hold(queue: str) -> None:
        started.append(queue)
        begun.set()
        await release.wait()

    jobs = [hold.using(queue=queue).enqueue(queue) for queue in ("a", "b")]
    async with timed(pgq.worker(queues=["a", "b"], concurrency=1), beat=60.0) as worker:
        await watch.auntil(LISTENING)
        await begun.wait()
        await watch.auntil("select sum(cardinality(job_ids)) = 2 from pgqueue.lease")
        await felt.wait()  # the first beat's answer would renew the lease
        worker.state.lease_until = 0.0
        release.set()
        await watch.auntil("select count(*) = 1 from pgqueue.job_history")
        assert len(started) == 1
        database.execute(CANCEL)
        for job in jobs:
            await watch.auntil(STATE, "succeeded", job.id)
    assert sorted(started) == ["a", "b"]
