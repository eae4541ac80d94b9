"""Who the worker is, and what the answers to its heartbeats say of that.

A worker's id is used once. When somebody took it for dead, its jobs are others' by now: it drops all that it holds and goes
on under a new id. Leases that the database has and this worker does not know are of claims whose answer was lost: their
jobs go back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from pgqueue.backend import Pulse, WorkerBackend, WorkerInfo
from pgqueue.telemetry.events import Events
from pgqueue.worker.claimer import Claimer
from pgqueue.worker.finisher import Finisher
from pgqueue.worker.slots import Slots
from pgqueue.worker.state import WorkerState, random_id


class Identity:
    """Registers the worker, and acts on the answers to its heartbeats."""

    def __init__(
        self,
        state: WorkerState,
        backend: WorkerBackend,
        slots: Slots,
        claimer: Claimer,
        finisher: Finisher,
        events: Events,
    ) -> None:
        self._state = state
        self._backend = backend
        self._slots = slots
        self._claimer = claimer
        self._finisher = finisher
        self._events = events
        self._errands: dict[str, asyncio.Task[None]] = {}

    async def register(self, info: WorkerInfo) -> None:
        """Become this worker."""
        sent = self._state.clock()
        await self._backend.register(info)
        self._state.listens = self._backend.listens
        self._state.info = info
        self._state.lease_until = sent + self._state.timing.lease

    def felt(self, worker: int, pulse: Pulse) -> None:
        """Act on the answer to a heartbeat of this worker id."""
        if worker != self._state.info.id:
            return
        if not pulse.alive:
            self._start_errand("rebirth", self._be_reborn)
            return
        if pulse.cancelled:
            self._cancel(pulse.cancelled)
        unknown = self._state.holdings.unknown(pulse.leases)
        if unknown:
            self._start_errand("release", lambda: self._release(unknown))
        self._claimer.renewed()

    def stop(self) -> None:
        """End what is still being done."""
        for errand in self._errands.values():
            errand.cancel()

    def _cancel(self, cancelled: frozenset[tuple[int, int]]) -> None:
        for slot in self._slots.running:
            if slot.job is not None and (slot.job.id, slot.job.run) in cancelled:
                slot.cancel("cancelled")
        self._claimer.give_up(cancelled)

    async def _release(self, leases: list[int]) -> None:
        """Hand back the jobs of claims whose answer never came."""
        jobs = await self._backend.release(leases)
        if jobs:
            self._events.emit("worker.released", leases=len(leases), jobs=jobs)
            self._claimer.notify()

    async def _be_reborn(self) -> None:
        """Go on under a new id."""
        self._state.lease_until = 0.0
        name, old = self._state.info.name, self._state.info.id
        self._events.emit("worker.lost", worker=name, id=old, running=len(self._slots.running))
        for slot in self._slots.running:
            slot.cancel("lost")
        await self.register(replace(self._state.info, id=random_id()))
        self._state.holdings.forget()  # all that came under the old id, also by a claim that was under way
        self._finisher.forget()
        self._claimer.start_over()

    def _start_errand(self, name: str, errand: Callable[[], Awaitable[None]]) -> None:
        """Do it, unless it is being done; if it fails, the next heartbeat asks again."""

        async def run() -> None:
            try:
                await errand()
            except Exception as error:  # noqa: BLE001 - told
                self._events.tell_failure(name, error, self._state.timing.beat)

        if name not in self._errands or self._errands[name].done():
            self._errands[name] = asyncio.create_task(run(), name=f"pgqueue {name}")
