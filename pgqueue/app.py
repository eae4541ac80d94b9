"""PgQueue: the one object that an application holds. It wires and holds no logic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import update_wrapper
from typing import Any, Generic, Literal, TypeVar, overload

from pgqueue.backend import ProducerBackend
from pgqueue.inspect.inspector import Inspector
from pgqueue.model.clock import monotonic
from pgqueue.model.durations import Duration
from pgqueue.model.options import JobOptions
from pgqueue.model.retry import RetryPolicy
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.inspection import PostgresInspection
from pgqueue.postgres.migrate import migrate
from pgqueue.postgres.producer import PostgresProducer
from pgqueue.postgres.settings import resolve, resolve_schema
from pgqueue.postgres.store import PostgresWorker
from pgqueue.tasks import (
    AsyncHandle,
    AsyncQueue,
    D,
    Declare,
    DeclareWithContext,
    Executor,
    HandledQueue,
    P,
    Registry,
    SyncHandle,
    SyncQueue,
    Task,
    declare,
    need_tasks,
)
from pgqueue.telemetry.events import Events
from pgqueue.telemetry.logs import log
from pgqueue.version import __version__
from pgqueue.worker.options import check_concurrency, check_weights, timing_of
from pgqueue.worker.supervisor import Worker

R = TypeVar("R")


class LazyProducer:
    """Resolves the schema and the DSN when they are needed, so that tasks can be declared before anything is configured."""

    def __init__(self, schema: Callable[[], str], settings: Callable[[], Settings]) -> None:
        self._schema = schema
        self._settings = settings
        self._producer: ProducerBackend | None = None

    @property
    def _backend(self) -> ProducerBackend:
        if self._producer is None:
            self._producer = PostgresProducer(self._schema(), self._settings)
        return self._producer

    def enqueue(self, handle: object, specs: Sequence[Any]) -> list[str]:
        """Write jobs, return their ids."""
        return self._backend.enqueue(handle, specs)

    async def aenqueue(self, handle: object, specs: Sequence[Any]) -> list[str]:
        """Write jobs, return their ids."""
        return await self._backend.aenqueue(handle, specs)

    def close(self) -> None:
        """Close the process's pool."""
        if self._producer is not None:
            self._producer.close()

    async def aclose(self) -> None:
        """Close the event loop's pool."""
        if self._producer is not None:
            await self._producer.aclose()

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Resolve again, with pools of their own, for the length of a ``with`` block."""
        before, self._producer = self._producer, None
        try:
            yield
        finally:
            self.close()
            self._producer = before


class PgQueue(SyncQueue, AsyncQueue, Generic[D]):
    """Background jobs on PostgreSQL.

    Args:
        dsn: A PostgreSQL URL or connection string. None: PGQUEUE_DSN, DATABASE_URL, or the PG* variables. Read at first use.
        schema: Name of the schema that ``pgqueue migrate`` made. None: PGQUEUE_SCHEMA, or "pgqueue".
        deps: Called once in each worker; what it returns is ``ctx.deps`` of handlers with context.
    """

    @overload
    def __init__(self: PgQueue[None], dsn: str | None = None, *, schema: str | None = None) -> None: ...
    @overload
    def __init__(self, dsn: str | None = None, *, schema: str | None = None, deps: Callable[[], D]) -> None: ...
    def __init__(self, dsn: str | None = None, *, schema: str | None = None, deps: Any = None) -> None:
        self._dsn = dsn
        self._schema = schema
        self._deps = deps
        self._tasks = Registry()
        self.events = Events()
        self.events.subscribe(log)
        self._lazy_producer = LazyProducer(lambda: self.schema, lambda: self.settings)
        super().__init__(self._lazy_producer)

    @property
    def settings(self) -> Settings:
        """Where the jobs are.

        Raises:
            ConfigurationError: No DSN is given anywhere, or it cannot be read.
        """
        return resolve(self._dsn, self._schema)

    @property
    def schema(self) -> str:
        """Name of the schema.

        Raises:
            ConfigurationError: It is not a plain one.
        """
        return resolve_schema(self._schema)

    def migrate(self) -> tuple[str, str]:
        """Bring the schema up to date, as ``pgqueue migrate`` does; safe to call from many processes at once.

        Returns:
            The revisions before and after; "base" is none.

        Raises:
            ConfigurationError: No DSN is given anywhere, or it cannot be read.
            BackendUnavailable: The database cannot be reached.
        """
        return migrate(self.settings)

    @property
    def inspector(self) -> Inspector:
        """The read side and the operator's verbs."""
        return Inspector(PostgresInspection(self.settings))

    @overload
    def task(self, function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        /,
        *,
        context: Literal[True],
        name: str | None = ...,
        queue: str | None = ...,
        priority: int | None = ...,
        retry: RetryPolicy | None = ...,
        timeout: Duration | None = ...,
        executor: Executor | None = ...,
    ) -> DeclareWithContext[D]: ...
    @overload
    def task(
        self,
        /,
        *,
        context: Literal[False] = ...,
        name: str | None = ...,
        queue: str | None = ...,
        priority: int | None = ...,
        retry: RetryPolicy | None = ...,
        timeout: Duration | None = ...,
        executor: Executor | None = ...,
    ) -> Declare: ...
    def task(
        self,
        function: Any = None,
        /,
        *,
        context: bool = False,
        name: str | None = None,
        queue: str | None = None,
        priority: int | None = None,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        executor: Executor | None = None,
    ) -> Any:
        """Declare a function as a task.

        Args:
            context: Whether its first parameter is the JobContext, which callers do not pass.
            name: Under which jobs are stored; its module and qualified name.
            queue: Where its jobs go; "default".
            priority: 0 to 9, higher is served first; 0.
            retry: How often and when it is tried again; 25 retries on Asynq's formula.
            timeout: Longest time of an attempt; 30 minutes.
            executor: "loop" for an async def, "thread" for a def.

        Raises:
            TaskError: It is no plain function, its name is taken, or the executor does not fit.
            InvalidOption: An option is out of range.
        """
        options = {"queue": queue, "priority": priority, "timeout": timeout}

        def decorate(chosen: Callable[..., Any]) -> Task[..., Any]:
            declaration = declare(chosen, name=name, options=options, retry=retry, executor=executor, context=context)
            self._tasks.add(declaration)
            task: Task[..., Any] = Task(declaration, self._producer, JobOptions())
            update_wrapper(task, chosen)  # its name and documentation are the function's
            return task

        return decorate if function is None else decorate(function)

    @overload
    def using(self, handle: AsyncHandle, /) -> AsyncQueue: ...
    @overload
    def using(self, handle: SyncHandle, /) -> SyncQueue: ...
    def using(self, handle: Any, /) -> Any:
        """Return the queue on a connection or session, for ``enqueue_many`` in its transaction."""
        return HandledQueue(self._producer, handle)

    def worker(
        self,
        *,
        queues: Sequence[str] | None = None,
        weights: Mapping[str, int] | None = None,
        concurrency: int = 100,
        stop_timeout: Duration = "30s",
    ) -> Worker:
        """Return a worker, to be entered with ``async with`` or run with ``await worker.run()``.

        Args:
            queues: What to serve, evenly; "default" and every queue that a task names.
            weights: Queues by how often each is served while all have jobs; excludes ``queues``.
            concurrency: Jobs that run at the same time.
            stop_timeout: How long running jobs may go on when the worker stops.

        Raises:
            ConfigurationError: No task is declared, or no DSN is given.
            InvalidOption: A number or name is out of range, or both queues and weights are given.
        """
        need_tasks(self._tasks)
        return Worker(
            PostgresWorker(self.settings, monotonic),
            self._tasks,
            weights=check_weights(queues, weights, self._tasks.queues()),
            concurrency=check_concurrency(concurrency),
            version=__version__,
            timing=timing_of(stop_timeout),
            events=self.events,
            deps=self._deps() if self._deps is not None else None,
        )

    @property
    def tasks(self) -> Registry:
        """The declared tasks, by name."""
        return self._tasks

    @contextmanager
    def working_on(self, dsn: str) -> Iterator[None]:
        """Work on another database for the length of a ``with`` block, as tests do; afterwards as before."""
        before, self._dsn = self._dsn, dsn
        try:
            with self._lazy_producer.anew():
                yield
        finally:
            self._dsn = before

    def close(self) -> None:
        """Close the pool of this process."""
        self._lazy_producer.close()

    async def aclose(self) -> None:
        """Close the pool of this event loop."""
        await self._lazy_producer.aclose()
