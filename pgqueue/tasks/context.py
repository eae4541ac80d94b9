"""What a handler may know of the job that it runs, and what it may ask of the worker that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias

from typing_extensions import TypeVar

from pgqueue.model.job import ClaimedJob

if TYPE_CHECKING:
    import logging

    from pgqueue.tasks.handles import AsyncHandle, SyncHandle

D_co = TypeVar("D_co", covariant=True, default=None)


class Run(Protocol):
    """One hand-out of a job, as its handler sees it. The methods may be called from any thread, the a-methods from a loop.

    Attributes:
        job: What was handed out.
        resumed: What an earlier run kept with ``checkpoint``, or None.
    """

    @property
    def job(self) -> ClaimedJob: ...
    @property
    def resumed(self) -> Any: ...
    @property
    def deadline(self) -> datetime:
        """When the time of this attempt is up."""
        ...

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records name the run."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether the handler should end: cancelled, over its time, stopped, or lost to another worker."""
        ...

    def progress(self, done: float | None, note: str | None) -> None:
        """Note how far it is; returns at once."""
        ...

    def result(self, value: Any) -> None:
        """Keep a result, whatever becomes of the run."""
        ...

    def checkpoint(self, value: Any) -> None:
        """Store where a later run may go on; returns when it is durable."""
        ...

    async def acheckpoint(self, value: Any) -> None:
        """As ``checkpoint``."""
        ...

    def complete(self, handle: object, bind: object, result: Any) -> None:
        """End the job in the handle's transaction."""
        ...

    async def acomplete(self, handle: object, bind: object, result: Any) -> None:
        """As ``complete``."""
        ...


Place: TypeAlias = Callable[[ClaimedJob], Run]  # whoever runs a job can say more of its run

CURRENT: ContextVar[tuple[ClaimedJob, Place] | None] = ContextVar("pgqueue_job", default=None)


class JobContext(Generic[D_co]):
    """What a handler may know of the job that it runs: the first parameter of a task declared with context=True.

    Attributes:
        deps: What ``PgQueue(deps=...)`` made, once a process.
    """

    __slots__ = ("_run", "deps")

    deps: D_co

    def __init__(self, run: Run, deps: Any = None) -> None:
        self._run = run
        self.deps = deps

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self._run.job.id)

    @property
    def task(self) -> str:
        """Name of the task; of a route, the name that the job was enqueued by."""
        return self._run.job.task

    @property
    def queue(self) -> str:
        """Name of the queue."""
        return self._run.job.queue

    @property
    def run(self) -> int:
        """Number of this hand-out; together with the id the fence for writes elsewhere."""
        return self._run.job.run

    @property
    def attempt(self) -> int:
        """Number of this attempt, counting from 1."""
        return self._run.job.attempt + 1

    @property
    def max_retries(self) -> int:
        """Retries after the first attempt."""
        return self._run.job.max_retries

    @property
    def enqueued_at(self) -> datetime:
        """When it was enqueued."""
        return self._run.job.enqueued_at

    @property
    def headers(self) -> Mapping[str, str]:
        """Text by name, as it was enqueued."""
        return self._run.job.headers or {}

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to find the job by."""
        return tuple(self._run.job.tags or ())

    @property
    def deadline(self) -> datetime:
        """When the time of this attempt is up: by its timeout or by the job's deadline, the earlier; UTC."""
        return self._run.deadline

    @property
    def cancelled(self) -> bool:
        """Whether this handler should end: it was cancelled, is over its time, or the worker stops.

        An ``async def`` gets ``CancelledError``; a ``def`` has to look here.
        """
        return self._run.cancelled

    @property
    def resumed(self) -> Any:
        """What an earlier run of this job kept last with ``checkpoint``; None: nothing."""
        return self._run.resumed

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """The logger "pgqueue.job"; its records carry job, task, queue, run, attempt and trace id."""
        return self._run.logger

    def progress(self, done: float | None = None, note: str | None = None) -> None:
        """Say how far the job is; kept in ``job_progress`` within a second, and returns at once.

        Args:
            done: From 0 to 1.
            note: A few words.

        Raises:
            InvalidOption: ``done`` is not from 0 to 1, or ``note`` is no text of at most 500 characters.
        """
        self._run.progress(done, note)

    def result(self, value: Any) -> None:
        """Keep a result, also if the job is dead in the end; it stands in for a handler that returns None.

        Raises:
            InvalidPayload: It is no JSON, or larger than 64 KiB.
        """
        self._run.result(value)

    def checkpoint(self, value: Any) -> None:
        """Keep where a later run may go on, as ``resumed``; it survives retries and crashes. Returns when it is durable.

        Args:
            value: JSON, at most 64 KiB; the last one counts.

        Raises:
            InvalidPayload: It is no JSON, or too large.
            JobLost: The job is not this run's any more.
            HandleError: Called on the event loop, which it would block: write ``await ctx.acheckpoint(...)``.
            BackendUnavailable: The database cannot be reached.
        """
        self._run.checkpoint(value)

    async def acheckpoint(self, value: Any) -> None:
        """Keep where a later run may go on, as ``checkpoint`` does, without blocking the event loop."""
        await self._run.acheckpoint(value)

    def complete(self, handle: SyncHandle, /, *, bind: Any = None, result: Any = None) -> None:
        """End the job as succeeded in the handler's own transaction: its work and the outcome commit together, or neither.

        Args:
            handle: As for ``task.using``.
            bind: As for ``task.using``.
            result: Kept as the job's result.

        Raises:
            JobLost: The job is not this run's any more; roll back.
            InvalidPayload: The result is no JSON, or larger than 64 KiB.
            HandleError: The handle cannot carry it.
        """
        self._run.complete(handle, bind, result)

    async def acomplete(self, handle: AsyncHandle, /, *, bind: Any = None, result: Any = None) -> None:
        """End the job in the handler's own transaction, as ``complete`` does."""
        await self._run.acomplete(handle, bind, result)

    def __repr__(self) -> str:
        return f"<job {self.id} of {self.task}, run {self.run}>"


def current() -> JobContext[None] | None:
    """Return the context of the job that this code runs for, None outside a job; for helpers deep in a handler."""
    held = CURRENT.get()
    if held is None:
        return None
    job, place = held
    return JobContext(place(job))
