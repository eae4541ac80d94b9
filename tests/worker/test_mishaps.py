"""What is not a handler's failure must not stop the worker either."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import cast

import psycopg
import pytest

from pgqueue import BackendUnavailable, ConfigurationError, InvalidPayload, PgQueue, RetryPolicy
from pgqueue.backend import Outcome, WorkerBackend, WorkerInfo
from pgqueue.telemetry.events import Event, Events
from pgqueue.worker.finisher import Finisher
from pgqueue.worker.state import Timing, WorkerState, describe_worker
from tests.support import Watch
from tests.worker.harness import ENDED, Heard, errors_of, runs_of, timed


class BrokenPolicy(RetryPolicy):
    """It cannot say when."""

    def pause(self, retried: int, error: BaseException) -> float:
        raise ZeroDivisionError


async def test_a_retry_policy_that_raises_costs_no_slot_and_leaves_no_job_hanging(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
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
        await watch.auntil("select state = 'scheduled' and attempt = 1 from pgqueue.all_jobs where id = %s", job.id)
        assert runs_of(database, job.id) == [(1, 1, "retry")], "the default formula stood in"
        assert errors_of(database, job.id) == [("ValueError", "")]
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


async def test_a_handler_that_cancels_its_own_task_costs_no_slot(pgq: PgQueue[None], watch: Watch) -> None:
    @pgq.task
    async def at_once() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    @pgq.task
    async def later() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)

    @pgq.task
    async def work() -> None: ...

    async with pgq.worker(concurrency=1):
        for trick in (at_once, later, at_once):
            trick.enqueue()
            job = work.enqueue()
            await watch.auntil("select state = 'succeeded' from pgqueue.all_jobs where id = %s", job.id)
    await watch.auntil(ENDED, 6, "succeeded")


async def test_a_rebirth_whose_answer_was_lost_is_tried_again(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def work() -> None: ...

    heard = Heard(pgq.events)
    async with timed(pgq.worker(concurrency=1), beat=0.1) as worker:
        register, lost = worker._backend.register, asyncio.Event()

        async def register_and_lose_the_answer(info: WorkerInfo) -> None:
            await register(info)
            if not lost.is_set():
                lost.set()
                raise BackendUnavailable("The answer was lost.", "It is tried again.")

        worker._backend.register = register_and_lose_the_answer  # type: ignore[method-assign]
        database.execute("delete from pgqueue.worker")
        await lost.wait()
        await heard.wait("worker.lost", 2)
        work.enqueue()
        await watch.auntil(ENDED, 1, "succeeded")


class Picky:
    """Refuses one job's outcome, whatever its text."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.wrote_the_others = asyncio.Event()

    async def finish(self, outcomes: Sequence[Outcome], emptied: Collection[int], now: float) -> list[str]:
        """Record all or nothing, as a statement does."""
        if any(outcome.id == 1 for outcome in outcomes):
            raise InvalidPayload("A number is too large.", "Pass another.")
        self.written += [outcome.id for outcome in outcomes]
        if len(self.written) == 8:
            self.wrote_the_others.set()
        return ["done"] * len(outcomes)


async def test_an_outcome_that_the_database_refuses_for_ever_is_told_and_holds_up_no_other() -> None:
    events, backend = Events(), Picky()
    heard = Heard(events)
    state = WorkerState(describe_worker({"default": 1}, 1, "0"), lambda: 0.0, Timing(), {"default": 1})
    finisher = Finisher(state, cast(WorkerBackend, backend), events)
    for number in range(1, 10):
        finisher.add(Outcome(number, 1, 1, "retry", 0.0, 0.0, '{"type": "ValueError"}'))
    finisher.start()
    await heard.wait("service.failed")
    async with asyncio.timeout(5):
        await backend.wrote_the_others.wait()
    await finisher.cancel()
    assert sorted(backend.written) == list(range(2, 10))


async def test_a_worker_is_started_once(pgq: PgQueue[None]) -> None:
    @pgq.task
    async def work() -> None: ...

    worker = pgq.worker(concurrency=1)
    async with worker:
        pass
    with pytest.raises(ConfigurationError, match="Make another"):
        await worker.start()
