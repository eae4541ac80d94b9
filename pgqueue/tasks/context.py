"""What a handler may know of the job that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic

from typing_extensions import TypeVar

from pgqueue.model.job import ClaimedJob

D_co = TypeVar("D_co", covariant=True, default=None)

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
