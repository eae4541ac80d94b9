"""Declared functions: the registry, and the typed handles through which they are enqueued.

An editor completes a task's own parameters on ``enqueue``, because the handles carry the function's ParamSpec.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, Protocol, TypeAlias, overload

from typing_extensions import TypeVar, Unpack

from pgqueue.model.errors import ConfigurationError, InvalidArguments, TaskError
from pgqueue.model.job import ClaimedJob, Job, JobSpec
from pgqueue.model.options import JobOptions, Options, check_task_name
from pgqueue.model.payload import CallShape
from pgqueue.model.retry import RetryPolicy

if TYPE_CHECKING:  # a producer that only has a Session need not load psycopg
    from psycopg import AsyncConnection, Connection

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D", default=None)
D_co = TypeVar("D_co", covariant=True, default=None)

Executor: TypeAlias = Literal["loop", "thread"]


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
    """Where enqueue ends; the application provides it."""

    def enqueue(self, handle: object, specs: list[JobSpec[Any]]) -> list[str]:
        """Write jobs, return their ids."""
        ...

    async def aenqueue(self, handle: object, specs: list[JobSpec[Any]]) -> list[str]:
        """Write jobs, return their ids."""
        ...


CURRENT: ContextVar[ClaimedJob | None] = ContextVar("pgqueue_job", default=None)


@dataclass(frozen=True, slots=True)
class JobContext(Generic[D_co]):
    """What a handler may know of the job that it runs: the first parameter of a task declared with context=True.

    Attributes:
        id: The job's id.
        run: Number of this hand-out; together with the id the fence for writes elsewhere.
        attempt: Number of this attempt, counting from 1.
        deps: What ``PgQueue(deps=...)`` made, once a process.
    """

    id: str
    task: str
    queue: str
    run: int
    attempt: int
    max_retries: int
    enqueued_at: datetime
    headers: Mapping[str, str]
    tags: tuple[str, ...]
    deps: D_co

    @classmethod
    def of(cls, job: ClaimedJob, deps: Any = None) -> JobContext[Any]:
        """Return the context of a job that runs here."""
        return JobContext(
            id=str(job.id),
            task=job.task,
            queue=job.queue,
            run=job.run,
            attempt=job.attempt + 1,
            max_retries=job.max_retries,
            enqueued_at=job.enqueued_at,
            headers=job.headers or {},
            tags=tuple(job.tags or ()),
            deps=deps,
        )


def current() -> JobContext[None] | None:
    """Return the context of the job that this code runs for, None outside a job; for helpers deep in a handler."""
    job = CURRENT.get()
    return None if job is None else JobContext.of(job)


@dataclass(frozen=True, slots=True)
class Declaration:
    """A task as the worker needs it."""

    name: str
    function: Callable[..., Any]
    shape: CallShape
    options: JobOptions
    retry: RetryPolicy
    executor: Executor
    context: bool


class SyncTask(Generic[P, R]):
    """A task on a synchronous handle."""

    def __init__(
        self, declaration: Declaration, producer: Producer, options: JobOptions, handle: object = None
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


class AsyncTask(Generic[P, R]):
    """A task on an asynchronous handle."""

    def __init__(
        self, declaration: Declaration, producer: Producer, options: JobOptions, handle: object = None
    ) -> None:
        self._declaration = declaration
        self._producer = producer
        self._options = options
        self._handle = handle

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Enqueue a call as ``enqueue`` does, without blocking the event loop."""
        args_json = self._declaration.shape.encode(args, kwargs)
        spec: JobSpec[R] = JobSpec(self._declaration.name, args_json, self._options.over(self._declaration.options))
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
    def using(self, handle: Any = None, /, **options: Any) -> Any:
        """Return the task on a connection or session, with options.

        Args:
            handle: psycopg Connection or AsyncConnection, SQLAlchemy Session or AsyncSession; none: a pool of our own.
            **options: queue, priority, delay or run_at, max_retries, timeout, headers, tags.

        Raises:
            InvalidOption: An option is unknown or out of range.
        """
        chosen = JobOptions.of(options).over(self._options)
        if handle is None:
            return Task[P, R](self._declaration, self._producer, chosen)
        return HandledTask[P, R](self._declaration, self._producer, chosen, handle)

    def __repr__(self) -> str:
        return f"<task {self.name}>"


