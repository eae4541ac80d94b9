"""The typed handles through which tasks are enqueued.

An editor completes a task's own parameters on ``enqueue``, because the handles carry the function's ParamSpec. What may
carry a transaction is said by structural types, so that nothing is imported which a producer does not use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeAlias, overload

from typing_extensions import TypeVar, Unpack

from pgqueue.model.errors import HandleError
from pgqueue.model.job import JobSpec
from pgqueue.model.options import JobOptions, Options
from pgqueue.tasks.context import D_co, JobContext
from pgqueue.tasks.hooks import check_hook
from pgqueue.tasks.jobs import Job
from pgqueue.tasks.producing import Handle, Producer, held
from pgqueue.tasks.registry import Declaration

if TYPE_CHECKING:  # a producer that only has a Session need not load psycopg
    from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
D = TypeVar("D", default=None)

NO_HANDLE: Any = object()  # None is what a caller passes by mistake


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


class _Dbapi(Protocol):  # Django's connection, psycopg2, pg8000
    def cursor(self) -> Any: ...
    def rollback(self) -> None: ...


class _Asyncpg(Protocol):
    async def fetchrow(self, query: str, /) -> Any: ...


SyncHandle: TypeAlias = "Connection[Any] | Cursor[Any] | _SyncSqlAlchemy | _SyncSession | _Dbapi"
AsyncHandle: TypeAlias = "AsyncConnection[Any] | AsyncCursor[Any] | _AsyncSqlAlchemy | _AsyncSession | _Asyncpg"


class BoundTask(Generic[P, R]):
    """A task with options, on a handle or on none."""

    def __init__(
        self, declaration: Declaration, producer: Producer, options: JobOptions, handle: Handle | None = None
    ) -> None:
        self._declaration = declaration
        self._producer = producer
        self._options = options
        self._merged = options.over(declaration.options)
        self._handle = handle

    def job(self, *args: P.args, **kwargs: P.kwargs) -> JobSpec[R]:
        """Bind a call without enqueuing it, for ``enqueue_many``.

        Raises:
            InvalidArguments: The call does not fit the task's signature.
            InvalidPayload: The arguments cannot be stored as JSON.
            HandleError: The task is on a handle, which ``enqueue_many`` would not know of.
        """
        if self._handle is not None:
            raise HandleError(
                f"{self._declaration.name} is on a handle, and job() only binds a call.",
                "Give the handle to the bulk: pgq.using(handle).enqueue_many(task.job(...) ...).",
            )
        return self._spec(args, kwargs)

    def _spec(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> JobSpec[R]:
        declaration, options = self._declaration, self._merged
        if options.unique and options.key is None:
            declaration.shape.check_names(options.unique.args)
            return JobSpec(declaration.name, declaration.shape.encode(args, kwargs, defaults=True), options)
        return JobSpec(declaration.name, declaration.shape.encode(args, kwargs), options)


class SyncTask(BoundTask[P, R]):
    """A task on a synchronous handle."""

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Enqueue a call, in the handle's transaction or in a short one of its own.

        Returns:
            The job; it exists once the transaction commits.

        Raises:
            InvalidArguments: The call does not fit the task's signature.
            InvalidPayload: The arguments cannot be stored as JSON.
            JobExists: Another job holds the key, and ``on_conflict="raise"``.
            HandleError: The handle cannot carry the job.
            SchemaError: The database is not migrated.
            BackendUnavailable: The database cannot be reached.
        """
        spec = self._spec(args, kwargs)
        return held(spec, self._producer.enqueue(self._handle, spec), self._producer.results)


class AsyncTask(BoundTask[P, R]):
    """A task on an asynchronous handle."""

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Enqueue a call as ``enqueue`` does, without blocking the event loop."""
        spec = self._spec(args, kwargs)
        return held(spec, await self._producer.aenqueue(self._handle, spec), self._producer.results)


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
    def using(self, handle: AsyncHandle, /, *, bind: Any = ..., **options: Unpack[Options]) -> AsyncTask[P, R]: ...
    @overload
    def using(self, handle: SyncHandle, /, *, bind: Any = ..., **options: Unpack[Options]) -> SyncTask[P, R]: ...
    @overload
    def using(self, /, **options: Unpack[Options]) -> Task[P, R]: ...
    def using(self, handle: Any = NO_HANDLE, /, *, bind: Any = None, **options: Any) -> Any:
        """Return the task on a connection or session, with options.

        Args:
            handle: A connection, cursor or session of psycopg, SQLAlchemy, Django, psycopg2, pg8000 or asyncpg; none: a
                pool of our own.
            bind: Which database of a session with several: an engine, or a mapped class.
            **options: queue, priority, delay or run_at, max_retries, timeout, deadline, expires_at or expires_in, headers,
                tags, key, unique.

        Raises:
            InvalidOption: An option is unknown or out of range.
        """
        chosen = JobOptions.of(options).over(self._options)
        if handle is NO_HANDLE:
            return Task[P, R](self._declaration, self._producer, chosen)
        return HandledTask[P, R](self._declaration, self._producer, chosen, Handle(handle, bind))

    def on_retry(
        self, hook: Callable[[JobContext[Any], BaseException], S], /
    ) -> Callable[[JobContext[Any], BaseException], S]:
        """Call a function with context and error whenever an attempt has failed and the job will be tried again.

        It is called by the worker, before the outcome is recorded: at least once, like the handler. At most 30 s; what it
        raises is told as the event "hook.failed" and changes nothing.

        Raises:
            TaskError: It is no function of two parameters.
        """
        self._declaration.hooks.retry.append(check_hook(hook, "on_retry"))
        return hook

    def on_dead(
        self, hook: Callable[[JobContext[Any], BaseException], S], /
    ) -> Callable[[JobContext[Any], BaseException], S]:
        """Call a function with context and error when a job is dead; as ``on_retry`` otherwise.

        Not when it is ended because its workers died of it: nobody runs it then.
        """
        self._declaration.hooks.dead.append(check_hook(hook, "on_dead"))
        return hook

    def on_success(self, hook: Callable[[JobContext[Any], R], S], /) -> Callable[[JobContext[Any], R], S]:
        """Call a function with context and result when a handler has returned; as ``on_retry`` otherwise.

        Not when ``ctx.complete`` has ended the job: its worker does not see the commit.
        """
        self._declaration.hooks.success.append(check_hook(hook, "on_success"))
        return hook

    def __repr__(self) -> str:
        return f"<task {self.name}>"


class HandledTask(SyncTask[P, R], AsyncTask[P, R]):
    """A task on a handle whose kind is known at run time; types show only the half that fits."""


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
