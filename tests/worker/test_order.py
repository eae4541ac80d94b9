"""Which job runs when: due times, priorities, weights, pauses, more jobs than slots."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import psycopg
import pytest

from pgqueue import PgQueue
from tests.support import Watch
from tests.worker.harness import ENDED, STATE, timed

SEED = 20261124


async def test_a_delayed_job_runs_at_its_time(pgq: PgQueue[None], watch: Watch, database: psycopg.Connection) -> None:
    @pgq.task
    async def note() -> None:
        pass

    async with pgq.worker(concurrency=4):
        for delay in (0.3, 0.9, 0.31, 0.6, 0.05):
            note.using(delay=delay).enqueue()
        note.using(delay="1h").enqueue()
        await watch.auntil(ENDED, 5, "succeeded")
    late = database.execute(
        "select extract(epoch from started_at - run_at)::float8 from pgqueue.all_jobs where state = 'succeeded'"
    ).fetchall()
    assert all(0 <= seconds < 1 for (seconds,) in late), late
    assert database.execute("select state from pgqueue.all_jobs where state <> 'succeeded'").fetchall() == [
        ("scheduled",)
    ]


async def test_a_delayed_job_of_before_the_start_runs_at_its_time(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def note() -> None:
        pass

    job = note.using(delay=1).enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job.id)
    row = database.execute("select extract(epoch from started_at - run_at)::float8 from pgqueue.all_jobs").fetchone()
    assert row is not None
    assert 0 <= row[0] < 1


async def test_a_higher_priority_is_served_first_and_equals_in_order(pgq: PgQueue[None], watch: Watch) -> None:
    seed = random.Random(SEED)
    priorities = [seed.randint(0, 9) for _ in range(60)]
    served: list[int] = []

    @pgq.task
    async def note(number: int) -> None:
        served.append(number)

    pgq.enqueue_many([note.using(priority=p).job(number) for number, p in enumerate(priorities)])
    async with pgq.worker(concurrency=1):
        await watch.auntil(ENDED, 60, "succeeded")
    wanted = sorted(range(60), key=lambda number: (-priorities[number], number))
    assert served == wanted, f"seed {SEED}"


WEIGHTS = {"a": 6, "b": 3, "c": 1}


@pytest.mark.parametrize(
    ("concurrency", "work", "jobs"), [(1, 0.0, 4000), (1, 0.002, 300), (8, 0.0, 4000), (8, 0.02, 300)]
)
async def test_queues_are_served_by_their_weights_while_all_have_jobs(
    pgq: PgQueue[None], concurrency: int, work: float, jobs: int
) -> None:
    served: list[str] = []
    enough = asyncio.Event()

    @pgq.task
    async def note(queue: str) -> None:
        served.append(queue)
        if len(served) == jobs:
            enough.set()
        if work:
            await asyncio.sleep(work)

    for queue in WEIGHTS:
        pgq.enqueue_many([note.using(queue=queue).job(queue) for _ in range(jobs)])
    async with pgq.worker(weights=WEIGHTS, concurrency=concurrency):
        async with asyncio.timeout(20):
            await enough.wait()
    shares = {queue: count / jobs for queue, count in Counter(served[:jobs]).items()}
    assert abs(shares["a"] - 0.6) <= 0.12, shares
    assert abs(shares["b"] - 0.3) <= 0.1, shares
    assert abs(shares["c"] - 0.1) <= 0.05, shares


async def test_the_others_get_the_slots_of_a_queue_that_is_empty(pgq: PgQueue[None], watch: Watch) -> None:
    @pgq.task
    async def note() -> None:
        pass

    pgq.enqueue_many([note.using(queue="c").job() for _ in range(200)])
    async with pgq.worker(weights=WEIGHTS, concurrency=4):
        await watch.auntil(ENDED, 200, "succeeded")


async def test_a_paused_queue_gives_nothing_until_it_is_resumed(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def note() -> None:
        pass

    database.execute("select pgqueue.pause('held')")
    held = [note.using(queue="held").enqueue() for _ in range(3)]
    late = note.using(queue="held", delay=0.1).enqueue()
    async with timed(pgq.worker(queues=["held", "other"], concurrency=4), poll=0.1):
        for _ in range(5):
            free = note.using(queue="other").enqueue()
            await watch.auntil(STATE, "succeeded", free.id)
        await watch.auntil(STATE, "ready", late.id)
        states = database.execute("select distinct state from pgqueue.all_jobs where queue = 'held'").fetchall()
        assert states == [("ready",)]
        database.execute("select pgqueue.resume('held')")
        await watch.auntil(ENDED, len(held) + 1 + 5, "succeeded")
        database.execute("select pgqueue.pause('held')")
        again = note.using(queue="held").enqueue()
        free = note.using(queue="other").enqueue()
        await watch.auntil(STATE, "succeeded", free.id)
        await watch.auntil(STATE, "ready", again.id)


async def test_no_more_jobs_run_at_a_time_than_there_are_slots(pgq: PgQueue[None], watch: Watch) -> None:
    running, most, all_busy = 0, 0, asyncio.Event()

    @pgq.task
    async def note() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            all_busy.set()
        await all_busy.wait()
        running -= 1

    pgq.enqueue_many([note.job() for _ in range(60)])
    async with pgq.worker(concurrency=3):
        await watch.auntil(ENDED, 60, "succeeded")
    assert most == 3


async def test_a_burst_runs_every_job_exactly_once(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ran: Counter[int] = Counter()

    @pgq.task
    async def note(number: int) -> None:
        ran[number] += 1

    jobs = [note.job(number) for number in range(5000)]
    pgq.enqueue_many(jobs[:2000])
    async with pgq.worker(concurrency=50):
        for start in range(2000, 5000, 250):
            await pgq.aenqueue_many(jobs[start : start + 250])
        await watch.auntil(ENDED, 5000, "succeeded")
    assert ran == Counter(range(5000))
    assert database.execute("select distinct run, attempt from pgqueue.job_history").fetchall() == [(1, 1)]
    assert database.execute("select count(*) from pgqueue.job_attempt").fetchall() == [(0,)]
    assert database.execute("select count(*) from pgqueue.lease").fetchall() == [(0,)]
    await pgq.aclose()


async def test_three_workers_share_a_burst_and_run_every_job_once(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    ran: Counter[int] = Counter()

    @pgq.task
    async def note(number: int) -> None:
        ran[number] += 1

    pgq.enqueue_many([note.job(number) for number in range(1500)])
    async with pgq.worker(concurrency=7), pgq.worker(concurrency=7), pgq.worker(concurrency=7):
        await watch.auntil(ENDED, 1500, "succeeded")
    assert ran == Counter(range(1500))
    assert database.execute("select count(*) from pgqueue.job_attempt").fetchall() == [(0,)]
