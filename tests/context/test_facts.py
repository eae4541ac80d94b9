"""What a handler may know of its job."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgqueue import JobContext, PgQueue, RetryPolicy, current
from tests.support import Watch
from tests.worker.harness import STATE, row_of

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SOON = RetryPolicy(max_retries=3, delays=["10ms"])


class Deps:
    """What an application injects."""

    greeting = "Hello"


def facts(ctx: JobContext[Any]) -> dict[str, Any]:
    """Return all that a context says and that stays."""
    names = (
        "id",
        "task",
        "queue",
        "run",
        "attempt",
        "max_retries",
        "enqueued_at",
        "headers",
        "tags",
        "deadline",
        "deps",
    )
    return {name: getattr(ctx, name) for name in (*names, "cancelled", "resumed")}


@pytest.mark.parametrize("executor", ["loop", "thread"])
async def test_every_field_in_the_first_run_and_after_a_retry_and_a_snooze(
    executor: str, worker_dsn: str, watch: Watch, database: psycopg.Connection
) -> None:
    pgq, seen = PgQueue(worker_dsn, deps=Deps), list[dict[str, Any]]()

    def work(ctx: JobContext[Deps], number: int) -> None:
        seen.append(facts(ctx))
        assert repr(ctx) == f"<job {ctx.id} of work, run {ctx.run}>"
        if len(seen) < 3:
            raise ValueError if len(seen) == 1 else TimeoutError

    async def awork(ctx: JobContext[Deps], number: int) -> None:
        work(ctx, number)

    chosen: Any = awork if executor == "loop" else work
    policy = RetryPolicy(max_retries=3, uncounted=(TimeoutError,), delays=["10ms"])
    task = pgq.task(name="work", context=True, queue="q", retry=policy, timeout="1h")(chosen)
    job = task.using(headers={"traceparent": TRACE}, tags=["a", "b"]).enqueue(1)
    began = datetime.now(UTC)
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job.id)
    first = seen[0]
    row = row_of(database, job.id)
    assert first["enqueued_at"] == row["enqueued_at"]
    assert first["deadline"].tzinfo is not None
    assert timedelta(minutes=59) < first["deadline"] - began < timedelta(minutes=61)
    assert isinstance(first["deps"], Deps)
    del first["deadline"], first["deps"], first["enqueued_at"]
    assert first == {
        "id": job.id, "task": "work", "queue": "q", "run": 1, "attempt": 1, "max_retries": 3, "tags": ("a", "b"),
        "headers": {"traceparent": TRACE}, "cancelled": False, "resumed": None,
    }  # fmt: skip
    assert [(one["run"], one["attempt"]) for one in seen] == [(1, 1), (2, 2), (3, 2)]
    await pgq.aclose()
    pgq.close()


async def test_the_deadline_is_that_of_the_timeout_or_of_the_job_whichever_is_earlier(
    pgq: PgQueue[None], watch: Watch
) -> None:
    seen: dict[str, tuple[datetime, datetime]] = {}

    @pgq.task(context=True)
    async def look(ctx: JobContext[None]) -> None:
        first = ctx.deadline
        await asyncio.sleep(0)
        seen[ctx.id] = (first, ctx.deadline)

    now = datetime.now(UTC)
    wanted = {
        look.using(timeout="1m").enqueue().id: timedelta(minutes=1),
        look.using(timeout="1h", deadline=now + timedelta(minutes=5)).enqueue().id: timedelta(minutes=5),
        look.using(timeout="1m", deadline=now + timedelta(hours=5)).enqueue().id: timedelta(minutes=1),
    }
    async with pgq.worker(concurrency=1):
        for job in wanted:
            await watch.auntil(STATE, "succeeded", job)
    for job, due in wanted.items():
        first, again = seen[job]
        assert first == again, "it does not move"
        assert timedelta(0) <= first - now - due + timedelta(seconds=1) < timedelta(seconds=20)


async def test_current_is_the_context_in_helpers_and_none_elsewhere(pgq: PgQueue[None], watch: Watch) -> None:
    seen: dict[str, Any] = {}
    assert current() is None

    def helper(name: str) -> None:
        ctx = current()
        seen[name] = None if ctx is None else (ctx.id, ctx.attempt, ctx.cancelled)

    @pgq.task
    async def loop() -> None:
        helper("loop")
        await asyncio.gather(asyncio.to_thread(helper, "to_thread"), asyncio.create_task(child()))

    async def child() -> None:
        helper("child")

    @pgq.task
    def plain() -> None:
        helper("plain")
        thread = threading.Thread(target=helper, args=["thread"])
        thread.start()
        thread.join()

    first, second = loop.enqueue(), plain.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", first.id)
        await watch.auntil(STATE, "succeeded", second.id)
    assert current() is None
    assert {name: seen[name] for name in ("loop", "to_thread", "child")} == dict.fromkeys(
        ("loop", "to_thread", "child"), (first.id, 1, False)
    )
    assert (seen["plain"], seen["thread"]) == ((second.id, 1, False), None), "a bare thread inherits no context"


async def test_current_of_a_task_that_outlives_its_job_says_cancelled(pgq: PgQueue[None], watch: Watch) -> None:
    left: list[asyncio.Task[Any]] = []
    go = asyncio.Event()

    @pgq.task
    async def leave() -> None:
        async def later() -> Any:
            await go.wait()
            ctx = current()
            assert ctx is not None
            ctx.progress(0.5)
            return ctx.id, ctx.cancelled, ctx.deadline <= datetime.now(UTC)

        left.append(asyncio.create_task(later()))

    job = leave.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "succeeded", job.id)
        go.set()
        assert await left[0] == (job.id, True, True)


@pytest.mark.parametrize("executor", ["loop", "thread"])
async def test_the_loggers_records_name_the_run(
    executor: str, pgq: PgQueue[None], watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    def work(ctx: JobContext[None]) -> None:
        ctx.logger.warning("half of %s", 8)
        assert ctx.logger is ctx.logger

    async def awork(ctx: JobContext[None]) -> None:
        work(ctx)

    chosen: Any = awork if executor == "loop" else work
    job = pgq.task(name="work", context=True)(chosen).using(headers={"traceparent": TRACE}).enqueue()
    with caplog.at_level(logging.INFO, "pgqueue.job"):
        async with pgq.worker(concurrency=1):
            await watch.auntil(STATE, "succeeded", job.id)
    [record] = [record for record in caplog.records if record.name == "pgqueue.job"]
    assert record.getMessage() == "half of 8"
    assert vars(record)["fields"] == {
        "job": int(job.id), "task": "work", "queue": "default", "run": 1, "attempt": 1,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }  # fmt: skip


async def test_a_hook_gets_the_context_with_the_deadline_of_the_attempt(pgq: PgQueue[None], watch: Watch) -> None:
    seen: list[tuple[str, datetime]] = []

    @pgq.task(retry=RetryPolicy(max_retries=0), timeout="1m")
    async def fail() -> None:
        raise ValueError

    @fail.on_dead
    def gone(ctx: JobContext[None], error: BaseException) -> None:
        seen.append((ctx.id, ctx.deadline))

    job = fail.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    [(identity, deadline)] = seen
    assert identity == job.id
    assert deadline - datetime.now(UTC) < timedelta(minutes=1)
