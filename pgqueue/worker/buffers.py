"""Claimed jobs that wait for a slot: one line per queue, served by smooth weighted round-robin.

Source of the rule: nginx's smooth weighted balancing. Each turn every waiting queue gains its weight, the highest is
served and pays the sum.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence

from pgqueue.model.job import ClaimedJob


class Buffers:
    """Lines of claimed jobs.

    Args:
        weights: Queues and their weights.
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = weights
        self._credit = dict.fromkeys(weights, 0)
        self._lines: dict[str, deque[ClaimedJob]] = {queue: deque() for queue in weights}
        self._only = next(iter(self._lines.values())) if len(weights) == 1 else None
        self.size = 0
        self.taken = 0

    def add(self, queue: str, jobs: Sequence[ClaimedJob]) -> None:
        """Put claimed jobs behind the others of their queue."""
        self._lines[queue].extend(jobs)
        self.size += len(jobs)

    def take(self) -> ClaimedJob | None:
        """Return the next job to run, or None."""
        if not self.size:
            return None
        self.size -= 1
        self.taken += 1
        return self._only.popleft() if self._only is not None else self._lines[self._turn()].popleft()

    def waiting(self, queue: str) -> int:
        """Return how many jobs of a queue wait."""
        return len(self._lines[queue])

    def take_out(self, keys: Collection[tuple[int, int]]) -> list[ClaimedJob]:
        """Take the jobs of these (id, run) out of their lines."""
        out = [job for line in self._lines.values() for job in line if (job.id, job.run) in keys]
        for job in out:
            self._lines[job.queue].remove(job)
        self.size -= len(out)
        return out

    def drain(self) -> list[ClaimedJob]:
        """Take all."""
        jobs = [job for line in self._lines.values() for job in line]
        for line in self._lines.values():
            line.clear()
        self.size = 0
        return jobs

    def _turn(self) -> str:
        waiting = [queue for queue, line in self._lines.items() if line]
        for queue in waiting:
            self._credit[queue] += self._weights[queue]
        chosen = max(waiting, key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._weights[queue] for queue in waiting)
        return chosen
