"""The typed handles through which tasks are enqueued.

An editor completes a task's own parameters on ``enqueue``, because the handles carry the function's ParamSpec. What may
carry a transaction is said by structural types, so that nothing is imported which a producer does not use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeAlias, overload

from typing_extensions import TypeVar, Unpack

from pgqueue.model.errors import InvalidArguments
from pgqueue.model.job import Job, JobSpec
from pgqueue.model.options import JobOptions, Options
from pgqueue.tasks.context import D_co, JobContext
from pgqueue.tasks.registry import Declaration

if TYPE_CHECKING:  # a producer that only has a Session need not load psycopg
    from psycopg import AsyncConnection, Connection

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D", default=None)

NO_HANDLE = object()  # None is what a caller passes by mistake


class _Rows(Protocol):
    def fetchall(self) -> Any: ...


class _SyncSqlAlchemy(Protocol):  # an AsyncConnection answers with a coroutine: no match
    def exec_driver_sql(self, statement: str, /) -> _Rows: ...


class _AsyncSqlAlchemy(Protocol):
    def exec_driver_sql(self, statement: str, /) -> Awaitable[Any]: ...


class _SyncSession(Protocol):
    def connection(self) -> _SyncSqlAlchemy: ...


class _AsyncSession(Protocol):
    def connection(self) -> Awaitable[_AsyncSqlAlchemy]: ...


SyncHandle: TypeAlias = "Connection[Any] | _SyncSqlAlchemy | _SyncSession"
AsyncHandle: TypeAlias = "AsyncConnection[Any] | _AsyncSqlAlchemy | _AsyncSession"


class Producer(Protocol):
    """Where enqueue ends. ``handle`` is the caller's connection or session; NO_HANDLE: a connection of the producer's own."""

    def enqueue(self, handle: object, specs: Sequence[JobSpec[Any]]) -> list[str]:
        """Write jobs; return their ids in order."""
        ...

    async def aenqueue(self, handle: object, specs: Sequence[JobSpec[Any]]) -> list[str]:
        """Write jobs on an async handle; return their ids in order."""
        ...


class BoundTask(Generic[P, R]):
    """A task with options, on a handle or on none."""

    def __init__(
        self, declaration: Declaration, producer: Producer, options: JobOptions, handle: object = NO_HANDLE
    ) -> None:
        self._declaration = declaration
        self._producer = producer
        self._options = options
        self._handle = handle

    def job(self, *args: P.args, **kwargs: P.kwargs) -> JobSpec[R]:
        """Bind a call without enqueuing it, for ``enqueue_many``.

        Raises:
            InvalidArguments: The call does not fit the task's signature.
            InvalidPayload: The arguments cannot be stored as JSON.
        """
        args_json = self._declaration.shape.encode(args, kwargs)
        return JobSpec(self._declaration.name, args_json, self._options.over(self._declaration.options))


class SyncTask(BoundTask[P, R]):
    """A task on a synchronous handle."""

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Enqueue a call, in the handle's transaction or in a short one of its own.

        Returns:
            The job; it exists once the transaction commits.

        Raises:
            InvalidArguments: The call does not fit the task's signature.
            InvalidPayload: The arguments cannot be stored as JSON.
            HandleError: The handle cannot carry the job.
            SchemaError: The database is not migrated.
            BackendUnavailable: The database cannot be reached.
        """
        spec = self.job(*args, **kwargs)
        return stored(spec, self._producer.enqueue(self._handle, [spec])[0])


