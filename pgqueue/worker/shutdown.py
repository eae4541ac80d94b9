"""The phases of a stop, one method each. None of them takes longer than it says, whatever handlers or the database do."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from pgqueue.backend import WorkerBackend
from pgqueue.telemetry.events import Events
from pgqueue.worker.assembly import Assembly
from pgqueue.worker.heartbeat import Heartbeat
from pgqueue.worker.service import Service
from pgqueue.worker.state import Timing

UNWIND_SECONDS = 2.0


class Shutdown:
    """Ends what a worker does.

    Attributes:
        unwritten: How many outcomes could not be written in the end.
    """

    def __init__(self, parts: Assembly, backend: WorkerBackend, events: Events) -> None:
        self._parts = parts
        self._state, self._slots, self._claimer = parts.state, parts.slots, parts.claimer
        self._backend = backend
        self._events = events
        self._hurry = asyncio.Event()
        self.unwritten = 0

    def hurry(self) -> None:
        """End the soft phase now."""
        self._hurry.set()

    def take_no_more(self) -> None:
        """Claim no more, and hand back what no slot has taken."""
        self._state.claiming = False
        self._claimer.hand_back()

    async def end_claims(self) -> None:
        """Wait for a claim and a start of a suspect that are under way, and hand back what they brought."""
        await self._within(self._state.timing.hard_stop, self._end_takers())
        self._claimer.hand_back()

    async def _end_takers(self) -> None:
        await self._claimer.stop()
        await self._parts.suspects.stop()  # a start that is recorded and then cut off would count against the job

    async def end_jobs(self) -> int:
        """Let running jobs end until the soft deadline, then cancel; return how many were cancelled."""
        ended = asyncio.create_task(self._slots.stop())
        hurried = asyncio.create_task(self._hurry.wait())
        soft = self._state.timing.soft_stop
        await asyncio.wait({ended, hurried}, timeout=soft, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        forced = self._slots.running
        for slot in forced:
            slot.cancel("stop")
        await asyncio.wait({ended}, timeout=UNWIND_SECONDS)
        ended.cancel()
        self._claimer.hand_back(promised=True)  # and what a claim brought that did not answer in time
        return len(forced)

    async def sign_off(self, services: Sequence[Service], heartbeat: Heartbeat | None) -> None:
        """Write the last outcomes, end the services, leave. What cannot be written is rescued by whoever sweeps."""
        await self._within(self._state.timing.hard_stop, self._leave(services, heartbeat))

    async def _leave(self, services: Sequence[Service], heartbeat: Heartbeat | None) -> None:
        await self._parts.finisher.drain(self._state.timing.hard_stop)
        self.unwritten = self._parts.finisher.tell_unwritten()
        self._parts.identity.stop()
        await self._parts.children.stop()
        for service in services:
            await service.cancel()
        if heartbeat is not None:
            await heartbeat.stop()
        try:
            await self._backend.leave()
        except Exception as error:  # noqa: BLE001 - told; whoever sweeps does it for us
            self._events.tell_failure("leave", error)
        finally:
            await self._backend.close()

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None]) -> None:
        """Wait for work with the database; if it does not answer in time, cut the connections, which ends the work."""
        task = asyncio.create_task(work)
        await asyncio.wait({task}, timeout=seconds + UNWIND_SECONDS)
        if not task.done():
            self._backend.sever()
            await asyncio.wait({task}, timeout=UNWIND_SECONDS)


def longest_stop(timing: Timing, *, hurried: bool = False) -> float:
    """Return the seconds that a stop takes at most: a last claim, the jobs, the sign-off, each with what it may overrun.

    Args:
        hurried: Whether the soft phase is over.
    """
    return 2 * timing.hard_stop + 5 * UNWIND_SECONDS + (0.0 if hurried else timing.soft_stop)
