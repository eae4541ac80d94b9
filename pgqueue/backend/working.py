"""The storage as a worker sees it, and the values that they exchange."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from pgqueue.model.job import ClaimedJob

Verdict: TypeAlias = Literal[
    "succeeded", "dead", "poison", "cancelled", "expired", "retry", "crashed", "snooze", "release"
]
Answer: TypeAlias = Literal["done", "locked", "lost"]

PROTOCOL = 3  # grows with what workers do; a schema may refuse those below its own


class Outcome(NamedTuple):
    """What became of a run.

    Attributes:
        verdict: "crashed" is a retry of a job whose process died of it, "poison" is dead for the same reason; both count
            as a crash.
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
        paused: Whether nothing was given because the queue is paused.
    """

    jobs: list[ClaimedJob]
    more: bool
    paused: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What a look at all queues saw.

    Attributes:
        ready: Queues with something to claim.
        settled: False while a transaction may still commit jobs without a notification.
        paused: Queues that are paused.
    """

    ready: frozenset[str]
    settled: bool
    paused: frozenset[str] = frozenset()


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
    """What a sweep did: workers taken for dead, leases taken from them, jobs handed back.

    Attributes:
        ended: job, run, task and queue of those that had killed their worker once too often.
    """

    workers: int
    leases: int
    jobs: int
    ended: Sequence[Mapping[str, Any]] = ()


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


class Progress(NamedTuple):
    """How far a run is: from 0 to 1, and a few words."""

    job: int
    run: int
    done: float | None
    note: str | None


class Notice(NamedTuple):
    """What a notification said: a queue has work or soon will, or was paused, or a held job was cancelled; "connected"
    after a connect.
    """

    kind: Literal["ready", "due", "paused", "cancel", "connected"]
    queue: str = ""


class Heart(Protocol):
    """A worker's heartbeat, called from a thread of its own."""

    def beat(self, worker: int) -> Pulse:
        """Say that the worker lives. Asynq: extend the leases of all running tasks, write the server's keys."""
        ...

    def give_back(self, worker: int, outcomes: Sequence[Outcome], now: float) -> list[Answer]:
        """Record outcomes while the event loop is held up, as ``WorkerBackend.finish`` does. Asynq: nothing alike."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class WorkerBackend(Protocol):
    """The storage as one worker sees it. Called from one event loop."""

    @property
    def listens(self) -> bool:
        """Whether notifications can arrive; known once the worker is registered. Asynq: only cancel messages do."""
        ...

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

    async def start(self, job: ClaimedJob) -> bool:
        """Record that a suspect's handler is about to be called; False: it is not this worker's. Asynq: nothing alike."""
        ...

    async def pardon(self, job: ClaimedJob) -> None:
        """Note that a suspect runs alone no more: a crash counts against it, and does not end it. Asynq: nothing alike."""
        ...

    async def keep(self, job: ClaimedJob, value: str) -> bool:
        """Store where a later run may go on, as JSON; False: the job is not this run's. Asynq: nothing alike."""
        ...

    async def kept(self, job: ClaimedJob) -> tuple[Any, ...]:
        """Return what an earlier run kept, as parsed JSON; empty: it kept nothing. Asynq: nothing alike."""
        ...

    async def forget_kept(self, jobs: Collection[int]) -> None:
        """Delete what jobs kept. Asynq: nothing alike."""
        ...

    async def note(self, progress: Sequence[Progress]) -> None:
        """Note how far jobs are. Asynq: nothing alike."""
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
