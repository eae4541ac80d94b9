"""PgQueue: the one object that an application holds. It wires and holds no logic."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, overload

from pgqueue.backend import Completer
from pgqueue.binding import Binding, LazyProducer
from pgqueue.inspect.inspector import Inspector, check_id
from pgqueue.inspect.results import Results
from pgqueue.model.clock import monotonic
from pgqueue.model.codecs import Codec
from pgqueue.model.conversion import short
from pgqueue.model.durations import Duration
from pgqueue.model.errors import InvalidArguments
from pgqueue.model.payloads import Payloads
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
    Handle,
    HandledQueue,
    Job,
    Registry,
    SyncHandle,
    SyncQueue,
    need_tasks,
)
from pgqueue.tasks.declaring import Declaring
from pgqueue.telemetry.events import Events
from pgqueue.telemetry.logs import log
from pgqueue.version import __version__
from pgqueue.worker.addresses import module_of_caller
from pgqueue.worker.assembly import Plan
from pgqueue.worker.options import (
    check_child_jobs,
    check_child_megabytes,
    check_children,
    check_concurrency,
    check_limits,
    check_most_jobs,
    check_strict,
    check_weights,
    timing_of,
)
from pgqueue.worker.supervisor import Worker

R = TypeVar("R")


class PgQueue(SyncQueue, AsyncQueue, Declaring[D]):
    """Background jobs on PostgreSQL.

    Args:
        dsn: A PostgreSQL URL or connection string, or a function that returns one. None: PGQUEUE_DSN, DATABASE_URL, or the
            PG* variables. Read at first use.
        schema: Name of the schema that ``pgqueue migrate`` made. None: PGQUEUE_SCHEMA, or "pgqueue".
        deps: Called once in each worker; what it returns is ``ctx.deps`` of handlers with context.
        codec: What arguments and results are stored by, such as ``contrib.encryption.Encryption``; None: as JSON.
        codecs: More that jobs may have been stored by; they are read with them.

    Attributes:
        module: What child processes import first: where this was made, or what ``pgqueue worker`` was given.
    """

    @overload
    def __init__(
        self: PgQueue[None],
        dsn: str | Callable[[], str] | None = None,
        *,
        schema: str | None = None,
        codec: Codec | None = None,
        codecs: Sequence[Codec] = (),
    ) -> None: ...
    @overload
    def __init__(
        self,
        dsn: str | Callable[[], str] | None = None,
        *,
        schema: str | None = None,
        deps: Callable[[], D],
        codec: Codec | None = None,
        codecs: Sequence[Codec] = (),
    ) -> None: ...
    def __init__(
        self,
        dsn: str | Callable[[], str] | None = None,
        *,
        schema: str | None = None,
        deps: Any = None,
        codec: Codec | None = None,
        codecs: Sequence[Codec] = (),
    ) -> None:
        self.module = module_of_caller()
        self._dsn = dsn
        self._schema = schema
        self._deps = deps
        self._tasks = Registry()
        self._home = self
        self.events = Events()
        self.events.subscribe(log)
        self._payloads = Payloads(codec, codecs)
        self._binding = Binding()
        self._lazy_producer = LazyProducer(self._open_producer, self._binding)
        self._results = Results(self._lazy_producer, self._tasks, self._payloads, monotonic)
        self._lazy_producer.results = self._results
        super().__init__(self._lazy_producer)

    def _open_producer(self) -> PostgresProducer:
        return PostgresProducer(self.schema, lambda: self.settings, self._payloads.codec)

    @property
    def settings(self) -> Settings:
        """Where the jobs are.

        Raises:
            ConfigurationError: No DSN is given anywhere, or it cannot be read.
        """
        return resolve(self._dsn() if callable(self._dsn) else self._dsn, self._schema)

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
    def using(self, handle: AsyncHandle, /, *, bind: Any = ...) -> AsyncQueue: ...
    @overload
    def using(self, handle: SyncHandle, /, *, bind: Any = ...) -> SyncQueue: ...
    def using(self, handle: Any, /, *, bind: Any = None) -> Any:
        """Return the queue on a connection or session, for ``enqueue_many`` in its transaction.

        Args:
            handle: As for ``task.using``.
            bind: Which database of a session with several: an engine, or a mapped class.
        """
        return HandledQueue(self._producer, Handle(handle, bind))

    def bind(self, handle: SyncHandle | AsyncHandle, /, *, bind: Any = None) -> AbstractContextManager[None]:
        """Enqueue all in this block in the handle's transaction, wherever no other handle is named.

        The block belongs to the thread and the asyncio task that entered it; another one that inherits it is refused.

        Args:
            handle: As for ``task.using``.
            bind: As for ``using``.
        """
        return self._binding.bind(Handle(handle, bind))

    def job(self, job_id: str | int, /) -> Job[Any]:
        """Return a job by its id, to ask for its status or result; it is looked up when asked, so task and queue are empty.

        Raises:
            JobNotFound: That is not an id.
        """
        return Job(check_id(job_id)).asking(self._results)

    def gather(self, jobs: Iterable[Job[R]], /, timeout: Duration | None = None) -> list[R]:
        """Wait until jobs have ended, and return what their tasks returned, in order.

        Raises:
            JobFailed: One ended without success.
            WaitTimeout, JobNotCommitted, JobNotFound, BackendUnavailable: As for ``Job.result``.
        """
        return self._results.gather(_jobs(jobs), timeout)

    async def agather(self, jobs: Iterable[Job[R]], /, timeout: Duration | None = None) -> list[R]:
        """Wait as ``gather`` does, without blocking the event loop."""
        return await self._results.agather(_jobs(jobs), timeout)

    def worker(
        self,
        *,
        queues: Sequence[str] | None = None,
        weights: Mapping[str, int] | None = None,
        strict: bool = False,
        limits: Mapping[str, int] | None = None,
        concurrency: int = 100,
        children: int | None = None,
        child_jobs: int = 1000,
        child_megabytes: int | None = None,
        max_jobs: int | None = None,
        drain: bool = False,
        stop_timeout: Duration = "30s",
    ) -> Worker:
        """Return a worker, to be entered with ``async with`` or run with ``await worker.run()``.

        Args:
            queues: What to serve, evenly; "default" and every queue that a task names.
            weights: Queues by how often each is served while all have jobs; excludes ``queues``.
            strict: Whether a queue is served only while those named before it are empty.
            limits: How many jobs of a queue may run at the same time, by queue.
            concurrency: Jobs that run at the same time.
            children: Most child processes, for tasks with executor="process"; one a core.
            child_jobs: After so many jobs a child process is replaced.
            child_megabytes: A child process that holds more than this after a job is replaced; none is.
            max_jobs: After so many jobs no more are taken, and a worker that runs as a program stops.
            drain: Whether a worker that runs as a program stops when nothing is ready or due.
            stop_timeout: How long running jobs may go on when the worker stops.

        Raises:
            ConfigurationError: No task is declared, or no DSN is given.
            InvalidOption: A number or name is out of range, or both queues and weights are given.
        """
        need_tasks(self._tasks)
        served = check_weights(queues, weights, self._tasks.queues())
        plan = Plan(
            weights=served,
            concurrency=check_concurrency(concurrency),
            strict=check_strict(strict, weights),
            limits=check_limits(limits, served),
            children=check_children(children),
            child_jobs=check_child_jobs(child_jobs),
            child_megabytes=check_child_megabytes(child_megabytes),
            most_jobs=check_most_jobs(max_jobs),
            drain=drain,
            timing=timing_of(stop_timeout),
        )
        return self._worker_of(plan)

    def _worker_of(self, plan: Plan) -> Worker:
        return Worker(
            PostgresWorker(self.settings, monotonic, self.events.emit),
            self._tasks,
            plan,
            version=__version__,
            completer=self._lazy_producer,
            events=self.events,
            payloads=self._payloads,
            deps=self.make_deps(),
        )

    @property
    def tasks(self) -> Registry:
        """The declared tasks, by name."""
        return self._tasks

    @contextmanager
    def working_on(self, dsn: str) -> Generator[None]:
        """Work on another database for the length of a ``with`` block, as tests do; afterwards as before."""
        before, self._dsn = self._dsn, dsn
        try:
            with self._lazy_producer.anew():
                yield
        finally:
            self._dsn = before

    @property
    def payloads(self) -> Payloads:
        """How arguments are read and results stored."""
        return self._payloads

    @property
    def completer(self) -> Completer:
        """What ends jobs in their handlers' own transactions."""
        return self._lazy_producer

    def make_deps(self) -> Any:
        """Return what handlers get as ``ctx.deps``, made anew; None without ``deps=``."""
        return self._deps() if self._deps is not None else None

    def close(self) -> None:
        """Close the pool of this process."""
        self._lazy_producer.close()

    async def aclose(self) -> None:
        """Close the pool of this event loop."""
        await self._lazy_producer.aclose()


def _jobs(jobs: Any) -> list[Job[Any]]:
    listed: list[Any] = list(jobs) if hasattr(jobs, "__iter__") else [jobs]
    if not hasattr(jobs, "__iter__") or not all(isinstance(job, Job) for job in listed):
        raise InvalidArguments(
            f"{short(jobs)} is not a list of jobs.", "Pass [job, ...]; pgq.job(id) makes one of an id."
        )
    return listed
