"""Decides when a worker that is to end by itself has done so: nothing is left, or it has run its number of jobs.

Nothing is left when, after the last job that ran here was written, no job was due and then none was ready. In this order: a
job that another worker promotes meanwhile is due at the first look or ready at the second. What was put off here, for want
of room, is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pgqueue.telemetry.events import Events
from pgqueue.worker.assembly import Assembly
from pgqueue.worker.inquiry import Inquiry
from pgqueue.worker.service import Service

EVERY = 0.05


class Ending(Service):
    """Looks whether it is time to end.

    Args:
        ended: Called when it is.
    """

    name = "ending"

    def __init__(self, parts: Assembly, ended: Callable[[], None], events: Events) -> None:
        super().__init__(events)
        self._parts = parts
        self._state = parts.state
        self._ended = ended

    @property
    def is_wanted(self) -> bool:
        """Whether the worker is to end by itself."""
        return self._state.draining or self._state.most_jobs is not None

    async def run_once(self) -> float | None:
        """Look once; return the seconds until the next look."""
        if not self._is_busy and (self._is_full or (self._state.draining and await self._finds_nothing())):
            self._ended()
            return None
        return EVERY

    @property
    def _is_busy(self) -> bool:
        """Whether jobs wait, run or are not written yet here, or a claim is under way."""
        holdings = self._state.holdings
        return bool(holdings.open or holdings.claiming or self._parts.slots.running)

    @property
    def _is_full(self) -> bool:
        most = self._state.most_jobs
        return most is not None and self._parts.buffers.taken >= most

    async def _finds_nothing(self) -> bool:
        return (
            self._state.clock() >= self._parts.finisher.back
            and await self._is_answered(self._parts.promoter.none_due, self._parts.promoter.wake)
            and await self._is_answered(self._parts.claimer.none_ready, self._parts.claimer.look_again)
            and not self._is_busy
        )

    async def _is_answered(self, inquiry: Inquiry, wake: Callable[[], None]) -> bool:
        """Ask until nothing was found; False when a job came."""
        inquiry.ask()
        while not (self._is_busy or self.stopping):
            wake()
            await asyncio.sleep(EVERY)
            if inquiry.is_answered:
                return True
        return False
