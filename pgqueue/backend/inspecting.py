"""The storage as an inspector sees it, and the records that it lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

Level: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; None is any."""

    id: str | None = None
    state: str | None = None
    queue: str | None = None
    task: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as an auditor sees it; the fields are the columns of the view ``all_jobs``."""

    id: str
    state: str
    queue: str
    task: str
    priority: int
    enqueued_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    run: int
    crashes: int
    max_retries: int
    timeout: float
    worker_id: str | None
    args: Any
    result: Any
    error_type: str | None
    error: str | None
    traceback: str | None
    headers: Mapping[str, str] | None
    tags: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """A run that was started and has ended; the fields are the columns of the view ``all_attempts``."""

    run: int
    attempt: int
    outcome: str
    started_at: datetime
    ended_at: datetime
    worker_id: str | None
    error_type: str | None
    error: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class QueueRecord:
    """A queue and what stands in it; the fields are the columns of the view ``queue_stats``."""

    queue: str
    paused: bool
    ready: int
    scheduled: int
    running: int
    oldest_ready_at: datetime | None = field(default=None)
    next_due_at: datetime | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check of the doctor found.

    Attributes:
        name: Of the check, such as "schema".
        level: "fail": jobs are not run or not kept; "warn": they are, but something wants a look.
        message: What is so.
        remedy: What to do, for people; statements each on a line of their own. None when nothing is to be done.
    """

    name: str
    level: Level
    message: str
    remedy: str | None = None


class InspectBackend(Protocol):
    """The read side and the operators' verbs; blocking calls. Asynq: Inspector."""

    def jobs(self, which: JobFilter) -> list[JobRecord]:
        """List jobs, newest first. Asynq: List*Tasks, one state and queue at a time."""
        ...

    def attempts(self, job_id: str) -> list[AttemptRecord]:
        """List a job's ended runs, oldest first. Asynq: only the last error is kept."""
        ...

    def queues(self) -> list[QueueRecord]:
        """List queues. Asynq: Queues and GetQueueInfo."""
        ...

    def cancel(self, job_id: str, actor: str) -> str:
        """Cancel a job. Asynq: DeleteTask, CancelProcessing."""
        ...

    def retry(self, job_id: str, actor: str) -> str:
        """Bring an ended job back. Asynq: RunTask."""
        ...

    def pause(self, queue: str, actor: str) -> str:
        """Suspend claims. Asynq: PauseQueue."""
        ...

    def resume(self, queue: str, actor: str) -> str:
        """Take up claims again. Asynq: UnpauseQueue."""
        ...

    def grant(self, role: str, name: str, actor: str) -> int:
        """Let a role of the database be one of ours. Asynq: nothing alike."""
        ...

    def revoke(self, role: str, name: str, actor: str) -> int:
        """Take a role of ours away. Asynq: nothing alike."""
        ...

    def adopt(self, actor: str) -> None:
        """Let workers run the jobs of a restored copy. Asynq: nothing alike."""
        ...

    def diagnose(self, now: Callable[[], datetime]) -> list[Finding]:
        """Look whether all is as jobs need it; never raises because something is not. Asynq: Servers, at most.

        Args:
            now: The time by the clock of this machine.
        """
        ...
