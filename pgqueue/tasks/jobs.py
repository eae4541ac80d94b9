"""What a caller holds of a stored job, and what it can ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol

from typing_extensions import TypeVar

from pgqueue.model.durations import Duration
from pgqueue.model.errors import ConfigurationError
from pgqueue.model.states import JobState

R = TypeVar("R", default=object)


class JobResults(Protocol):
    """Answers what a ``Job`` asks. Its methods are those of the job, for several jobs where that can be one question."""

    def status(self, job: Job[Any]) -> JobState: ...
    async def astatus(self, job: Job[Any]) -> JobState: ...
    def wait(self, jobs: Sequence[Job[Any]], timeout: Duration | None) -> list[JobState]: ...
    async def await_(self, jobs: Sequence[Job[Any]], timeout: Duration | None) -> list[JobState]: ...
    def gather(self, jobs: Sequence[Job[Any]], timeout: Duration | None) -> list[Any]: ...
    async def agather(self, jobs: Sequence[Job[Any]], timeout: Duration | None) -> list[Any]: ...
    def cancel(self, job: Job[Any]) -> str: ...
    async def acancel(self, job: Job[Any]) -> str: ...


class Origin(NamedTuple):
    """Where a job was written.

    Attributes:
        database: Name of the database.
        transaction: The caller's transaction, as PostgreSQL numbers it; None: it is committed.
    """

    database: str
    transaction: int | None


class _Asking:
    """Whom a job asks. No field, so that a job can be copied, compared, pickled and sent as JSON."""

    __slots__ = ("_results",)

    _results: JobResults

    @property
    def results(self) -> JobResults:
        """Answers what the job asks.

        Raises:
            ConfigurationError: It came from another process, and knows no application here.
        """
        try:
            return self._results
        except AttributeError:
            raise ConfigurationError(
                "This job came from elsewhere and knows no application that it could ask.", "Ask pgq.job(job.id)."
            ) from None


@dataclass(frozen=True, slots=True)
class Job(_Asking, Generic[R]):
    """A stored job. It exists once the transaction that enqueued it commits.

    Attributes:
        id: Its id; text on every backend, ``bigint`` in SQL. Jobs of the same id are equal.
        task: Name of its task.
        queue: Name of its queue.
        created: False when another job already held the key; then the id is that job's.
        replaced: Whether that job waited and got this call's arguments and options.
        origin: Where it was written; None: it was looked up by its id.
    """

    id: str
    task: str = field(default="", compare=False)
    queue: str = field(default="", compare=False)
    created: bool = field(default=True, compare=False)
    replaced: bool = field(default=False, compare=False)
    origin: Origin | None = field(default=None, repr=False, compare=False)

    @property
    def transaction(self) -> int | None:
        """The caller's transaction that wrote it; None: it is committed, or not known."""
        return None if self.origin is None else self.origin.transaction

    def asking(self, results: JobResults) -> Job[R]:
        """Let the job ask this application; return it."""
        object.__setattr__(self, "_results", results)
        return self

    def status(self) -> JobState:
        """Return where the job stands.

        Raises:
            JobNotCommitted: The transaction that enqueued it is still open.
            JobNotFound: That transaction was rolled back, or the job is past its retention.
            BackendUnavailable: The database cannot be reached.
        """
        return self.results.status(self)

    async def astatus(self) -> JobState:
        """Return where the job stands, as ``status`` does."""
        return await self.results.astatus(self)

    def wait(self, timeout: Duration | None = None) -> JobState:
        """Wait until the job has ended.

        Args:
            timeout: Longest wait, "30s" or seconds; None: for ever.

        Returns:
            succeeded, dead, cancelled or expired.

        Raises:
            WaitTimeout: It has not ended in time; it goes on.
            JobNotCommitted, JobNotFound, BackendUnavailable: As for ``status``.
        """
        return self.results.wait([self], timeout)[0]

    async def await_(self, timeout: Duration | None = None) -> JobState:
        """Wait as ``wait`` does, without blocking the event loop."""
        return (await self.results.await_([self], timeout))[0]

    def result(self, timeout: Duration | None = None) -> R:
        """Wait until the job has ended, and return what its task returned.

        Args:
            timeout: Longest wait, "30s" or seconds; None: for ever.

        Raises:
            JobFailed: It ended without success, or what it returned could not be kept.
            WaitTimeout, JobNotCommitted, JobNotFound, BackendUnavailable: As for ``wait``.
        """
        value: R = self.results.gather([self], timeout)[0]
        return value

    async def aresult(self, timeout: Duration | None = None) -> R:
        """Return what the task returned, as ``result`` does."""
        value: R = (await self.results.agather([self], timeout))[0]
        return value

    def cancel(self) -> str:
        """Cancel the job: end it, or signal the worker that runs it.

        Returns:
            "cancelled" or "signalled"; or the state in which the job had ended before.

        Raises:
            JobNotCommitted, JobNotFound, BackendUnavailable: As for ``status``.
        """
        return self.results.cancel(self)

    async def acancel(self) -> str:
        """Cancel as ``cancel`` does."""
        return await self.results.acancel(self)
