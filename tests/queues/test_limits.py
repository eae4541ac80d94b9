"""How many jobs of a queue or of a task run at the same time in a worker, and what becomes of those that have to wait."""

from __future__ import annotations

import asyncio
import threading

import psycopg
import pytest

from pgqueue import InvalidOption, JobContext, PgQueue
from pgqueue.tasks import Registry
from pgqueue.worker.limits import Limits
from tests.queues.orders import Crowd, Door, fill
from tests.support import Watch
from tests.worker.harness import ENDED, STATE, row_of

RUNS = "select max(run), sum(run - 1) from pgqueue.job_history"


async def test_a_limited_queue_never_runs_more_and_the_others_go_on(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    images, others = Crowd(), Crowd()

    @pgq.task
    async def work(queue: str) -> None:
        async with images.join() if queue == "images" else others.join():
            await asyncio.sleep(0.005)

    fill(pgq, work, images=60, default=200)
    async with pgq.worker(queues=["images", "default"], limits={"images": 2}, concurrency=20):
        await watch.auntil(ENDED, 260, "succeeded")
    assert (images.most, images.entered, others.entered) == (2, 60, 200)
    assert others.most > 2
    assert database.execute("select count(*) from pgqueue.job_attempt").fetchone() == (0,)


async def test_a_limited_task_never_runs_more_whatever_its_executor(pgq: PgQueue[None], watch: Watch) -> None:
    lock, inside, most = threading.Lock(), list[int](), list[int]()
    loop, free = Crowd(), Crowd()

    @pgq.task(limit=2)
    async def on_the_loop() -> None:
        async with loop.join():
            await asyncio.sleep(0.002)

    @pgq.task(limit=3)
    def in_a_thread() -> None:
        with lock:
            inside.append(1)
            most.append(len(inside))
        threading.Event().wait(0.002)
        with lock:
            inside.pop()

    @pgq.task
    async def unlimited() -> None:
        async with free.join():
            await asyncio.sleep(0.002)

    for task in (on_the_loop, in_a_thread, unlimited):
        pgq.enqueue_many([task.job() for _ in range(50)])
    async with pgq.worker(concurrency=20):
        await watch.auntil(ENDED, 150, "succeeded")
    assert (loop.most, max(most)) == (2, 3)
    assert free.most > 3


async def test_two_thousand_of_a_limited_task_beside_two_hundred_of_another_cost_few_releases_and_no_attempt(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    """A job's run grows with each hand-out; those that succeeded at the first have run 1."""
    crowd = Crowd()

    @pgq.task(limit=4)
    async def limited() -> None:
        async with crowd.join():
            await asyncio.sleep(0)

    @pgq.task
    async def other() -> None:
        pass

    pgq.enqueue_many([limited.job() for _ in range(2000)], returning="count")
    pgq.enqueue_many([other.job() for _ in range(200)], returning="count")
    async with pgq.worker(concurrency=50):
        await watch.auntil(ENDED, 2200, "succeeded", timeout=60)
    assert crowd.most <= 4
    assert database.execute("select count(*) from pgqueue.job_attempt").fetchone() == (0,)
    row = database.execute(RUNS).fetchone()
    assert row is not None
    assert row[0] <= 6, "hand-outs of a job"
    assert row[1] <= 2200, "releases in all: less than one a job"


async def test_others_of_the_queue_pass_those_that_a_limit_holds_up(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    door = Door()

    @pgq.task(limit=1)
    async def hang() -> None:
        await door.pass_through()

    @pgq.task
    async def other() -> None:
        pass

    pgq.enqueue_many([hang.job() for _ in range(40)])
    pgq.enqueue_many([other.job() for _ in range(20)])
    async with pgq.worker(concurrency=10):
        await watch.auntil(ENDED, 20, "succeeded")
        door.opened.set()
        await watch.auntil(ENDED, 60, "succeeded")
    assert database.execute("select count(*) from pgqueue.job_attempt").fetchone() == (0,)


@pytest.mark.parametrize("by", ["queue", "task"])
async def test_another_worker_gets_what_the_first_may_not_start(
    by: str, dsn: str, pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    door, ran = Door(), list[int]()
    limit, limits = (None, {"default": 1}) if by == "queue" else (1, None)
    helper = PgQueue(dsn)

    async def hang(number: int) -> None:
        assert number == 0
        await door.pass_through()

    async def note(number: int) -> None:
        ran.append(number)

    task = pgq.task(name="work", limit=limit)(hang)
    helper.task(name="work")(note)
    async with pgq.worker(concurrency=10, limits=limits) as first:
        pgq.enqueue_many([task.job(number) for number in range(4)])
        await asyncio.wait_for(door.reached.wait(), 10)
        taken = "select sum(cardinality(job_ids)) >= %s from pgqueue.lease"
        await watch.auntil(taken, 2 if by == "queue" else 4)
        async with helper.worker(concurrency=10):
            await watch.auntil(ENDED, 3, "succeeded", timeout=6)
        assert first.status()["running"] == 1
        door.opened.set()
        await watch.auntil(ENDED, 4, "succeeded")
    assert sorted(ran) == [1, 2, 3]
    await helper.aclose()


async def test_a_limited_queue_that_stands_is_not_taken_ahead_and_goes_on_at_once(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    door = Door()

    @pgq.task
    async def hang() -> None:
        await door.pass_through()

    async with pgq.worker(concurrency=10, limits={"default": 2}) as worker:
        pgq.enqueue_many([hang.job() for _ in range(10)])
        await asyncio.wait_for(door.reached.wait(), 10)
        await watch.auntil("select count(*) = 8 from pgqueue.all_jobs where state in ('ready', 'scheduled')")
        assert worker.status()["running"] == 2
        door.opened.set()
        await watch.auntil(ENDED, 10, "succeeded")
    row = database.execute(RUNS).fetchone()
    assert row is not None
    assert row[1] <= 4, "what was taken ahead once went back once"


async def test_a_route_has_one_limit_for_all_names_that_it_runs(pgq: PgQueue[None], watch: Watch) -> None:
    crowd = Crowd()

    @pgq.route("image:", limit=2)
    async def image(ctx: JobContext[None], args: object) -> None:
        async with crowd.join():
            await asyncio.sleep(0.002)

    for number in range(30):
        pgq.named(f"image:{number}").enqueue()
    async with pgq.worker(queues=["default"], concurrency=10):
        await watch.auntil(ENDED, 30, "succeeded")
    assert crowd.most == 2


async def test_a_job_that_ended_badly_frees_its_place(pgq: PgQueue[None], watch: Watch) -> None:
    @pgq.task(limit=1, timeout="50ms")
    async def fail(how: str) -> None:
        if how == "timeout":
            await asyncio.Event().wait()
        raise KeyError(how)

    jobs = [fail.using(max_retries=0).enqueue(how) for how in ("timeout", "error", "timeout", "error")]
    async with pgq.worker(concurrency=5):
        for job in jobs:
            await watch.auntil(STATE, "dead", job.id)


async def test_a_suspect_counts_against_its_limit(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    """It starts past the lines, so it has to be counted where it starts, or each would make room for one more."""
    crowd = Crowd()

    @pgq.task(limit=1)
    async def work() -> None:
        async with crowd.join():
            await asyncio.sleep(0.002)

    for _ in range(10):
        work.enqueue()
    database.execute("update pgqueue.job set crashes = 1 where id % 2 = 0")
    async with pgq.worker(concurrency=5):
        await watch.auntil(ENDED, 10, "succeeded")
    assert crowd.most == 1


def test_a_limit_is_for_a_queue_that_is_served(pgq: PgQueue[None]) -> None:
    @pgq.task
    async def work() -> None:
        pass

    with pytest.raises(InvalidOption, match="does not serve"):
        pgq.worker(limits={"images": 2})
    with pytest.raises(InvalidOption, match=r"limits\['default'\]"):
        pgq.worker(limits={"default": 0})
    with pytest.raises(InvalidOption, match="limit"):
        pgq.task(limit=0)(lambda: None)


def test_without_limits_none_is_looked_after() -> None:
    assert not Limits({}, Registry(), 4).is_needed


async def test_what_a_worker_with_max_jobs_has_parked_counts(pgq: PgQueue[None], database: psycopg.Connection) -> None:
    @pgq.task(limit=1)
    async def work() -> None:
        await asyncio.sleep(0.001)

    pgq.enqueue_many([work.job() for _ in range(30)])
    async with asyncio.timeout(20):
        await pgq.worker(concurrency=10, max_jobs=12).run()
    assert database.execute("select count(*) from pgqueue.job_history").fetchone() == (12,)
    assert row_of(database, 1)["state"] == "succeeded"
