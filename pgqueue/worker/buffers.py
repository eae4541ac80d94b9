"""Claimed jobs that wait for a slot: one line per queue, served by smooth weighted round-robin, or strictly in order.

Source of the rule: nginx's smooth weighted balancing. Each turn every waiting queue gains its weight, the highest is
served and pays the sum. Strict: the first queue that has a job.

The slots take on the event loop; the heartbeat's thread empties the lines when a handler holds the loop up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from pgqueue.model.clock import Clock, monotonic
from pgqueue.model.job import ClaimedJob
from pgqueue.worker.limits import Limits


class Buffers:
    """Lines of claimed jobs.

    Args:
        weights: Queues and their weights; strict: in order of their rank.
        strict: Whether the first queue that has a job is served.
        limits: Who may run now; None: everybody.

    Attributes:
        size: How many jobs stand in the lines.
        taken: How many were taken so far.
        urgent: Jobs that run before all others, also while it is closed.
        closed: Whether the lines are not served, because a job has to be alone.
        marks: How many jobs are left in a line when ``hungry`` is called, by queue.
        hungry: Called when more jobs of a queue are wanted; set by whoever provides them.
        rouse: Called when slots that sleep may take so many jobs; set by whoever knows the slots.
    """

    def __init__(
        self,
        weights: Mapping[str, int],
        clock: Clock = monotonic,
        *,
        strict: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._weights = weights
        self._clock = clock
        self._credit = dict.fromkeys(weights, 0)
        self._lines: dict[str, deque[ClaimedJob]] = {queue: deque() for queue in weights}
        self._limits = limits if limits is not None and limits.is_needed else None
        self._only = next(iter(self._lines.values())) if len(weights) == 1 and self._limits is None else None
        self._choose = self._first if strict else self._turn
        self._lock = threading.Lock()
        self.size = 0
        self.taken = 0
        self.urgent: deque[ClaimedJob] = deque()
        self.closed = False
        self.marks: dict[str, int] = {}
        self.hungry: Callable[[], None] = lambda: None
        self.rouse: Callable[[int], None] = lambda jobs: None

    def add(self, queue: str, jobs: Sequence[ClaimedJob]) -> None:
        """Put claimed jobs behind the others of their queue."""
        with self._lock:
            self._lines[queue].extend(jobs)
            self.size += len(jobs)

    def take(self) -> ClaimedJob | None:
        """Return the next job to run, or None."""
        with self._lock:
            if self.urgent and (job := self._take_urgent()) is not None:
                return job
            if not self.size or self.closed:
                return None
            if self._only is None:
                return self._take_by_turn()
            self.size -= 1
            self.taken += 1
            return self._only.popleft()

    @property
    def is_limited(self) -> bool:
        """Whether it has to be told of every job that runs no more."""
        return self._limits is not None

    @property
    def promised(self) -> int:
        """How many jobs are held and not taken, wherever they wait."""
        if self._limits is None:
            return self.size + len(self.urgent)
        with self._lock:
            return self.size + len(self.urgent) + self._limits.parked()

    def is_open_for(self, job: ClaimedJob) -> bool:
        """Whether no limit would hold a job up now."""
        return self._limits is None or self._limits.is_open_for(job)

    def ended(self, job: ClaimedJob) -> None:
        """A job that was taken runs no more. Its slot takes the next one, others are woken."""
        if self._limits is not None:
            with self._lock:
                self.urgent.extend(self._limits.ended(job, self._clock()))
            self.rouse(len(self.urgent) - 1)

    def waiting(self, queue: str) -> int:
        """Return how many jobs of a queue wait."""
        if self._limits is None:
            return len(self._lines[queue])
        with self._lock:  # who asks how the worker is does so in another thread
            return len(self._lines[queue]) + self._limits.parked(queue)

    def room(self, queue: str, wanted: int) -> int:
        """Return how many jobs of a queue are worth a claim, of those wanted beside what waits."""
        if self._limits is None:
            return wanted
        return self._limits.room(queue, wanted, self.waiting(queue), self._clock())

    def is_held_up(self, queue: str) -> bool:
        """Whether jobs of a queue wait for a limit."""
        if self._limits is None:
            return False
        with self._lock:
            return not self._limits.is_open(queue) or self._limits.parked(queue) > 0

    def overdue(self) -> list[ClaimedJob]:
        """Take out what a limit holds up for too long."""
        if self._limits is None:
            return []
        with self._lock:
            now = self._clock()
            out = self._limits.overdue(now)
            for queue, line in self._lines.items():
                late = [line.pop() for _ in range(self._limits.excess(queue, len(line), now))]
                self.size -= len(late)
                out += late
            return out

    def take_out(self, keys: Collection[tuple[int, int]]) -> list[ClaimedJob]:
        """Take the jobs of these (id, run) out of their lines."""
        with self._lock:
            out = [job for line in self._lines.values() for job in line if (job.id, job.run) in keys]
            for job in out:
                self._lines[job.queue].remove(job)
            self.size -= len(out)
            return out + ([] if self._limits is None else self._limits.take_out(lambda job: (job.id, job.run) in keys))

    def drain(self, queue: str | None = None) -> list[ClaimedJob]:
        """Take all that no slot was promised, or all of one queue."""
        with self._lock:
            lines = list(self._lines.values()) if queue is None else [self._lines[queue]]
            jobs = [job for line in lines for job in line]
            for line in lines:
                line.clear()
            self.size -= len(jobs)
            return (
                jobs if self._limits is None else jobs + self._limits.take_out(lambda job: queue in (None, job.queue))
            )

    def _take_urgent(self) -> ClaimedJob | None:
        for job in self.urgent:
            if self._limits is None or self._limits.may_run(job, self._clock()):
                self.urgent.remove(job)
                self.taken += 1
                return job
        return None

    def _take_by_turn(self) -> ClaimedJob | None:
        while (queue := self._choose()) is not None:
            line = self._lines[queue]
            job = line.popleft()
            self.size -= 1
            if len(line) == self.marks.get(queue):
                self.hungry()
            if self._limits is None or self._limits.admit(job, self._clock()):
                self.taken += 1
                return job
        return None

    def _open(self) -> list[str]:
        limits = self._limits
        return [queue for queue, line in self._lines.items() if line and (limits is None or limits.is_open(queue))]

    def _first(self) -> str | None:
        return next(iter(self._open()), None)

    def _turn(self) -> str | None:
        waiting = self._open()
        if not waiting:
            return None
        for queue in waiting:
            self._credit[queue] += self._weights[queue]
        chosen = max(waiting, key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._weights[queue] for queue in waiting)
        return chosen
