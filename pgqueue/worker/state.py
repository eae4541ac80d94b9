"""What the services of one worker share: who it is, whether it still holds its lease, and what it took."""

from __future__ import annotations

from dataclasses import dataclass, field

from pgqueue.backend import ClaimedJob, WorkerInfo
from pgqueue.model.clock import Clock

LEASE = 20.0


@dataclass(slots=True)
class Holdings:
    """The leases of a worker: which are open, and how many of their jobs are still unanswered.

    A lease is known from before its claim is sent until its deletion was acknowledged, so that a heartbeat can tell
    the lease of a claim whose answer was lost from one of our own.
    """

    claiming: set[int] = field(default_factory=set)
    open: dict[int, int] = field(default_factory=dict)
    emptied: set[int] = field(default_factory=set)

    def took(self, lease: int, jobs: int) -> None:
        """A claim was answered."""
        self.claiming.discard(lease)
        if jobs:
            self.open[lease] = jobs

    def answered(self, lease: int) -> None:
        """One job of the lease was answered done or lost."""
        left = self.open.get(lease, 0) - 1
        if left > 0:
            self.open[lease] = left
        elif self.open.pop(lease, None) is not None:
            self.emptied.add(lease)

    def unknown(self, leases: frozenset[int]) -> list[int]:
        """Return those that the database has and this worker does not know."""
        return [x for x in leases if x not in self.open and x not in self.claiming and x not in self.emptied]

    def forget(self) -> None:
        """Drop everything: the worker's identity is lost."""
        self.claiming.clear()
        self.open.clear()
        self.emptied.clear()


@dataclass(slots=True)
class WorkerState:
    """Shared by all services of one worker."""

    info: WorkerInfo
    clock: Clock
    weights: dict[str, int]
    holdings: Holdings = field(default_factory=Holdings)
    lease_until: float = 0.0
    claiming: bool = True

    def holds_lease(self, now: float) -> bool:
        """Whether the last acknowledged heartbeat still covers this moment."""
        return now < self.lease_until


class Buffers:
    """Claimed jobs that wait for a slot: one queue of jobs per queue, served by smooth weighted round-robin.

    Source of the rule: nginx's smooth weighted balancing. Each turn every waiting queue gains its weight, the highest is
    served and pays the sum.
    """

    def __init__(self, weights: dict[str, int]) -> None:
        from collections import deque

        self._weights = weights
        self._credit = dict.fromkeys(weights, 0)
        self._jobs: dict[str, deque[ClaimedJob]] = {queue: deque() for queue in weights}
        self._only = next(iter(self._jobs.values())) if len(weights) == 1 else None
        self.size = 0

    def add(self, queue: str, jobs: list[ClaimedJob]) -> None:
        """Put claimed jobs behind the others of their queue."""
        self._jobs[queue].extend(jobs)
        self.size += len(jobs)

    def take(self) -> ClaimedJob | None:
        """Return the next job to run, or None."""
        if not self.size:
            return None
        self.size -= 1
        return self._only.popleft() if self._only is not None else self._jobs[self._turn()].popleft()

    def waiting(self, queue: str) -> int:
        """Return how many jobs of a queue wait."""
        return len(self._jobs[queue])

    def drain(self) -> list[ClaimedJob]:
        """Take all."""
        jobs = [job for queue in self._jobs.values() for job in queue]
        for queue in self._jobs.values():
            queue.clear()
        self.size = 0
        return jobs

    def _turn(self) -> str:
        waiting = [queue for queue, jobs in self._jobs.items() if jobs]
        for queue in waiting:
            self._credit[queue] += self._weights[queue]
        chosen = max(waiting, key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._weights[queue] for queue in waiting)
        return chosen
