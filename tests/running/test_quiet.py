"""A worker that is told to be quiet takes no more jobs and stays; one that is told to stop by a thread stops."""

from __future__ import annotations

import asyncio
import threading

import psycopg
import pytest

from pgqueue import PgQueue
from tests.running.glances import Glances
from tests.support import Watch
from tests.worker.harness import PATIENCE, STATE, Heard, row_of, runs_of, timed


async def test_a_quiet_worker_hands_back_what_waits_and_lets_what_runs_go_on(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgqueue.worker.claimer.HELD_SECONDS", 60.0)
    started, release = list[str](), asyncio.Event()

    @pgq.task
    async def hang(queue: str) -> None:
        started.append(queue)
        await release.wait()

    jobs = {queue: hang.using(queue=queue).enqueue(queue) for queue in ("a", "b")}
    heard, glances = Heard(pgq.events), Glances()
    worker = pgq.worker(queues=["a", "b"], concurrency=1)
    worker.follow_with(glances, 0.01)
    async with worker:
        await glances.until(lambda: (worker.status()["running"], worker.status()["buffered"]) == (1, 1))
        [busy] = started
        waiting = jobs["b" if busy == "a" else "a"]
        worker.quiet()
        assert worker.status()["state"] == "quiet"
        assert heard.named("worker.quiet")[0]["running"] == 1
        await watch.auntil(STATE, "ready", waiting.id)
        release.set()
        await watch.auntil(STATE, "succeeded", jobs[busy].id)
        row = row_of(database, waiting.id)
        assert (row["attempt"], row["crashes"], runs_of(database, waiting.id)) == (0, 0, [])
        worker.resume()
        assert worker.status()["state"] == "ready"
        await watch.auntil(STATE, "succeeded", waiting.id)
    assert started == [busy, "b" if busy == "a" else "a"]


async def test_a_quiet_worker_leaves_new_jobs_to_others(
    dsn: str, pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    other = PgQueue(dsn)

    async def note() -> None:
        pass

    task = pgq.task(name="note")(note)
    other.task(name="note")(note)
    async with pgq.worker(concurrency=1) as quiet:
        quiet.quiet()
        job = task.enqueue()
        async with other.worker(concurrency=1) as busy:
            await watch.auntil(STATE, "succeeded", job.id)
            assert row_of(database, job.id)["worker_id"] == busy.state.info.id


async def test_what_a_claim_brings_that_was_under_way_goes_back_too(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ran = []

    @pgq.task
    async def note() -> None:
        ran.append(1)

    async with timed(pgq.worker(concurrency=1), poll=60.0, idle_poll=60.0) as worker:
        await watch.auntil("select true from pgqueue.worker_idle")
        with database.transaction():
            database.execute("lock table pgqueue.lease in exclusive mode")
            note.enqueue()
            await watch.auntil(
                "select true from pg_stat_activity where application_name = 'pgqueue claim' and wait_event_type = 'Lock' "
                "and datname = current_database()"
            )
            worker.quiet()
        await watch.auntil("select count(*) = 1 from pgqueue.ready where run > 1")
        assert ran == []


async def test_a_stop_may_be_asked_for_from_a_thread_and_carries_its_code(pgq: PgQueue[None]) -> None:
    @pgq.task
    async def note() -> None:
        pass

    heard = Heard(pgq.events)
    worker = pgq.worker()
    running = asyncio.create_task(worker.run())
    await heard.wait("worker.ready")
    threading.Thread(target=worker.request_stop, args=(5,)).start()
    async with asyncio.timeout(PATIENCE):
        assert await running == 5
    assert await worker.stop() == 0, "a second stop waits for the first and does nothing"
    assert len(heard.named("worker.stopping")) == 1
    assert worker.status()["state"] == "stopped"


async def test_a_stop_that_is_asked_for_before_the_start_is_done_is_heeded(pgq: PgQueue[None], watch: Watch) -> None:
    @pgq.task
    async def note() -> None:
        pass

    worker = pgq.worker()
    worker.request_stop()
    async with asyncio.timeout(PATIENCE):
        assert await worker.run() == 0
    watch.until(
        "select count(*) = 0 from pg_stat_activity where datname = current_database() "
        "and application_name like 'pgqueue %%'"
    )


async def test_an_embedded_worker_that_is_asked_to_stop_takes_no_more_jobs(pgq: PgQueue[None]) -> None:
    @pgq.task
    async def note() -> None:
        pass

    async with pgq.worker() as worker:
        worker.request_stop(5)
        await asyncio.sleep(0)
        assert not worker.state.claiming


def test_a_worker_in_another_thread_leaves_signals_alone(pgq: PgQueue[None]) -> None:
    @pgq.task
    async def note() -> None:
        pass

    codes = []

    async def drain() -> None:
        codes.append(await pgq.worker(drain=True).run())

    thread = threading.Thread(target=lambda: asyncio.run(drain()))
    thread.start()
    thread.join(PATIENCE)
    assert codes == [0]
