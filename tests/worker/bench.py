"""A claimer with nothing real around it: what it asks is noted, what it is answered the test decides."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from pgqueue.backend import Claim, Outcome, View, WorkerBackend
from pgqueue.model.errors import BackendUnavailable
from pgqueue.model.job import ClaimedJob
from pgqueue.telemetry.events import Events
from pgqueue.worker.buffers import Buffers
from pgqueue.worker.claimer import Claimer
from pgqueue.worker.finisher import Finisher
from pgqueue.worker.slots import Slots
from pgqueue.worker.suspects import Suspects
from tests.worker.fakes import Hands, job_of, state_of


class Places:
    """Slots of which the test says how many are free."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.low_water = 0

    def rouse(self, jobs: int) -> None:
        pass


class Outbox:
    """What would be written."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.is_behind = False

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Line:
    """Suspects that wait."""

    def set_aside(self, jobs: list[ClaimedJob]) -> list[ClaimedJob]:
        return jobs

    size = 0

    def drain(self, queue: str | None = None) -> list[ClaimedJob]:
        return []

    def take_out(self, keys: Collection[tuple[int, int]]) -> list[ClaimedJob]:
        return []


class Store:
    """Queues with so many jobs; notes what it is asked."""

    def __init__(self, ready: dict[str, int]) -> None:
        self.ready = ready
        self.claims: list[tuple[str, int]] = []
        self.looks: list[list[str]] = []
        self.dozing: set[str] = set()
        self.away = False
        self.settled = True

    async def claim(self, queue: str, lease: int, limit: int) -> Claim:
        self.claims.append((queue, limit))
        if self.away:
            raise BackendUnavailable("away", "wait")
        count = min(limit, self.ready[queue])
        self.ready[queue] -= count
        return Claim([job_of(n, queue, lease=lease) for n in range(count)], more=count == limit)

    async def look(self, queues: Sequence[str]) -> View:
        self.looks.append(list(queues))
        return View(frozenset(queue for queue in queues if self.ready[queue]), settled=self.settled)

    async def doze(self, queues: Sequence[str], nap: float) -> None:
        self.dozing |= set(queues)

    async def awake(self, queues: Sequence[str]) -> None:
        self.dozing -= set(queues)


class Bench:
    """A claimer with nothing real around it."""

    def __init__(
        self, ready: dict[str, int], *, free: int, weights: dict[str, int] | None = None, strict: bool = False
    ) -> None:
        self.clock = Hands()
        self.state = state_of(self.clock, weights or dict.fromkeys(ready, 1))
        self.state.strict = strict
        self.store = Store(ready)
        self.places = Places(free)
        self.outbox = Outbox()
        self.buffers = Buffers(self.state.weights, self.clock, strict=strict)
        self.claimer = Claimer(
            self.state,
            cast("WorkerBackend", self.store),
            self.buffers,
            cast("Slots", self.places),
            cast("Suspects", Line()),
            cast("Finisher", self.outbox),
            Events(),
        )

    def take(self, count: int) -> None:
        """Let the slots take buffered jobs; they are busy with them."""
        assert all(self.buffers.take() for _ in range(count))
        self.places.free = max(0, self.places.free - count)
