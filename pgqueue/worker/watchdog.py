"""The watchdog cancels slots whose job is over its timeout: one scan over all deadlines instead of a timer per job."""

from __future__ import annotations

from pgqueue.telemetry.events import Events
from pgqueue.worker.service import Service
from pgqueue.worker.slots import Slots
from pgqueue.worker.state import WorkerState

EVERY = 0.1


class Watchdog(Service):
    """Enforces timeouts; a handler that does not listen is told again in each round."""

    name = "watchdog"

    def __init__(self, state: WorkerState, slots: Slots, events: Events) -> None:
        super().__init__(events)
        self._state = state
        self._slots = slots

    async def run_once(self) -> float | None:
        """Cancel what is over its time; return the seconds until the next round."""
        now = self._state.clock()
        for slot in self._slots.running:
            if slot.deadline <= now:
                slot.cancel("timeout")
        return EVERY