class HandledTask(SyncTask[P, R], AsyncTask[P, R]):
    """A task on a handle whose kind is known at run time; types show only the half that fits."""


def stored(spec: JobSpec[R], job_id: str) -> Job[R]:
    """Return what a caller holds of a spec that was stored."""
    return Job(job_id, spec.task, spec.options.queue or "default")


class SyncQueue:
    """Bulk enqueue on a synchronous handle."""

    def __init__(self, producer: Producer, handle: object = None) -> None:
        self._producer = producer
        self._handle = handle

    def enqueue_many(self, jobs: Iterable[JobSpec[Any]], /) -> list[Job[Any]]:
        """Enqueue jobs of any tasks in one statement, in the handle's transaction or in one of its own.

        Raises:
            InvalidArguments: An element was not made by ``task.job(...)``.
            HandleError, SchemaError, BackendUnavailable: As for ``enqueue``.
        """
        specs = _specs(jobs)
        return [stored(s, i) for s, i in zip(specs, self._producer.enqueue(self._handle, specs), strict=True)]


class AsyncQueue:
    """Bulk enqueue on an asynchronous handle."""

    def __init__(self, producer: Producer, handle: object = None) -> None:
        self._producer = producer
        self._handle = handle

    async def aenqueue_many(self, jobs: Iterable[JobSpec[Any]], /) -> list[Job[Any]]:
        """Enqueue as ``enqueue_many`` does, without blocking the event loop."""
        specs = _specs(jobs)
        ids = await self._producer.aenqueue(self._handle, specs)
        return [stored(s, i) for s, i in zip(specs, ids, strict=True)]


class HandledQueue(SyncQueue, AsyncQueue):
    """Bulk enqueue on a handle whose kind is known at run time."""


def _specs(jobs: Iterable[JobSpec[Any]]) -> list[JobSpec[Any]]:
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


@dataclass(slots=True)
class Registry:
    """All tasks of an application, by name."""

    _tasks: dict[str, Declaration] = field(default_factory=dict)

    def add(self, declaration: Declaration) -> None:
        """Add a task.

        Raises:
            TaskError: Another function has the same name.
        """
        known = self._tasks.get(declaration.name)
        if known is not None and known.function.__code__ is not declaration.function.__code__:
            raise TaskError(
                f"Two functions declare the task {declaration.name!r}.",
                "Give one of them another name with name=.",
            )
        self._tasks[declaration.name] = declaration

    def find(self, name: str) -> Declaration | None:
        """Return the task of this name, or None."""
        return self._tasks.get(name)

    def queues(self) -> tuple[str, ...]:
        """Return "default" and every queue that a task names."""
        return tuple(dict.fromkeys(["default", *(d.options.queue for d in self if d.options.queue)]))

    def __iter__(self) -> Iterator[Declaration]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)


def declare(
    function: Callable[..., Any],
    *,
    name: str | None,
    options: Mapping[str, Any],
    retry: RetryPolicy | None,
    executor: Executor | None,
    context: bool,
) -> Declaration:
    """Check a function and its options, and make a task of them.

    Raises:
        TaskError: It is no plain function, or the executor does not fit it.
        InvalidOption: An option is out of range.
    """
    if not inspect.isfunction(function):
        raise TaskError(f"{function!r} is not a function.", "Declare a plain def or async def.")
    if name is None and function.__module__ == "__main__" and function.__name__ == "<lambda>":
        raise TaskError("A lambda has no name that a worker could find.", "Declare a def, or pass name=.")
    is_async = inspect.iscoroutinefunction(function)
    chosen: Executor = executor or ("loop" if is_async else "thread")
    if chosen not in ("loop", "thread") or (chosen == "loop") != is_async:
        raise TaskError(
            f"executor={chosen!r} does not fit {function.__qualname__}.",
            'An async def runs in the "loop", a def in a "thread".',
        )
    policy = retry or RetryPolicy()
    return Declaration(
        name=check_task_name(name or f"{function.__module__}.{function.__qualname__}"),
        function=function,
        shape=CallShape(function, context=context),
        options=JobOptions.of({**options, "max_retries": policy.max_retries}),
        retry=policy,
        executor=chosen,
        context=context,
    )


def need_tasks(registry: Registry) -> None:
    """Raise ConfigurationError when an application declares no task."""
    if not len(registry):
        raise ConfigurationError("The application declares no task.", "Decorate a function with @pgq.task.")
