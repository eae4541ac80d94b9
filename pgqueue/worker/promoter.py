"""The promoter moves due jobs to ready. Any worker does it; it sleeps until exactly the next due instant."""

from __future__ import annotations

import random
from collections.abc import Callable

from pgqueue.backend import WorkerBackend
from pgqueue.telemetry.events import Events
from pgqueue.worker.inquiry import Inquiry
from pgqueue.worker.service import Service
from pgqueue.worker.state import WorkerState

BATCH = 500
LOCKED_PAUSE = 0.05  # what is due is locked, by a cancel in an open transaction for example


class Promoter(Service):
    """Moves due jobs to ready and says in which queue there is work.

    Args:
        found: Called with each queue that got jobs.

    Attributes:
        none_due: Asked by whoever wants to know that no job is due.
    """

    name = "promoter"

    def __init__(
        self, state: WorkerState, backend: WorkerBackend, found: Callable[[str], None], events: Events
    ) -> None:
        super().__init__(events)
        self._state = state
        self._backend = backend
        self._found = found
        self._queues = tuple(state.weights)
        self.none_due = Inquiry()

    async def run_once(self) -> float | None:
        """Promote what is due; return the seconds until more is, or until the next poll."""
        asked = self.none_due.asked
        agenda = await self._backend.agenda(self._queues)
        progress = False
        for queue in sorted(agenda.due):
            promotion = await self._backend.promote(queue, BATCH)
            if promotion.moved:
                self._found(queue)
            progress = progress or promotion.more or promotion.moved > 0
        if agenda.due:
            return 0 if progress else LOCKED_PAUSE
        self.none_due.answer(asked)
        poll = self._state.poll() * random.uniform(0.75, 1.0)
        return poll if agenda.next_in is None else min(poll, max(0.0, agenda.next_in))
