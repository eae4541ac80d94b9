"""What a caller holds of a stored job, and what it can ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

from typing_extensions import TypeVar

from pgqueue.model.durations import Duration
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


@dataclass(frozen=True, slots=True)
class Job(Generic[R]):
    """A stored job. It exists once the transaction that enqueued it commits.

    Attributes:
        id: Its id; text on every backend, ``bigint`` in SQL.
        task: Name of its task.
        queue: Name of its queue.
        created: False when another job already held the key; then the id is that job's.
        replaced: Whether that job waited and got this call's arguments and options.
        transaction: The caller's transaction that enqueued it, as PostgreSQL numbers it; None: it is committed.
    """

    id: str
    task: str
    queue: str
    created: bool = True
    replaced: bool = False
    transaction: int | None = field(default=None, repr=False, compare=False)
    results: JobResults = field(default=None, repr=False, compare=False, kw_only=True)  # type: ignore[assignment]

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
