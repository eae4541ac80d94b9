"""The reporter writes how far jobs are, the last word of each, twice a second at most; and deletes what they kept."""

from __future__ import annotations

from pgqueue.backend import WorkerBackend
from pgqueue.model.clock import Clock
from pgqueue.telemetry.events import Events
from pgqueue.worker.run import Desk
from pgqueue.worker.service import Service

EVERY = 0.5
BATCH = 500


class Reporter(Service):
    """Writes progress."""

    name = "reporter"

    def __init__(self, backend: WorkerBackend, desk: Desk, clock: Clock, events: Events) -> None:
        super().__init__(events)
        self._backend = backend
        self._desk = desk
        self._clock = clock
        self._next = 0.0

    async def run_once(self) -> float | None:
        """Write what was noted; return the seconds until more may be written."""
        noted, now = self._desk.noted, self._clock()
        if not noted and not self._desk.over:
            return None
        if now < self._next:
            return self._next - now
        self._next = now + EVERY
        await self._write()
        await self._forget()
        return EVERY

    async def _write(self) -> None:
        noted = self._desk.noted
        jobs = tuple(noted)  # a copy first: threads add to it
        batch = [noted.pop(job) for job in sorted(jobs)[:BATCH]]
        try:
            if batch:
                await self._backend.note(batch)
        except Exception:
            for progress in batch:
                noted.setdefault(progress.job, progress)
            raise

    async def _forget(self) -> None:
        jobs = self._desk.over[:BATCH]
        if jobs:
            await self._backend.forget_kept(jobs)
            del self._desk.over[: len(jobs)]
