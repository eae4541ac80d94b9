"""Run jobs with a real worker until there is nothing left to run."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from anyio import to_thread

from pgqueue.app import PgQueue
from pgqueue.backend import JobRecord
from pgqueue.model.clock import monotonic
from pgqueue.model.errors import ConfigurationError
from pgqueue.model.states import FINAL, LIVE, JobState
from pgqueue.postgres.observer import Storage
from pgqueue.testing.telling import failed, late, unknown
from pgqueue.worker.loops import is_in_a_loop

FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.02
STEP = 1.0  # what is due within it is run in one go
GRACE = 5.0  # seconds in which a drain that is over its time has to end
ASKED_FOR = ("pgqueue.RetryAfter", "pgqueue.Snooze")  # a handler that wants to run again later has not failed


class Drain:
    """One drain.

    Args:
        storage: Keeps one connection.
        length: Seconds that it may take.
        concurrency: Jobs that run at the same time.
        scheduled: Whether to run what is due later too, as if time had come.
    """

    def __init__(
        self, pgq: PgQueue[Any], storage: Storage, *, length: float, concurrency: int, scheduled: bool
    ) -> None:
        self._pgq = pgq
        self._storage = storage
        self._length = length
        self._deadline = monotonic() + length
        self._concurrency = concurrency
        self._scheduled = scheduled
        self._before = {(job.id, job.run, job.state in FINAL) for job in storage.jobs()}

    async def run(self) -> None:
        """Run jobs until nothing is left.

        Raises:
            AssertionError: It took too long.
        """
        await self._run_ready()
        while self._scheduled and (wait := await to_thread.run_sync(self._next_due)) is not None:
            await to_thread.run_sync(self._check_time)
            await to_thread.run_sync(self._storage.travel, max(0.0, wait + STEP))
            await self._run_ready()

    def ended(self) -> list[JobRecord]:
        """List the jobs that ended meanwhile, in the order in which they did."""
        ended = [job for job in self._storage.jobs() if job.state in FINAL and self._is_new(job)]
        return sorted(ended, key=lambda job: (job.finished_at or job.run_at, int(job.id)))

    def failures(self) -> list[tuple[JobRecord, str]]:
        """List the jobs that stand as failed, each with the reason."""
        judged = [(job, self._failure(job)) for job in self._storage.jobs() if self._is_new(job)]
        return [(job, reason) for job, reason in judged if reason is not None]

    async def _run_ready(self) -> None:
        while busy := await to_thread.run_sync(self._storage.busy):
            await self._work({*self._pgq.tasks.queues(), *busy})

    async def _work(self, queues: set[str]) -> None:
        """Run one worker until its queues are empty; what a job enqueued in another queue is the next one's."""
        pause = FIRST_PAUSE
        worker = self._pgq.worker(queues=sorted(queues), concurrency=self._concurrency, stop_timeout=0)
        async with worker:
            while queues & (await to_thread.run_sync(self._storage.busy)).keys():
                await to_thread.run_sync(self._check_time)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _next_due(self) -> float | None:
        return self._storage.next_due([task.name for task in self._pgq.tasks])

    def _check_time(self) -> None:
        if monotonic() > self._deadline:
            raise AssertionError(late(self._length, left_over(self._storage, self._scheduled), self._storage.now()))

    def _is_new(self, job: JobRecord) -> bool:
        return (job.id, job.run, job.state in FINAL) not in self._before

    def _failure(self, job: JobRecord) -> str | None:
        if job.state == JobState.DEAD:
            return job.traceback or job.error or "(no traceback)"
        if job.state != JobState.SCHEDULED or job.run == 1:
            return None
        if self._pgq.tasks.find(job.task) is None:
            return unknown(job.task, [task.name for task in self._pgq.tasks])
        last = next((a for a in reversed(self._storage.attempts(job.id)) if a.run == job.run - 1), None)
        if last is None or last.error_type is None or last.error_type in ASKED_FOR:
            return None
        return last.traceback or last.error


async def drain(
    pgq: PgQueue[Any], *, length: float, raises: bool, scheduled: bool, concurrency: int
) -> list[JobRecord]:
    """Run what is ready; return the jobs that ended.

    Raises:
        AssertionError: It took too long, or a job failed and ``raises``.
    """
    with Storage.held(pgq.settings) as held:
        one = await to_thread.run_sync(
            lambda: Drain(pgq, held, length=length, concurrency=concurrency, scheduled=scheduled)
        )
        await one.run()
        ended = await to_thread.run_sync(one.ended)
        failures = await to_thread.run_sync(one.failures) if raises else []
    if failures:
        raise AssertionError(failed(failures, len({job.id for job in ended} | {job.id for job, _ in failures})))
    return ended


def in_a_thread(work: Callable[[], Awaitable[list[JobRecord]]], storage: Storage, length: float) -> list[JobRecord]:
    """Run a drain on an event loop of its own, so that a handler that blocks the loop cannot hang the test.

    Raises:
        AssertionError: It did not end in time.
        ConfigurationError: An event loop runs here.
    """
    if is_in_a_loop():
        raise ConfigurationError("drain() would block the event loop that runs here.", "Write: await jobs.adrain()")
    answer: Future[list[JobRecord]] = Future()
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(_answer, work, answer), name="pgqueue drain", daemon=True)
    thread.start()
    try:
        return answer.result(length + GRACE)
    except TimeoutError:
        if answer.done():
            raise
        raise AssertionError(late(length, left_over(storage, False), storage.now(), _stack(thread))) from None


def left_over(storage: Storage, scheduled: bool) -> list[JobRecord]:
    """List what a drain would still run."""
    states = LIVE if scheduled else LIVE - {JobState.SCHEDULED}
    return [job for job in storage.jobs() if job.state in states]


def _answer(work: Callable[[], Awaitable[list[JobRecord]]], answer: Future[list[JobRecord]]) -> None:
    async def run() -> list[JobRecord]:
        return await work()

    try:
        answer.set_result(asyncio.run(run()))
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits
        answer.set_exception(error)


def _stack(thread: threading.Thread) -> str:
    """Return where a thread is, for a handler that blocks the event loop."""
    frame = sys._current_frames().get(thread.ident or 0)
    where = "".join(traceback.format_stack(frame)) if frame is not None else ""
    return f"\nThe event loop of the drain is blocked here:\n{where}" if where else ""
