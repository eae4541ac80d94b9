"""What the services of one worker share: who it is, whether it still holds its lease, and which leases it has open."""

from __future__ import annotations

import os
import secrets
import socket
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from pgqueue.backend import Outcome, WorkerInfo
from pgqueue.model.clock import Clock

_LEASE_OF = attrgetter("lease")


@dataclass(frozen=True, slots=True)
class Timing:
    """How often a worker does what; seconds.

    Attributes:
        beat: Between heartbeats.
        lease: How long a worker counts as alive after a heartbeat.
        sweep: Between looks for silent workers. A dead worker's jobs are back after at most beat + lease + sweep.
        poll: Longest time without a look for jobs while they come, behind the notifications.
        idle_poll: The same while none have come for ten times as long.
        tidy: Between vacuums of the lanes.
        upkeep: Between rounds of partition upkeep.
        history_days: How long history is kept.
        soft_stop: How long running jobs may go on after the first signal to stop.
        hard_stop: How long outcomes may take to be written after that.
    """

    beat: float = 5.0
    lease: float = 20.0
    sweep: float = 4.0
    poll: float = 1.0
    idle_poll: float = 3.0
    tidy: float = 15.0
    upkeep: float = 3600.0
    history_days: int = 90
    soft_stop: float = 30.0
    hard_stop: float = 10.0


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

    def answered(self, outcomes: Iterable[Outcome]) -> None:
        """Jobs were answered done or lost."""
        for lease, jobs in Counter(map(_LEASE_OF, outcomes)).items():
            left = self.open.get(lease, 0) - jobs
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
    """Shared by all services of one worker.

    Attributes:
        weights: Queues and their weights.
        lease_until: Monotonic second until which the last acknowledged heartbeat covers this worker.
        claiming: Whether jobs are taken; False from the first signal to stop.
        strict: Whether a queue is served only while those before it are empty.
        most_jobs: After so many jobs no more are taken; None: never.
        draining: Whether it ends when nothing is left to do.
        woke: Monotonic second at which jobs were claimed last.
        turned: Monotonic second at which the event loop turned last.
        listens: Whether notifications arrive; behind a pooler they do not.
    """

    info: WorkerInfo
    clock: Clock
    timing: Timing
    weights: Mapping[str, int]
    holdings: Holdings = field(default_factory=Holdings)
    lease_until: float = 0.0
    claiming: bool = True
    strict: bool = False
    most_jobs: int | None = None
    draining: bool = False
    woke: float = 0.0
    turned: float = 0.0
    listens: bool = True

    def poll(self) -> float:
        """Return how long the worker may go without a look: a second under load, longer when long nothing has come."""
        timing = self.timing
        idle = self.listens and self.clock() - self.woke > 10 * timing.idle_poll
        return timing.idle_poll if idle else timing.poll

    def nap(self) -> float:
        """Return the longest time that the worker will go without a look, for those who decide whether to notify it."""
        return max(self.timing.poll, self.timing.idle_poll)

    def holds_lease(self, now: float) -> bool:
        """Whether the last acknowledged heartbeat still covers this moment."""
        return now < self.lease_until


def random_id() -> int:
    """Return a positive random bigint; leases and workers have such ids, because those from a sequence can come back."""
    return secrets.randbits(62) + 1


def describe_worker(weights: Mapping[str, int], concurrency: int, version: str) -> WorkerInfo:
    """Return who a worker of this process is, under a new id."""
    host, pid = socket.gethostname(), os.getpid()
    return WorkerInfo(random_id(), f"{host}:{pid}", host, pid, version, tuple(weights), concurrency)
