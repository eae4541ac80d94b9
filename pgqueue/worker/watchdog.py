"""The watchdog cancels slots whose job is over its timeout: one scan over all deadlines instead of a timer per job.

It also shows that the event loop turns, and counts the threads that outlive their jobs: a thread cannot be stopped, and
too many of them are a reason for the worker to make room for another one.
"""

from __future__ import annotations

from collections.abc import Callable

from pgqueue.telemetry.events import Events
from pgqueue.worker.service import Service
from pgqueue.worker.slots import Slots
from pgqueue.worker.state import WorkerState

EVERY = 0.1
LEAST_ZOMBIES = 10


class Watchdog(Service):
    """Enforces timeouts; a handler that does not listen is told again in each round.

    Args:
        exhausted: Called once when as many threads are left behind as the worker has slots, and at least ten.
    """

    name = "watchdog"

    def __init__(self, state: WorkerState, slots: Slots, exhausted: Callable[[], None], events: Events) -> None:
        super().__init__(events)
        self._state = state
        self._slots = slots
        self._exhausted = exhausted
        self._zombies = 0

    async def run_once(self) -> float | None:
        """Cancel what is over its time; return the seconds until the next round."""
        now = self._state.turned = self._state.clock()
        for slot in self._slots.running:
            if slot.deadline <= now:
                slot.cancel("timeout")
        zombies = self._slots.threads.zombies
        if zombies != self._zombies:
            self._note(zombies)
        return EVERY

    def _note(self, zombies: int) -> None:
        most = max(LEAST_ZOMBIES, self._state.info.concurrency)
        if zombies > self._zombies:
            self.events.emit("threads.left_behind", count=zombies, most=most)
        if self._zombies < most <= zombies:
            self.events.emit("worker.draining", reason="threads that outlive their jobs", count=zombies)
            self._exhausted()
        self._zombies = zombies
