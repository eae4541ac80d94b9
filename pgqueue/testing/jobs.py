"""What a test says about the jobs of an application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pgqueue.app import PgQueue
from pgqueue.backend import JobRecord
from pgqueue.model.durations import Duration, seconds
from pgqueue.model.errors import InvalidOption
from pgqueue.model.options import check_whole_number
from pgqueue.postgres.observer import Storage
from pgqueue.tasks import Task
from pgqueue.testing import draining
from pgqueue.testing.matching import Wanted, check_names, states_of, task_name
from pgqueue.testing.telling import expected, listed


class EnqueuedJobs:
    """Assertions on the jobs that one connection sees.

    Args:
        pgq: The application whose jobs they are.
        handle: A connection or session whose transaction is looked through; None: what is committed.
    """

    def __init__(self, pgq: PgQueue[Any], handle: object = None) -> None:
        self._pgq = pgq
        self._handle = handle
        if handle is not None:
            self._storage()  # a wrong handle fails here

    def all(
        self, task: Task[..., Any] | str | None = None, /, *, queue: str | None = None, state: str | None = None
    ) -> list[JobRecord]:
        """List jobs, oldest first; those that have ended too.

        Raises:
            InvalidOption: There is no such state.
        """
        name, states = task_name(task), None if state is None else states_of(state)
        return [
            job
            for job in self._storage().jobs()
            if name in (None, job.task) and queue in (None, job.queue) and (states is None or job.state in states)
        ]

    def assert_enqueued(
        self,
        task: Task[..., Any] | str | None = None,
        /,
        *,
        count: int | None = None,
        args: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        tags: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        state: str | None = None,
        run_at: datetime | None = None,
        delay: Duration | None = None,
        within: Duration | None = None,
        **named: Any,
    ) -> list[JobRecord]:
        """Fail unless such a job is enqueued: scheduled, ready or running.

        Args:
            task: The task or its name; None is any.
            count: How many there have to be; None is at least one.
            args: Arguments by name, for names that are taken by this method's own parameters.
            state: This state, also one of ended jobs.
            run_at: Due then, give or take a second.
            delay: Due so long after it was enqueued, give or take a second.
            within: Due at the latest so long from now.
            **named: Arguments by name; those that are not named may be anything.

        Returns:
            The jobs that match, oldest first.

        Raises:
            AssertionError: There are none, or not as many as ``count`` says; the message lists what is there.
            InvalidArguments: The task has no such parameter.
            InvalidOption: A length of time, a state or the count is none.
        """
        __tracebackhide__ = True
        if count is not None:
            check_whole_number(count, "count", 1, 2**31, "Use refute_enqueued for none.")
        wanted = self._wanted(
            task, {**(args or {}), **named}, queue, priority, tags, headers, state, run_at, delay, within
        )
        found, message = self._look(wanted, count)
        if not found or count not in (None, len(found)):
            raise AssertionError(message)
        return found

    def refute_enqueued(
        self,
        task: Task[..., Any] | str | None = None,
        /,
        *,
        args: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        tags: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        state: str | None = None,
        run_at: datetime | None = None,
        delay: Duration | None = None,
        within: Duration | None = None,
        **named: Any,
    ) -> None:
        """Fail if such a job is enqueued. Arguments as for ``assert_enqueued``.

        Raises:
            AssertionError: There is one; the message lists what is there.
            InvalidArguments: The task has no such parameter.
            InvalidOption: A length of time or a state is none.
        """
        __tracebackhide__ = True
        wanted = self._wanted(
            task, {**(args or {}), **named}, queue, priority, tags, headers, state, run_at, delay, within
        )
        found, message = self._look(wanted, None)
        if found:
            raise AssertionError(message)

    def _wanted(
        self,
        task: Task[..., Any] | str | None,
        args: Mapping[str, Any],
        queue: str | None,
        priority: int | None,
        tags: Sequence[str],
        headers: Mapping[str, str] | None,
        state: str | None,
        run_at: datetime | None,
        delay: Duration | None,
        within: Duration | None,
    ) -> Wanted:
        name = task_name(task)
        check_names(args, name, self._pgq.tasks)
        if run_at is not None and run_at.utcoffset() is None:
            raise InvalidOption(f"run_at={run_at!r} has no time zone.", "Pass datetime.now(timezone.utc) + ....")
        return Wanted(
            name, args, queue, priority, tags, headers or {}, states_of(state), run_at,
            _length(delay, "delay"), _length(within, "within"),
        )  # fmt: skip

    def _look(self, wanted: Wanted, count: int | None) -> tuple[list[JobRecord], str]:
        storage = self._storage()
        now, jobs, find = storage.now(), storage.jobs(), self._pgq.tasks.find
        found = [job for job in jobs if wanted.matches(job, find(job.task), now)]
        return found, expected(wanted, count, found, listed(jobs, found, now))

    def _storage(self) -> Storage:
        if self._handle is None:
            return Storage.at(self._pgq.settings)
        return Storage.on(self._handle, self._pgq.schema)


class Jobs(EnqueuedJobs):
    """Assertions on an application's jobs, and what makes them run.

    Args:
        pgq: The application.
    """

    def __init__(self, pgq: PgQueue[Any]) -> None:
        super().__init__(pgq)

    def on(self, handle: object, /) -> EnqueuedJobs:
        """Look through the transaction of a psycopg Connection or a SQLAlchemy Session, which need not be committed.

        Raises:
            HandleError: The handle is asynchronous, unknown, closed, or runs on another driver.
        """
        return EnqueuedJobs(self._pgq, handle)

    def drain(
        self, *, timeout: Duration = "10s", raises: bool = True, scheduled: bool = False, concurrency: int = 1
    ) -> list[JobRecord]:
        """Run what is ready with a real worker, until nothing is ready or running.

        Args:
            timeout: Longest time that it may take.
            raises: Whether a job that failed fails the test.
            scheduled: Whether what is due later is run too, retries included, as if time had come.
            concurrency: Jobs that run at the same time. With one, the order is that of the queue.

        Returns:
            The jobs that ended, in the order in which they did.

        Raises:
            AssertionError: A job failed (with the handler's traceback), or it took too long (with what is left).
            ConfigurationError: An event loop runs here, or the application declares no task.
        """
        __tracebackhide__ = True
        length = seconds(timeout, "timeout")

        async def work() -> list[JobRecord]:
            try:
                return await self.adrain(timeout=length, raises=raises, scheduled=scheduled, concurrency=concurrency)
            finally:
                await self._pgq.aclose()  # the pool of this event loop, which handlers may have opened

        try:
            return draining.in_a_thread(work, self._storage(), length)
        except AssertionError as error:
            raise error.with_traceback(None) from None  # its message says all; ours is not the code under test

    async def adrain(
        self,
        *,
        timeout: Duration = "10s",
        raises: bool = True,
        scheduled: bool = False,
        concurrency: int = 1,
    ) -> list[JobRecord]:
        """Do as ``drain`` does, on this event loop."""
        __tracebackhide__ = True
        length = seconds(timeout, "timeout")
        try:
            return await draining.drain(
                self._pgq, length=length, raises=raises, scheduled=scheduled, concurrency=concurrency
            )
        except AssertionError as error:
            raise error.with_traceback(None) from None  # its message says all; ours is not the code under test

    def travel(self, by: Duration, /) -> int:
        """Let time go on: what is scheduled is due so much earlier, and keys run out so much earlier.

        A worker that runs meanwhile may see it a second late.

        Returns:
            How many jobs are due earlier.

        Raises:
            InvalidOption: It is no length of time.
        """
        return self._storage().travel(seconds(by, "travel"))


def _length(value: Duration | None, option: str) -> timedelta | None:
    return None if value is None else timedelta(seconds=seconds(value, option))
