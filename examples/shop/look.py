"""What the screen shows, read from the public views while the shop is open."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg

from examples.shop.crew import WorkerProcess

LIVE = ("scheduled", "ready", "running")

JOBS = "select queue, state, count(*) from pgqueue.all_jobs group by queue, state"
HANDS = """
select worker_id, count(*) filter (where state = 'running'), count(*) filter (where state <> 'running')
from pgqueue.all_jobs where worker_id is not null group by worker_id
"""
WORKERS = "select pid, id from pgqueue.worker"
RUNS = "select outcome, count(*) from pgqueue.all_attempts group by outcome"
HELD = "select id from pgqueue.all_jobs where state = 'running' and worker_id = any(%s) order by id"


@dataclass(frozen=True, slots=True)
class View:
    """One moment.

    Attributes:
        jobs: How many, by queue and state.
        hands: Jobs that a process runs and has ended, by its process id.
        runs: How many runs ended in which way.
    """

    jobs: Counter[tuple[str, str]] = field(default_factory=Counter)
    hands: dict[int, tuple[int, int]] = field(default_factory=dict)
    runs: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return self.jobs.total()

    @property
    def live(self) -> int:
        """How many jobs have not ended."""
        return sum(count for (_, state), count in self.jobs.items() if state in LIVE)


class Observer:
    """Asks the database; remembers which worker ids belong to which process, also after the worker is gone."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._ids: dict[int, set[int]] = {}

    def look(self) -> View:
        """Read one moment."""
        for pid, worker in self._connection.execute(WORKERS):
            self._ids.setdefault(pid, set()).add(worker)
        jobs = Counter({(queue, state): count for queue, state, count in self._connection.execute(JOBS)})
        by_id = {worker: (running, ended) for worker, running, ended in self._connection.execute(HANDS)}
        hands = {pid: _sum(by_id.get(worker, (0, 0)) for worker in ids) for pid, ids in self._ids.items()}
        return View(jobs, hands, Counter(dict(self._connection.execute(RUNS).fetchall())))

    def ids_of(self, worker: WorkerProcess) -> list[int]:
        """Return the ids under which a process registered."""
        return sorted(self._ids.get(worker.pid, ()))

    def held_by(self, worker: WorkerProcess) -> tuple[str, ...]:
        """Return the jobs that a process holds now."""
        return tuple(str(job) for (job,) in self._connection.execute(HELD, [self.ids_of(worker)]))


def _sum(pairs: Any) -> tuple[int, int]:
    running = ended = 0
    for more_running, more_ended in pairs:
        running, ended = running + more_running, ended + more_ended
    return running, ended