class AsyncTask(BoundTask[P, R]):
    """A task on an asynchronous handle."""

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Enqueue a call as ``enqueue`` does, without blocking the event loop."""
        spec = self.job(*args, **kwargs)
        return stored(spec, (await self._producer.aenqueue(self._handle, [spec]))[0])


class Task(SyncTask[P, R], AsyncTask[P, R]):
    """A declared function. Calling it runs it here and now; enqueuing it stores a job."""

    @property
    def name(self) -> str:
        """The name under which jobs are stored."""
        return self._declaration.name

    @property
    def declaration(self) -> Declaration:
        """What the worker knows of the task."""
        return self._declaration

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self._declaration.function(*args, **kwargs)

    @overload  # first: AsyncConnection.connection is NoReturn
    def using(self, handle: AsyncHandle, /, **options: Unpack[Options]) -> AsyncTask[P, R]: ...
    @overload
    def using(self, handle: SyncHandle, /, **options: Unpack[Options]) -> SyncTask[P, R]: ...
    @overload
    def using(self, /, **options: Unpack[Options]) -> Task[P, R]: ...
    def using(self, handle: Any = NO_HANDLE, /, **options: Any) -> Any:
        """Return the task on a connection or session, with options.

        Args:
            handle: psycopg Connection or AsyncConnection, SQLAlchemy Session or AsyncSession; none: a pool of our own.
            **options: queue, priority, delay or run_at, max_retries, timeout, headers, tags.

        Raises:
            InvalidOption: An option is unknown or out of range.
        """
        chosen = JobOptions.of(options).over(self._options)
        if handle is NO_HANDLE:
            return Task[P, R](self._declaration, self._producer, chosen)
        return HandledTask[P, R](self._declaration, self._producer, chosen, handle)

    def __repr__(self) -> str:
        return f"<task {self.name}>"


class HandledTask(SyncTask[P, R], AsyncTask[P, R]):
    """A task on a handle whose kind is known at run time; types show only the half that fits."""


def stored(spec: JobSpec[R], job_id: str) -> Job[R]:
    """Return what a caller holds of a spec that was stored."""
    return Job(job_id, spec.task, spec.options.queue or "default")


class BoundQueue:
    """The queue on a handle or on none."""

    def __init__(self, producer: Producer, handle: object = NO_HANDLE) -> None:
        self._producer = producer
        self._handle = handle


class SyncQueue(BoundQueue):
    """Bulk enqueue on a synchronous handle."""

    def enqueue_many(self, jobs: Iterable[JobSpec[Any]], /) -> list[Job[Any]]:
        """Enqueue jobs of any tasks in one statement, in the handle's transaction or in one of its own.

        Raises:
            InvalidArguments: An element was not made by ``task.job(...)``.
            HandleError, SchemaError, BackendUnavailable: As for ``enqueue``.
        """
        specs = _specs(jobs)
        return [stored(s, i) for s, i in zip(specs, self._producer.enqueue(self._handle, specs), strict=True)]


class AsyncQueue(BoundQueue):
    """Bulk enqueue on an asynchronous handle."""

    async def aenqueue_many(self, jobs: Iterable[JobSpec[Any]], /) -> list[Job[Any]]:
        """Enqueue as ``enqueue_many`` does, without blocking the event loop."""
        specs = _specs(jobs)
        ids = await self._producer.aenqueue(self._handle, specs)
        return [stored(s, i) for s, i in zip(specs, ids, strict=True)]


class HandledQueue(SyncQueue, AsyncQueue):
    """Bulk enqueue on a handle whose kind is known at run time."""


def _specs(jobs: Iterable[JobSpec[Any]]) -> list[JobSpec[Any]]:
    if not isinstance(jobs, Iterable):
        raise InvalidArguments(f"{jobs!r} is not a list of jobs.", "Pass [task.job(...), ...].")
    specs = list(jobs)
    for spec in specs:
        if not isinstance(spec, JobSpec):
            raise InvalidArguments(f"{spec!r} is not a job.", "Make it with task.job(...).")
    return specs


class Declare(Protocol):
    """What ``@pgq.task(...)`` returns."""

    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class DeclareWithContext(Protocol[D_co]):
    """What ``@pgq.task(context=True, ...)`` returns: the context comes first, and is gone from the parameters."""

    @overload
    def __call__(self, function: Callable[Concatenate[JobContext[D_co], P], Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[JobContext[D_co], P], R], /) -> Task[P, R]: ...
