"""A handler in a thread learns that it should end; what it says after the end of its run does not count."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest

from pgqueue import JobContext, JobLost, PgQueue, RetryPolicy
from tests.support import Watch
from tests.worker.harness import PATIENCE, STATE, timed

ONCE = RetryPolicy(max_retries=1, delays=["10ms"])


class Stubborn:
    """A handler in a thread that does not end before the test lets it; then it says all that it may."""

    def __init__(self, pgq: PgQueue[None], **options: Any) -> None:
        self.started, self.told, self.go = (threading.Event() for _ in range(3))
        self.ended = threading.Event()
        self.second = threading.Event()
        self.before: list[bool] = []
        self.errors: list[BaseException] = []

        @pgq.task(name="stubborn", context=True, retry=ONCE, **options)
        def stubborn(ctx: JobContext[None]) -> None:
            if ctx.run > 1:
                self.second.wait(PATIENCE)
                return
            self.before.append(ctx.cancelled)
            self.started.set()
            for _ in range(2000):
                if ctx.cancelled:
                    self.told.set()
                    break
                threading.Event().wait(0.005)
            self.go.wait(PATIENCE)
            self.speak(ctx)

        self.task: Any = stubborn

    def speak(self, ctx: JobContext[None]) -> None:
        """Say what may be said."""
        self.before.append(ctx.cancelled)
        ctx.progress(0.9, "from the past")
        ctx.result("from the past")
        try:
            ctx.checkpoint({"from": "the past"})
        except BaseException as error:  # noqa: BLE001 - what it is, is the finding
            self.errors.append(error)
        self.ended.set()

    async def wait(self, event: threading.Event) -> None:
        """Wait for something in a thread."""
        assert await asyncio.to_thread(event.wait, PATIENCE)


def check_past(database: psycopg.Connection, handler: Stubborn) -> None:
    """See that nothing of what the zombie said was kept."""
    assert handler.before == [False, True]
    assert [type(error) for error in handler.errors] == [JobLost]
    assert database.execute("select count(*) from pgqueue.job_progress where note = 'from the past'").fetchone() == (0,)
    assert database.execute("select count(*) from pgqueue.job_checkpoint").fetchone() == (0,)


async def test_over_its_time_it_is_told_and_heard_no_more(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    handler = Stubborn(pgq, timeout="50ms")
    job = handler.task.using(timeout="50ms").enqueue()
    async with pgq.worker(concurrency=2):
        await handler.wait(handler.told)
        await watch.auntil("select run > 1 from pgqueue.job where id = %s", job.id)
        handler.go.set()
        await handler.wait(handler.ended)
        handler.second.set()
        await watch.auntil("select state in ('dead', 'succeeded') from pgqueue.all_jobs where id = %s", job.id)
    check_past(database, handler)


async def test_cancelled_by_an_operator_it_is_told_and_heard_no_more(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    """LISTENING: the worker is told."""
    handler = Stubborn(pgq)
    job = handler.task.enqueue()
    async with timed(pgq.worker(concurrency=2), beat=0.2):
        await handler.wait(handler.started)
        await job.acancel()
        await handler.wait(handler.told)
        await watch.auntil(STATE, "cancelled", job.id)
        handler.go.set()
        await handler.wait(handler.ended)
    await pgq.aclose()
    check_past(database, handler)


async def test_at_a_stop_it_is_told_and_after_it_heard_no_more(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    handler = Stubborn(pgq)
    job = handler.task.enqueue()
    async with pgq.worker(concurrency=2, stop_timeout="10ms"):
        await handler.wait(handler.started)
    await handler.wait(handler.told)
    await watch.auntil(STATE, "ready", job.id)
    handler.go.set()
    await handler.wait(handler.ended)
    check_past(database, handler)
    assert database.execute("select attempt from pgqueue.job").fetchone() == (0,)


def test_after_the_end_of_the_event_loop_a_checkpoint_is_refused_too(dsn: str) -> None:
    pgq = PgQueue(dsn)
    handler = Stubborn(pgq)
    handler.task.enqueue()

    async def run() -> None:
        async with pgq.worker(concurrency=1, stop_timeout="10ms"):
            await handler.wait(handler.started)

    asyncio.run(run())
    handler.go.set()
    assert handler.ended.wait(PATIENCE)
    assert handler.before == [False, True]
    assert [type(error) for error in handler.errors] == [JobLost]
    pgq.close()


@pytest.mark.parametrize("executor", ["loop", "thread"])
async def test_a_handler_that_ends_when_it_is_told_is_cancelled_without_a_zombie(
    executor: str, pgq: PgQueue[None], watch: Watch
) -> None:
    """LISTENING: the worker is told."""
    started = threading.Event()

    def work(ctx: JobContext[None]) -> None:
        started.set()
        while not ctx.cancelled:
            threading.Event().wait(0.005)

    async def awork(ctx: JobContext[None]) -> None:
        started.set()
        await asyncio.Event().wait()

    chosen: Any = awork if executor == "loop" else work
    job = pgq.task(name="work", context=True)(chosen).enqueue()
    async with timed(pgq.worker(concurrency=1), beat=0.2) as worker:
        assert await asyncio.to_thread(started.wait, PATIENCE)
        await job.acancel()
        await watch.auntil(STATE, "cancelled", job.id)
    assert worker.status()["zombies"] == 0
    await pgq.aclose()
