"""A worker in other places: two in a process, one in a thread, one in a loop that runs already."""

from __future__ import annotations

import asyncio
import threading

import psycopg

from pgqueue import PgQueue
from tests.support import Watch

DONE = "select count(*) = %s from pgqueue.job_history where state = 'succeeded'"


async def test_two_workers_in_one_process_share_the_jobs_and_each_leaves_by_itself(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    entered, both = list[str](), asyncio.Event()

    @pgq.task(name="meet", queue="left")
    async def meet_left() -> None:
        await meet("left")

    @pgq.task(name="meet.right", queue="right")
    async def meet_right() -> None:
        await meet("right")

    async def meet(side: str) -> None:
        entered.append(side)
        if len(entered) == 2:
            both.set()
        await both.wait()

    async with pgq.worker(queues=["left"], concurrency=1):
        async with pgq.worker(queues=["right"], concurrency=1):
            await watch.auntil("select count(distinct id) = 2 from pgqueue.worker")
            await meet_left.aenqueue()
            await meet_right.aenqueue()
            await watch.auntil(DONE, 2)
        await watch.auntil("select array_agg(queues) = array[array['left']] from pgqueue.worker")
        await meet_left.aenqueue()
        await watch.auntil(DONE, 3)
    assert database.execute("select count(*) from pgqueue.worker").fetchone() == (0,)
    await pgq.aclose()


def test_a_worker_in_a_thread_with_its_own_loop_serves_a_program_that_is_not_asynchronous(
    pgq: PgQueue[None], watch: Watch
) -> None:
    where: list[str] = []

    @pgq.task(name="where")
    async def note() -> str:
        where.append(threading.current_thread().name)
        return "done"

    ready, loop, stop = threading.Event(), list[asyncio.AbstractEventLoop](), asyncio.Event()

    async def serve() -> None:
        async with pgq.worker(concurrency=1):
            loop.append(asyncio.get_running_loop())
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="the worker's")
    thread.start()
    assert ready.wait(20)
    assert note.enqueue().result(timeout="20s") == "done"
    loop[0].call_soon_threadsafe(stop.set)
    thread.join(20)
    assert (where, thread.is_alive()) == (["the worker's"], False)
    watch.until("select count(*) = 0 from pgqueue.worker")


async def test_a_worker_in_a_loop_that_runs_already_is_started_and_stopped_by_hand(pgq: PgQueue[None]) -> None:
    @pgq.task(name="add")
    async def add(left: int, right: int) -> int:
        return left + right

    worker = pgq.worker(concurrency=1)
    await worker.start()
    job = await add.aenqueue(2, 3)
    assert await job.aresult(timeout="20s") == 5
    assert await worker.stop() == 0
    await pgq.aclose()
