"""Workers that end by themselves: when nothing is left, or after so many jobs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable

import psycopg
import pytest

from pgqueue import InvalidOption, PgQueue, RetryPolicy
from pgqueue.worker import claimer, limits, suspects
from pgqueue.worker.watchdog import LEAST_ZOMBIES
from tests.running.glances import Glances
from tests.support import Watch
from tests.worker.harness import ENDED, LISTENING, PATIENCE, STATE, Heard, row_of, timed

NOTHING_LEFT = "select count(*) = 0 from pgqueue.all_jobs where state in ('ready', 'running')"


async def within(work: Awaitable[int]) -> int:
    async with asyncio.timeout(PATIENCE):
        return await work


async def test_a_drain_ends_when_the_jobs_and_those_that_they_enqueued_are_done(
    pgq: PgQueue[None], database: psycopg.Connection
) -> None:
    @pgq.task(queue="a")
    async def first(number: int) -> None:
        await second.using(queue="b").aenqueue(number)

    @pgq.task(queue="b")
    async def second(number: int) -> None:
        await asyncio.sleep(0.01 * (number % 3))

    pgq.enqueue_many([first.job(number) for number in range(40)])
    assert await within(pgq.worker(concurrency=5, drain=True).run()) == 0
    await pgq.aclose()
    assert database.execute(ENDED, (80, "succeeded")).fetchone() == (True,)
    assert database.execute("select count(*) from pgqueue.worker").fetchone() == (0,)


async def test_an_empty_queue_is_drained_at_once(pgq: PgQueue[None]) -> None:
    @pgq.task
    async def note() -> None:
        pass

    assert await within(pgq.worker().drain()) == 0


async def test_what_is_for_later_does_not_hold_up_a_drain(pgq: PgQueue[None], database: psycopg.Connection) -> None:
    ran = []

    @pgq.task(retry=RetryPolicy(delays=["1h"]))
    async def fail() -> None:
        raise ValueError

    @pgq.task
    async def note(name: str) -> None:
        ran.append(name)

    fail.enqueue()
    note.using(delay="1h").enqueue("later")
    database.execute(
        "select pgqueue.enqueue(%s, '{\"name\": \"due\"}', run_at => now() - interval '1 s')", (note.name,)
    )
    assert await within(pgq.worker().drain()) == 0
    assert ran == ["due"]
    states = database.execute("select state from pgqueue.all_jobs order by id").fetchall()
    assert states == [("scheduled",), ("scheduled",), ("succeeded",)]


async def test_a_retry_that_is_due_at_once_belongs_to_the_drain(pgq: PgQueue[None]) -> None:
    attempts = []

    @pgq.task(retry=RetryPolicy(delays=[0]))
    async def second_time() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError

    second_time.enqueue()
    assert await within(pgq.worker().drain()) == 0
    assert len(attempts) == 2


@pytest.mark.parametrize("kind", ["due", "ready"])
async def test_a_drain_finds_what_nobody_told_the_worker_of(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, kind: str
) -> None:
    ran = []

    @pgq.task
    async def note() -> None:
        ran.append(1)

    job = note.using(delay="1h").enqueue()
    worker, glances = timed(pgq.worker(), poll=60.0, idle_poll=60.0), Glances()
    worker.follow_with(glances, 0.01)
    async with worker:
        await watch.auntil(LISTENING)
        await glances.until(lambda: worker.status()["claimer"]["poll"] > 10)
        if kind == "due":
            database.execute("update pgqueue.job set run_at = now() - interval '1 s' where id = %s", (job.id,))
            database.execute(
                "update pgqueue.scheduled set due_at = now() - interval '1 s' where job_id = %s", (job.id,)
            )
        else:
            database.execute("set pgqueue.notify = off")
            database.execute("select pgqueue.enqueue(%s)", (note.name,))
        assert await within(worker.drain()) == 0
    assert ran == [1]


async def test_what_others_run_pause_or_have_not_committed_does_not_hold_up_a_drain(
    dsn: str, pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    release, ran = asyncio.Event(), []

    @pgq.task
    async def hang() -> None:
        await release.wait()

    @pgq.task(queue="paused")
    async def note() -> None:
        ran.append(1)

    with psycopg.connect(dsn) as open_transaction:
        open_transaction.execute("select pg_current_xact_id()")
        async with pgq.worker(queues=["default"], concurrency=1):
            held = hang.enqueue()
            await watch.auntil(STATE, "running", held.id)
            pgq.inspector.pause("paused")
            note.enqueue()
            assert await within(pgq.worker().drain()) == 0
            assert row_of(database, held.id)["state"] == "running"
            release.set()
    assert ran == []


async def test_a_running_worker_may_be_drained(pgq: PgQueue[None], database: psycopg.Connection) -> None:
    @pgq.task
    async def note() -> None:
        await asyncio.sleep(0.1)

    async with pgq.worker(concurrency=2) as worker:
        pgq.enqueue_many([note.job() for _ in range(6)])
        assert await within(worker.drain()) == 0
        assert database.execute(ENDED, (6, "succeeded")).fetchone() == (True,)


async def test_a_drain_runs_all_that_waits_for_a_limit(
    pgq: PgQueue[None], database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WAITING_SECONDS", 0.1)
    monkeypatch.setattr(claimer, "OVERDUE_PAUSES", (600.0, 600.0))

    @pgq.task(limit=1)
    async def slow() -> None:
        await asyncio.sleep(0.4)

    pgq.enqueue_many([slow.job() for _ in range(3)])
    assert await within(pgq.worker(drain=True).run()) == 0
    assert database.execute(ENDED, (3, "succeeded")).fetchone() == (True,)


async def test_a_drain_waits_for_what_was_put_off_here_before_it_began(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WAITING_SECONDS", 0.1)
    monkeypatch.setattr(claimer, "OVERDUE_PAUSES", (1.5, 1.5))
    release = asyncio.Event()

    @pgq.task(limit=1)
    async def slow() -> None:
        await release.wait()

    async with pgq.worker() as worker:
        pgq.enqueue_many([slow.job() for _ in range(3)])
        await watch.auntil("select count(*) = 2 from pgqueue.scheduled")
        release.set()
        assert await within(worker.drain()) == 0
    assert database.execute(ENDED, (3, "succeeded")).fetchone() == (True,)


async def test_a_drain_waits_for_suspects_that_were_put_off_here(
    pgq: PgQueue[None], database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects, "WAITING_PATIENCE", 0.1)
    monkeypatch.setattr(suspects, "PAUSES", (1.0, 1.0))

    @pgq.task
    async def slow() -> None:
        await asyncio.sleep(0.4)

    pgq.enqueue_many([slow.job() for _ in range(3)])
    database.execute("update pgqueue.job set crashes = 1")
    assert await within(pgq.worker(drain=True).run()) == 0
    assert database.execute(ENDED, (3, "succeeded")).fetchone() == (True,)


@pytest.mark.parametrize("crashes", [0, 1])
async def test_suspects_count_among_a_worker_s_number_of_jobs(
    pgq: PgQueue[None], database: psycopg.Connection, crashes: int
) -> None:
    ran = []

    @pgq.task
    async def note(number: int) -> None:
        ran.append(number)

    pgq.enqueue_many([note.job(number) for number in range(12)])
    database.execute("update pgqueue.job set crashes = %s where id %% 2 = 0", (crashes,))
    assert await within(pgq.worker(concurrency=3, max_jobs=4).run()) == 0
    assert len(ran) == 4
    assert database.execute("select count(*) from pgqueue.ready where run > 1").fetchone() == (0,)


@pytest.mark.parametrize("concurrency", [1, 50])
async def test_a_worker_takes_no_more_than_its_number_of_jobs(
    pgq: PgQueue[None], database: psycopg.Connection, concurrency: int
) -> None:
    ran = []

    @pgq.task
    async def note(number: int) -> None:
        ran.append(number)
        await asyncio.sleep(0)

    pgq.enqueue_many([note.using(queue="a").job(number) for number in range(30)])
    pgq.enqueue_many([note.using(queue="b").job(number) for number in range(30, 60)])
    worker = pgq.worker(queues=["a", "b", "c"], concurrency=concurrency, max_jobs=7)
    assert await within(worker.run()) == 0
    assert len(ran) == 7
    handed_out = database.execute("select count(*) from pgqueue.ready where run > 1").fetchone()
    assert handed_out == (0,), "none was claimed that it would not run"
    assert database.execute("select count(*) from pgqueue.ready").fetchone() == (53,)


async def test_running_jobs_may_end_before_a_worker_that_has_run_its_number_stops(pgq: PgQueue[None]) -> None:
    ended = []

    @pgq.task
    async def slow() -> None:
        await asyncio.sleep(0.3)
        ended.append(1)

    pgq.enqueue_many([slow.job() for _ in range(3)])
    assert await within(pgq.worker(concurrency=3, max_jobs=3, stop_timeout="0s").run()) == 0
    assert len(ended) == 3


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "many"])
def test_a_number_of_jobs_that_is_none_is_refused(wrong: object) -> None:
    pgq = PgQueue("postgresql:///")

    @pgq.task
    async def note() -> None:
        pass

    with pytest.raises(InvalidOption, match="max_jobs"):
        pgq.worker(max_jobs=wrong)  # type: ignore[arg-type]


async def test_a_worker_with_too_many_threads_left_behind_ends_with_five(pgq: PgQueue[None]) -> None:
    release = threading.Event()

    @pgq.task(timeout="0.2s", retry=RetryPolicy(max_retries=0))
    def stuck() -> None:
        release.wait(PATIENCE)

    pgq.enqueue_many([stuck.job() for _ in range(LEAST_ZOMBIES)])
    try:
        assert await within(pgq.worker(concurrency=LEAST_ZOMBIES).run()) == 5
    finally:
        release.set()


async def test_inside_another_program_such_a_worker_stays_and_takes_no_more(pgq: PgQueue[None]) -> None:
    release, heard = threading.Event(), Heard(pgq.events)

    @pgq.task(timeout="0.2s", retry=RetryPolicy(max_retries=0))
    def stuck() -> None:
        release.wait(PATIENCE)

    pgq.enqueue_many([stuck.job() for _ in range(LEAST_ZOMBIES)])
    try:
        async with pgq.worker(concurrency=LEAST_ZOMBIES) as worker:
            await heard.wait("worker.draining")
            await asyncio.sleep(0)
            worker.resume()
            status = worker.status()
            assert (status["state"], status["zombies"]) == ("quiet", LEAST_ZOMBIES)
            release.set()
    finally:
        release.set()
