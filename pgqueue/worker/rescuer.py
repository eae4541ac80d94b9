"""The rescuer hands back the jobs of workers that died. Every worker does it for all others.

A worker is judged by its beat counter and by our own monotonic clock: the server's clock may step without anybody being
taken for dead. Who was silent for the length of a lease is deleted; its leases, and all that have no worker, are taken.
What was seen before a gap in our own sight (database away, this process stopped) does not count.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from pgqueue.backend import WorkerBackend
from pgqueue.telemetry.events import Events
from pgqueue.worker.service import Service
from pgqueue.worker.state import WorkerState

BLIND_SWEEPS = 2.5


class Rescuer(Service):
    """Looks for silent workers.

    Args:
        found: Called when jobs came back.
    """

    name = "rescuer"

    def __init__(self, state: WorkerState, backend: WorkerBackend, found: Callable[[], None], events: Events) -> None:
        super().__init__(events)
        self._state = state
        self._backend = backend
        self._found = found
        self._seen: dict[int, tuple[int, float]] = {}
        self._last_sweep = state.clock()

    async def run_once(self) -> float | None:
        """Sweep once; return the seconds until the next sweep."""
        beats = await self._backend.beats()
        now = self._state.clock()
        if now - self._last_sweep > BLIND_SWEEPS * self._state.timing.sweep:
            self._seen.clear()
        self._last_sweep = now
        silent = self._judge(beats.counters, now)
        if silent or beats.orphans:
            rescue = await self._backend.rescue(silent)
            if rescue.workers or rescue.jobs:
                self.events.emit("worker.rescued", workers=rescue.workers, leases=rescue.leases, jobs=rescue.jobs)
            for ended in rescue.ended:
                self.events.emit("job.poison", **ended)
            if rescue.jobs:
                self._found()
                return 0
        sweep = self._state.timing.sweep * random.uniform(0.9, 1.1)
        verdict = min((since for _, since in self._seen.values()), default=now) + self._state.timing.lease - now
        return min(sweep, verdict) if verdict > 0 else sweep

    def _judge(self, counters: Mapping[int, int], now: float) -> dict[int, int]:
        """Note who beats; return those silent for the length of a lease, with their last beat."""
        self._seen = {
            worker: known if (known := self._seen.get(worker)) and known[0] == beat else (beat, now)
            for worker, beat in counters.items()
            if worker != self._state.info.id
        }
        lease = self._state.timing.lease
        return {worker: beat for worker, (beat, since) in self._seen.items() if now - since >= lease}
