"""What is not a handler's failure must not stop the worker either."""

from __future__ import annotations

import psycopg
import pytest

from pgqueue import PgQueue, RetryPolicy
from pgqueue.telemetry.events import Event
from tests.support import Watch
from tests.worker.harness import ENDED, Heard


class BrokenPolicy(RetryPolicy):
    """It cannot say when."""

    def delay(self, retried: int) -> float:
        raise ZeroDivisionError


async def test_a_retry_policy_that_raises_costs_no_slot_and_leaves_no_job_hanging(
    pgq: PgQueue[None], watch: Watch
) -> None:
    @pgq.task(retry=BrokenPolicy())
    async def fail() -> None:
        raise ValueError

    @pgq.task
    async def work() -> None: ...

    heard = Heard(pgq.events)
    job = fail.enqueue()
    async with pgq.worker(concurrency=1):
        await heard.wait("service.failed")
        await watch.auntil("select state = 'scheduled' and attempt = 0 from pgqueue.all_jobs where id = %s", job.id)
        work.enqueue()
        await watch.auntil(ENDED, 1, "succeeded")


async def test_a_subscriber_that_raises_is_logged_and_holds_nothing_up(
    pgq: PgQueue[None], watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    def fall_over(event: Event) -> None:
        raise ZeroDivisionError

    @pgq.task
    async def work() -> None: ...

    pgq.events.subscribe(fall_over)
    work.enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(ENDED, 1, "succeeded")
    assert "A subscriber failed on worker.started." in caplog.text


async def test_a_due_entry_that_is_locked_is_promoted_when_it_is_free(
    pgq: PgQueue[None], watch: Watch, dsn: str, database: psycopg.Connection
) -> None:
    @pgq.task
    async def work() -> None: ...

    job = work.using(delay="1s").enqueue()
    with psycopg.connect(dsn) as holder:
        holder.execute("select from pgqueue.scheduled for update")
        async with pgq.worker(concurrency=1):
            await watch.auntil("select clock_timestamp() > run_at from pgqueue.job where id = %s", job.id)
            holder.rollback()
            await watch.auntil(ENDED, 1, "succeeded")
