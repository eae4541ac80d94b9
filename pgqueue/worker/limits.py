"""How many jobs of a queue, of a task, or in child processes run at the same time in this worker.

A job whose task is at its limit is parked, and runs before others once there is room. How many wait here follows how long
such jobs take: what will not start within a second goes back, for another worker may have room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pgqueue.model.job import ClaimedJob
from pgqueue.tasks import Registry

WAITING_SECONDS = 1.0
LATEST = 0.2  # weight of the latest job in the measured duration


@dataclass(slots=True)
class Group:
    """Jobs that share a limit.

    Attributes:
        lasts: Seconds that one of them takes, as measured; 0: none has ended yet.
        moved: Monotonic second at which one of them last started.
    """

    most: int
    running: int = 0
    lasts: float = 0.0
    moved: float = 0.0
    parked: deque[ClaimedJob] = field(default_factory=deque)

    @property
    def is_open(self) -> bool:
        """Whether one more may run."""
        return self.running < self.most

    def start(self, now: float) -> None:
        """Count one more that runs."""
        self.running += 1
        self.moved = now

    def end(self, seconds: float) -> None:
        """Count one less, and note how long it took."""
        self.running -= 1
        self.lasts += (seconds - self.lasts) * (LATEST if self.lasts else 1.0)

    def soon(self, now: float) -> int:
        """Return how many more will start within a second, while it is full."""
        since = now - self.moved
        return 0 if since > WAITING_SECONDS else int(self.most * WAITING_SECONDS / max(self.lasts, since, 0.001))


class Limits:
    """The limits of one worker.

    Args:
        queues: Most jobs by queue.
        registry: Knows the limits of the tasks.
        children: Most jobs in child processes.
    """

    def __init__(self, queues: Mapping[str, int], registry: Registry, children: int) -> None:
        self._queues = {queue: Group(most) for queue, most in queues.items()}
        self._registry = registry
        self._children = Group(children)
        self._tasks: dict[tuple[bool, str], Group] = {}  # a route and a task may have the same name
        self._running: dict[tuple[int, int], float] = {}  # since which second
        self.is_needed = bool(queues) or any(task.limit or task.executor == "process" for task in registry)

    def is_open(self, queue: str) -> bool:
        """Whether a job of this queue may start."""
        group = self._queues.get(queue)
        return group is None or group.is_open

    def room(self, queue: str, wanted: int, waiting: int, now: float) -> int:
        """Return how many jobs of a queue are worth a claim, of those wanted: what may run, and at most as many again."""
        group = self._queues.get(queue)
        if group is None:
            return wanted
        return min(wanted, group.most + min(group.most, group.soon(now)) - group.running - waiting)

    def excess(self, queue: str, waiting: int, now: float) -> int:
        """Return how many of the jobs that wait in a queue's line will not start soon, because the queue is at its limit."""
        group = self._queues.get(queue)
        return 0 if group is None or group.is_open else max(0, waiting - group.soon(now))

    def may_run(self, job: ClaimedJob, now: float) -> bool:
        """Count a job as running if it may run, or does so already."""
        if (job.id, job.run) not in self._running:
            if not self.is_open_for(job):
                return False
            self._start(job, self._groups(job.task), now)
        return True

    def is_open_for(self, job: ClaimedJob) -> bool:
        """Whether a job may start."""
        return self.is_open(job.queue) and all(group.is_open for group in self._groups(job.task))

    def admit(self, job: ClaimedJob, now: float) -> bool:
        """Count a job of an open queue as running, or park it."""
        groups = self._groups(job.task)
        for group in groups:
            if not group.is_open:
                group.parked.append(job)
                return False
        self._start(job, groups, now)
        return True

    def ended(self, job: ClaimedJob, now: float) -> list[ClaimedJob]:
        """A job runs no more; return parked ones that count as running from now on."""
        since = self._running.pop((job.id, job.run), None)
        if since is not None:
            for group in (*self._groups(job.task), *self._queue_of(job)):
                group.end(now - since)
        return [started for group in self._parking() for started in self._admit_parked(group, now)]

    def parked(self, queue: str | None = None) -> int:
        """Return how many jobs of a queue are parked; None: of all."""
        return sum(queue in (None, job.queue) for group in self._parking() for job in group.parked)

    def overdue(self, now: float) -> list[ClaimedJob]:
        """Take out what is parked and will not start soon, the last ones first."""
        late = [(group, len(group.parked) - group.soon(now)) for group in self._parking()]
        return [group.parked.pop() for group, count in late for _ in range(count)]

    def take_out(self, chosen: Callable[[ClaimedJob], bool]) -> list[ClaimedJob]:
        """Take out the parked jobs that are chosen."""
        out: list[ClaimedJob] = []
        for group in self._parking():
            out += filter(chosen, group.parked)
            group.parked = deque(job for job in group.parked if not chosen(job))
        return out

    def _admit_parked(self, group: Group, now: float) -> list[ClaimedJob]:
        admitted: list[ClaimedJob] = []
        for job in list(group.parked) if group.is_open else ():
            if not group.is_open:
                break
            if self.may_run(job, now):
                group.parked.remove(job)
                admitted.append(job)
        return admitted

    def _start(self, job: ClaimedJob, groups: Iterable[Group], now: float) -> None:
        self._running[job.id, job.run] = now
        for group in (*groups, *self._queue_of(job)):
            group.start(now)

    def _queue_of(self, job: ClaimedJob) -> tuple[Group, ...]:
        group = self._queues.get(job.queue)
        return () if group is None else (group,)

    def _groups(self, name: str) -> tuple[Group, ...]:
        task = self._registry.find(name)
        if task is None:
            return ()
        children = (self._children,) if task.executor == "process" else ()
        if not task.limit:
            return children
        return (self._tasks.setdefault((task.raw, task.name), Group(task.limit)), *children)

    def _parking(self) -> list[Group]:
        return [group for group in (*self._tasks.values(), self._children) if group.parked]
