"""What wakes a sleeping worker in time. It polls so rarely here that nothing but the wake-up can be the cause."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from pgqueue import Job, PgQueue, RetryPolicy
from pgqueue.postgres.connections import Settings
from pgqueue.telemetry.events import Events
from pgqueue.worker.promoter import LOCKED_PAUSE, Promoter
from pgqueue.worker.state import Timing
from pgqueue.worker.supervisor import Worker
from tests.storage.hands import enqueue, hands, transaction
from tests.support import Watch
from tests.worker import fakes
from tests.worker.harness import LISTENING, STATE, row_of, timed

POLL = 60.0
SOON = 5.0
ASLEEP = "select true from pgqueue.worker_idle"
LEFT = "select extract(epoch from min(due_at) - clock_timestamp())::float8 from pgqueue.scheduled"


@pytest.fixture
def silent(database: psycopg.Connection) -> None:
    """Nobody notifies anybody: what a worker does not know by itself it learns at the next poll."""
    name = sql.Identifier(database.info.dbname)
    database.execute(sql.SQL('alter database {} set "pgqueue.notify" = off').format(name))


def sleepy(pgq: PgQueue[None]) -> Worker:
    """Return a worker that looks by itself once in 45 to 60 seconds."""
    return timed(pgq.worker(concurrency=1), poll=POLL, idle_poll=POLL)


async def fall_asleep(watch: Watch, enqueue_one: Callable[[], Job[None]]) -> None:
    """Wait until the worker sleeps: its first look may find the first of two jobs, only a notification the second."""
    await watch.auntil(ASLEEP)
    await watch.auntil(LISTENING)
    for _ in range(2):
        await watch.auntil(STATE, "succeeded", enqueue_one().id, timeout=SOON)


def lateness(database: psycopg.Connection, job: object) -> float:
    """Return for how many seconds a job was due when it started."""
    row = row_of(database, job)
    return float((row["started_at"] - row["run_at"]).total_seconds())


async def test_a_job_that_is_due_soon_wakes_a_sleeping_worker_at_its_time(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def note() -> None: ...

    async with sleepy(pgq):
        await fall_asleep(watch, note.enqueue)
        job = note.using(delay=0.5).enqueue()
        await watch.auntil(STATE, "succeeded", job.id, timeout=SOON)
    assert 0 <= lateness(database, job.id) < SOON - 0.5


async def test_a_job_that_is_due_sooner_than_the_one_it_sleeps_for_wakes_the_worker(
    pgq: PgQueue[None], watch: Watch
) -> None:
    @pgq.task
    async def note() -> None: ...

    note.using(delay=30).enqueue()
    async with sleepy(pgq):
        await fall_asleep(watch, note.enqueue)
        job = note.using(delay=0.3).enqueue()
        await watch.auntil(STATE, "succeeded", job.id, timeout=SOON)


@pytest.mark.usefixtures("silent")
async def test_a_worker_wakes_for_the_retry_that_it_wrote_itself(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ran: list[int] = []

    @pgq.task(retry=RetryPolicy(max_retries=2, delays=[0.4]))
    async def fail() -> None:
        ran.append(len(ran))
        if len(ran) < 3:
            raise ValueError

    job = fail.enqueue()
    async with sleepy(pgq):
        await watch.auntil(STATE, "succeeded", job.id, timeout=SOON)
    assert len(ran) == 3
    assert 0 <= lateness(database, job.id) < SOON - 0.8


@pytest.mark.usefixtures("silent")
async def test_a_worker_wakes_for_each_job_at_the_instant_at_which_it_is_due(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    """The promoter sleeps until then, and tells the claimer of its own worker."""

    @pgq.task
    async def note() -> None: ...

    jobs = [note.using(delay=delay).enqueue() for delay in (0.8, 1.4)]
    async with sleepy(pgq):
        for job in jobs:
            await watch.auntil(STATE, "succeeded", job.id, timeout=SOON)
            assert 0 <= lateness(database, job.id) < SOON - 1.4


async def test_whoever_promotes_wakes_a_worker_that_sleeps(
    pgq: PgQueue[None], settings: Settings, watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def note() -> None: ...

    job = note.using(delay="1h").enqueue()
    async with hands(settings) as other, sleepy(pgq):
        await fall_asleep(watch, note.enqueue)
        database.execute("update pgqueue.scheduled set due_at = now() - interval '1 s'")
        await other.store.promote("default", 10)
        await watch.auntil(STATE, "succeeded", job.id, timeout=SOON)


async def test_a_promoter_sleeps_until_exactly_the_next_job_is_due(
    settings: Settings, database: psycopg.Connection
) -> None:
    found: list[str] = []
    state = fakes.state_of(fakes.Hands(), {"default": 1, "other": 1}, Timing(poll=3600.0, idle_poll=3600.0))
    async with hands(settings) as worker:
        promoter = Promoter(state, worker.store, found.append, Events())
        pause = await promoter.run_once()
        assert pause is not None
        assert 2700 <= pause <= 3600, "nothing is scheduled: it polls"
        enqueue(database, delay="100 s")
        enqueue(database, delay="50 s", queue="other")
        enqueue(database, delay="70 s", queue="other")
        before = _left(database)
        pause = await promoter.run_once()
        assert pause is not None
        assert _left(database) <= pause <= before
        assert found == []


async def test_a_promoter_goes_on_at_once_while_jobs_are_due_and_pauses_where_all_are_held(
    settings: Settings, database: psycopg.Connection
) -> None:
    found: list[str] = []
    state = fakes.state_of(fakes.Hands(), timing=Timing(poll=3600.0, idle_poll=3600.0))
    async with hands(settings) as worker:
        promoter = Promoter(state, worker.store, found.append, Events())
        enqueue(database, delay="1 hour")
        database.execute("update pgqueue.scheduled set due_at = now() - interval '1 s'")
        with transaction(settings.dsn) as business:
            business.execute("select from pgqueue.scheduled for update")
            assert await promoter.run_once() == LOCKED_PAUSE
            assert found == []
        assert await promoter.run_once() == 0
        assert found == ["default"]


def _left(database: psycopg.Connection) -> float:
    row = database.execute(LEFT.encode()).fetchone()
    assert row is not None
    return float(row[0])
