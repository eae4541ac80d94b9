"""How many jobs of a queue, of a task, or in child processes run at the same time in this worker.

A job whose task is at its limit is parked, and runs before others once there is room. What parks longer than a second, or
more than one round deep, is handed back: another worker may have room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pgqueue.model.job import ClaimedJob
from pgqueue.tasks import Registry

PARKED_SECONDS = 1.0


@dataclass(slots=True)
class Group:
    """Jobs that share a limit.

    Attributes:
        moved: Monotonic second at which one of them last started, or parked first.
    """

    most: int
    running: int = 0
    moved: float = 0.0
    parked: deque[ClaimedJob] = field(default_factory=deque)

    @property
    def is_open(self) -> bool:
        """Whether one more may run."""
        return self.running < self.most


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
        self._tasks: dict[str, tuple[Group, ...]] = {}
        self.is_needed = bool(queues) or any(task.limit or task.executor == "process" for task in registry)

    def is_open(self, queue: str) -> bool:
        """Whether a job of this queue may start."""
        group = self._queues.get(queue)
        return group is None or group.is_open

    def room(self, queue: str, wanted: int) -> int:
        """Return how many jobs of a queue are worth a claim, of those wanted: what may run, and as many again."""
        group = self._queues.get(queue)
        return wanted if group is None else min(wanted, 2 * group.most - group.running)

    def admit(self, job: ClaimedJob, now: float) -> bool:
        """Count a job as running, or park it."""
        groups = self._groups(job.task)
        for group in groups:
            if not group.is_open:
                group.moved = group.moved if group.parked else now
                group.parked.append(job)
                return False
        self._start(job, groups, now)
        return True

    def ended(self, job: ClaimedJob, now: float) -> list[ClaimedJob]:
        """A job runs no more; return parked ones that count as running from now on."""
        for group in self._all(job):
            group.running -= 1
        admitted = []
        for group in self._parking():
            while group.parked and self.is_open(group.parked[0].queue):
                waiting = group.parked[0]
                groups = self._groups(waiting.task)
                if not all(other.is_open for other in groups):
                    break
                admitted.append(group.parked.popleft())
                self._start(waiting, groups, now)
        return admitted

    def parked(self, queue: str) -> int:
        """Return how many jobs of a queue are parked."""
        return sum(job.queue == queue for group in self._parking() for job in group.parked)

    def overdue(self, now: float) -> list[ClaimedJob]:
        """Take out what is parked more than one round deep, or for too long."""
        out: list[ClaimedJob] = []
        for group in self._parking():
            keep = 0 if now - group.moved > PARKED_SECONDS else group.most
            while len(group.parked) > keep:
                out.append(group.parked.pop())
        return out

    def take_out(self, keys: Collection[tuple[int, int]] | None) -> list[ClaimedJob]:
        """Take out parked jobs of these (id, run); None: all."""
        out: list[ClaimedJob] = []
        for group in self._parking():
            chosen = [job for job in group.parked if keys is None or (job.id, job.run) in keys]
            for job in chosen:
                group.parked.remove(job)
            out += chosen
        return out

    def _start(self, job: ClaimedJob, groups: Iterable[Group], now: float) -> None:
        for group in groups:
            group.running += 1
            group.moved = now
        queue = self._queues.get(job.queue)
        if queue is not None:
            queue.running += 1

    def _all(self, job: ClaimedJob) -> Iterator[Group]:
        yield from self._groups(job.task)
        if job.queue in self._queues:
            yield self._queues[job.queue]

    def _groups(self, name: str) -> tuple[Group, ...]:
        groups = self._tasks.get(name)
        if groups is None:
            task = self._registry.find(name)
            found = [Group(task.limit)] if task is not None and task.limit else []
            if task is not None and task.executor == "process":
                found.append(self._children)
            groups = self._tasks[name] = tuple(found)
        return groups

    def _parking(self) -> Iterator[Group]:
        own = {id(group): group for groups in self._tasks.values() for group in groups}
        return (group for group in own.values() if group.parked)
