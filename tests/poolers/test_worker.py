"""A worker and its producers behind a real pooler of each kind: everything works, and nothing is left in lent servers."""

from __future__ import annotations

import asyncio

import psycopg

from pgqueue import PgQueue, RetryPolicy
from pgqueue.postgres.connections import Settings
from tests.storage.hands import enqueue, hands
from tests.support import COPIED, Watch
from tests.worker.harness import ENDED, PATIENCE, STATE, Heard, row_of, runs_of, timed

BEHIND = "datname = current_database() and application_name like 'pgqueue %'"


async def test_jobs_of_every_kind_run(app: PgQueue[None], watch: Watch, mode: str) -> None:
    heard = Heard(app.events)
    failed: list[int] = []

    @app.task
    async def double(number: int) -> int:
        return 2 * number

    @app.task
    def in_a_thread(number: int) -> int:
        return 3 * number

    @app.task(retry=RetryPolicy(max_retries=1, delays=[0.1]))
    async def fail_once() -> str:
        failed.append(1)
        if len(failed) == 1:
            raise ValueError
        return "done"

    async with app.worker(concurrency=20) as worker:
        assert worker.state.listens == (mode == "session"), "else it would look more rarely when idle"
        [told] = heard.named("worker.pooled")
        assert told == {"pooling": mode, "woken_by": "notifications" if mode == "session" else "polling"}
        one, other, retried = double.enqueue(1), in_a_thread.enqueue(1), await fail_once.aenqueue()
        later = double.using(delay=0.3).enqueue(2)
        assert await app.agather([one, other, later], timeout=PATIENCE) == [2, 3, 4]
        assert await retried.aresult(timeout=PATIENCE) == "done"
        app.enqueue_many([double.job(number) for number in range(COPIED)])
        await app.aenqueue_many([double.job(number) for number in range(100)])
        await watch.auntil(ENDED, COPIED + 104, "succeeded")
    assert heard.named("service.failed") == heard.named("job.lost") == []
    await app.aclose()


async def test_running_jobs_are_cancelled_and_a_stop_hands_back_what_runs(
    app: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    started = asyncio.Semaphore(0)

    @app.task
    async def hang() -> None:
        started.release()
        await asyncio.Event().wait()

    worker = timed(app.worker(concurrency=2, stop_timeout="10ms"), beat=0.2)
    async with asyncio.timeout(PATIENCE):
        await worker.start()
        cancelled, released = hang.enqueue(), hang.enqueue()
        await started.acquire()
        await started.acquire()
        assert app.inspector.cancel(cancelled.id) == "signalled"
        await watch.auntil(STATE, "cancelled", cancelled.id)
        assert await worker.stop() == 3
    assert row_of(database, released.id)["state"] == "ready"
    assert runs_of(database, released.id) == [(1, 0, "release")]
    assert database.execute("select count(*) from pgqueue.worker").fetchone() == (0,)


async def test_the_jobs_of_a_silent_worker_are_rescued(
    app: PgQueue[None], watch: Watch, settings: Settings, database: psycopg.Connection
) -> None:
    @app.task(name="work")
    async def work() -> None: ...

    [job] = enqueue(database)
    async with hands(settings) as silent:
        assert len((await silent.claim()).jobs) == 1
        async with timed(app.worker(), beat=0.2, lease=1.0, sweep=0.2):
            await watch.auntil(STATE, "succeeded", job)
    assert runs_of(database, job) == [(1, 0, "rescued"), (2, 1, "succeeded")]


async def test_a_worker_goes_on_when_every_server_behind_the_pooler_was_ended(
    app: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @app.task(name="work")
    async def work() -> None: ...

    async with timed(app.worker(concurrency=10), beat=0.2, sweep=0.2):
        for round_ in range(3):
            enqueue(database, 300)
            await watch.auntil("select count(*) > %s from pgqueue.job_history", round_ * 300)
            database.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {BEHIND}".encode())
        await watch.auntil(ENDED, 900, "succeeded")
    assert database.execute("select count(*) from pgqueue.job_attempt").fetchone() == (0,)
