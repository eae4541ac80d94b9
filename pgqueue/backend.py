"""What a backend does, and the values that it exchanges with the worker and the inspector.

``postgres`` implements this on lanes and leases; ``asynq`` will on Redis. Beside each method stands how Asynq does it.
Every method may raise BackendUnavailable when the database cannot be reached; the caller tries again later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from pgqueue.model.job import ClaimedJob
from pgqueue.tasks import JobWriter

Verdict: TypeAlias = Literal["succeeded", "dead", "cancelled", "retry", "snooze", "release"]
Answer: TypeAlias = Literal["done", "locked", "lost"]


class Outcome(NamedTuple):
    """What became of a run.

    Attributes:
        delay: Seconds until the job runs again; 0 for verdicts that end it.
        started: Monotonic second at which the handler was called; None when it never was.
        error: JSON of {type, message, traceback}, or None.
        result: JSON of what a task that succeeded returned, or None.
    """

    id: int
    run: int
    lease: int
    verdict: Verdict
    delay: float
    started: float | None
    error: str | None
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim.

    Attributes:
        jobs: In the order in which they are to run.
        more: Whether to ask again at once: the claim was full, or entries of a late commit wait to be read.
    """

    jobs: list[ClaimedJob]
    more: bool


@dataclass(frozen=True, slots=True)
class View:
    """What a look at all queues saw.

    Attributes:
        ready: Queues with something to claim.
        settled: False while a transaction may still commit jobs without a notification.
    """

    ready: frozenset[str]
    settled: bool


@dataclass(frozen=True, slots=True)
class Agenda:
    """What is due: queues with due jobs, and seconds until the next job of any queue (None: none waits)."""

    due: frozenset[str]
    next_in: float | None


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a promotion did: entries moved, and whether more are due now."""

    moved: int
    more: bool


@dataclass(frozen=True, slots=True)
class Pulse:
    """The answer to a heartbeat.

    Attributes:
        alive: False when somebody took this worker for dead; its jobs are not its own any more.
        leases: Leases that the database knows of this worker.
        cancelled: (id, run) of held jobs that an operator cancelled.
    """

    alive: bool
    leases: frozenset[int]
    cancelled: frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Beats:
    """Beat counters of all workers, and whether leases stand whose worker is gone."""

    counters: Mapping[int, int]
    orphans: bool


@dataclass(frozen=True, slots=True)
class Rescue:
    """What a sweep did: workers taken for dead, leases taken from them, jobs handed back."""

    workers: int
    leases: int
    jobs: int


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """Who a worker is. The id is random and used once."""

    id: int
    name: str
    hostname: str
    pid: int
    version: str
    queues: tuple[str, ...]
    concurrency: int


class Notice(NamedTuple):
    """What a notification said: a queue has work or soon will, or a held job was cancelled; "connected" after a connect."""

    kind: Literal["ready", "due", "cancel", "connected"]
    queue: str = ""


class Heart(Protocol):
    """A worker's heartbeat, called from a thread of its own."""

    def beat(self, worker: int) -> Pulse:
        """Say that the worker lives. Asynq: extend the leases of all running tasks, write the server's keys."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class WorkerBackend(Protocol):
    """The storage as one worker sees it. Called from one event loop."""

    async def register(self, info: WorkerInfo) -> None:
        """Make this worker known; later calls act in its name. Asynq: write the server's and workers' keys."""
        ...

    async def claim(self, queue: str, lease: int, limit: int) -> Claim:
        """Take up to ``limit`` ready jobs under a new lease. Asynq: dequeue, one task a call, lease of 30 s."""
        ...

    async def finish(self, outcomes: Sequence[Outcome], emptied: Collection[int], now: float) -> list[Answer]:
        """Record outcomes, in their order, and drop leases answered earlier. Asynq: done, retry, archive, requeue."""
        ...

    async def settle(self, lost: Sequence[Outcome], now: float) -> set[tuple[int, int]]:
        """Return (id, run) of lost outcomes that were recorded by an earlier, unanswered call. Asynq: nothing alike."""
        ...

    async def release(self, leases: Sequence[int]) -> int:
        """Hand back jobs of leases that the worker does not know. Asynq: left to the recoverer."""
        ...

    async def look(self, queues: Sequence[str]) -> View:
        """See which queues have work, without taking any. Asynq: nothing alike; it dequeues."""
        ...

    async def doze(self, queues: Sequence[str], nap: float) -> None:
        """Ask to be notified of new jobs; the worker looks by itself every ``nap`` seconds. Asynq: nothing alike."""
        ...

    async def awake(self, queues: Sequence[str]) -> None:
        """Ask for no more notifications. Asynq: nothing alike."""
        ...

    async def agenda(self, queues: Sequence[str]) -> Agenda:
        """See which queues have due jobs. Asynq: nothing alike."""
        ...

    async def promote(self, queue: str, limit: int) -> Promotion:
        """Move due jobs to ready. Asynq: forwarder, every 5 s."""
        ...

    async def beats(self) -> Beats:
        """Read every worker's beat counter. Asynq: nothing alike; leases carry a time."""
        ...

    async def rescue(self, silent: Mapping[int, int]) -> Rescue:
        """Hand back the jobs of workers silent since that beat, and of leases without a worker. Asynq: recoverer."""
        ...

    async def tidy(self) -> None:
        """Vacuum the lanes. Asynq: nothing alike."""
        ...

    async def keep_history(self, days: int) -> None:
        """Create the partitions ahead, retire those older than ``days``. Asynq: janitor, completed tasks only."""
        ...

    def notices(self) -> AsyncIterator[Notice]:
        """Yield notifications until the connection breaks. Asynq: cancel messages by PUBLISH."""
        ...

    def heart(self) -> Heart:
        """Return the worker's heartbeat, to be called from a thread."""
        ...

    async def leave(self) -> None:
        """Take the worker off the list. Asynq: delete the server's keys."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...

    def sever(self) -> None:
        """Cut all connections, the heart's too: who waits for an answer gets an error instead. Asynq: nothing alike."""
        ...


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


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended: what its task returned, as parsed JSON, or why it returned nothing."""

    state: str
    task: str
    result: Any
    error_type: str | None
    error: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class AskStates:
    """Where do jobs stand? Answered by state per id; "uncommitted", "rolled back" and "not found" are answers too.

    Attributes:
        transactions: Parallel; the caller's transaction that enqueued each, None when it is committed.
    """

    ids: Sequence[str]
    transactions: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class AskEnds:
    """How did jobs end? Answered by ``Ended`` per id."""

    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class AskCancel:
    """Cancel a job; answered as by ``InspectBackend.cancel``."""

    id: str
    actor: str


Question: TypeAlias = AskStates | AskEnds | AskCancel


class ProducerBackend(JobWriter, Protocol):
    """Where enqueue ends, and what a caller may ask of its jobs. Asynq: Enqueue and BatchEnqueue, each task by itself and
    never in a caller's transaction.
    """

    def ask(self, question: Question) -> Any:
        """Answer a question. Asynq: GetTaskInfo, DeleteTask and CancelProcessing."""
        ...

    async def aask(self, question: Question) -> Any:
        """Answer a question without blocking the event loop."""
        ...

    def close(self) -> None:
        """Close the pools of the calling process."""
        ...

    async def aclose(self) -> None:
        """Close the pools of the calling event loop."""
        ...
