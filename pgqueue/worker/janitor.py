"""The janitors: one vacuums the lanes, one keeps the partitions of history. Both in every worker; the database decides
who does it when."""

from __future__ import annotations

import random

from pgqueue.backend import WorkerBackend
from pgqueue.telemetry.events import Events
from pgqueue.worker.service import Service
from pgqueue.worker.state import WorkerState

IDLE_TIMES = 6  # while no jobs come, nothing makes dead rows


class Sweeper(Service):
    """Vacuums the lanes: autovacuum's minute is long here."""

    name = "sweeper"

    def __init__(self, state: WorkerState, backend: WorkerBackend, events: Events) -> None:
        super().__init__(events)
        self._state = state
        self._backend = backend

    async def run_once(self) -> float | None:
        """Vacuum once; return the seconds until the next."""
        await self._backend.tidy()
        idle = self._state.clock() - self._state.woke > self._state.timing.tidy
        return self._state.timing.tidy * (IDLE_TIMES if idle else 1) * random.uniform(0.8, 1.2)


class Archivist(Service):
    """Creates partitions of history ahead and retires old ones."""

    name = "archivist"

    def __init__(self, state: WorkerState, backend: WorkerBackend, events: Events) -> None:
        super().__init__(events)
        self._state = state
        self._backend = backend

    async def run_once(self) -> float | None:
        """Do the partitions once; return the seconds until the next round."""
        await self._backend.keep_history(self._state.timing.history_days)
        return self._state.timing.upkeep * random.uniform(0.9, 1.1)
