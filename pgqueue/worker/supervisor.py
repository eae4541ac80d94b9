"""The worker as a whole: wires its services, and stops them in stated phases.

Stop: no more claims, and what no slot has taken goes back -> running jobs may end until the soft deadline -> the others are
cancelled and go back, at no cost to their attempts -> outcomes are written -> the worker signs off.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from pgqueue.backend import Completer, WorkerBackend
from pgqueue.model.clock import Clock, monotonic
from pgqueue.model.errors import ConfigurationError
from pgqueue.model.payloads import Payloads
from pgqueue.tasks import Registry
from pgqueue.telemetry.events import Events
from pgqueue.worker.assembly import Assembly, Plan
from pgqueue.worker.heartbeat import Heartbeat
from pgqueue.worker.service import Service

EXIT_CLEAN = 0
EXIT_FORCED = 3
UNWIND_SECONDS = 2.0


class Worker:
    """Runs jobs. ``async with pgq.worker(): ...`` inside an application, ``await worker.run()`` as a program.

    Args:
        plan: What it is to do.
        completer: Ends jobs in their handlers' own transactions.
        payloads: How arguments are read and results stored.
        deps: Handed to handlers as ``ctx.deps``.
    """

    def __init__(
        self,
        backend: WorkerBackend,
        registry: Registry,
        plan: Plan,
        *,
        version: str,
        completer: Completer,
        events: Events | None = None,
        payloads: Payloads | None = None,
        deps: Any = None,
        clock: Clock = monotonic,
    ) -> None:
        self.events = events or Events()
        self._backend = backend
        self._registry = registry
        self._parts = parts = Assembly(
            backend,
            registry,
            plan,
            version=version,
            events=self.events,
            payloads=payloads or Payloads(None, ()),
            completer=completer,
            deps=deps,
            clock=clock,
            exhausted=self._exhausted,
        )
        self.state, self.slots = parts.state, parts.slots
        self._finisher, self._claimer, self._identity = parts.finisher, parts.claimer, parts.identity
        self._heartbeat: Heartbeat | None = None
        self._services: list[Service] = []
        self._hurry = asyncio.Event()

    async def start(self) -> None:
        """Register, then take jobs.

        Raises:
            BackendUnavailable: The database cannot be reached.
            SchemaError: It is not migrated.
            ConfigurationError: It is a copy that nobody adopted, or this worker was started before.
        """
        if self._heartbeat is not None:
            raise ConfigurationError("This worker was started before.", "Make another with pgq.worker().")
        try:
            await self._identity.register(self.state.info)
        except BaseException:
            await self._backend.close()
            raise
        self._heartbeat = self._parts.heartbeat()
        self._heartbeat.start()
        await self._parts.children.start(self._registry)
        self.slots.start()
        self._services = self._parts.services(self._heartbeat)
        for service in (self._finisher, self._claimer, *self._services):
            service.start()
        info = self.state.info
        self.events.emit(
            "worker.started", worker=info.name, id=info.id, queues=",".join(info.queues), concurrency=info.concurrency
        )
        for queue in info.queues:
            if queue not in self._registry.queues():
                self.events.emit("queue.no_task", queue=queue, hint="no task names this queue; is it spelled right?")

    async def stop(self) -> int:
        """Stop in phases; return 0 when every job ended by itself, 3 when some had to be cancelled."""
        self.events.emit("worker.stopping", worker=self.state.info.name, running=len(self.slots.running))
        self.state.claiming = False
        self._claimer.hand_back()
        await self._within(self.state.timing.hard_stop, self._claimer.stop())
        self._claimer.hand_back()  # what a claim under way has brought since
        forced = await self._end_jobs()
        self._claimer.hand_back()  # what one brought that did not answer in time
        await self._within(self.state.timing.hard_stop, self._sign_off())
        self.events.emit("worker.stopped", worker=self.state.info.name, released=forced)
        return EXIT_FORCED if forced else EXIT_CLEAN

    def _exhausted(self) -> None:
        """Too many threads are left behind: make room for a fresh process."""

    def hurry(self) -> None:
        """End the soft phase of a stop now."""
        self._hurry.set()

    async def run(self) -> int:
        """Run until TERM or INT, stop in phases (a second signal cancels at once); return the exit code."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            if told.is_set():
                self.hurry()
            told.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, tell)
        try:
            await self.start()
            await told.wait()
            return await self.stop()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def __aenter__(self) -> Worker:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _end_jobs(self) -> int:
        """Let running jobs end until the soft deadline, then cancel; return how many were cancelled."""
        ended = asyncio.create_task(self.slots.stop())
        hurried = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=self.state.timing.soft_stop, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        forced = self.slots.running
        for slot in forced:
            slot.cancel("stop")
        await asyncio.wait({ended}, timeout=UNWIND_SECONDS)
        ended.cancel()
        return len(forced)

    async def _sign_off(self) -> None:
        """Write the last outcomes, end the services, leave. What cannot be written is rescued by whoever sweeps."""
        await self._finisher.drain(self.state.timing.hard_stop)
        self._identity.stop()
        await self._parts.children.stop()
        for service in self._services:
            await service.cancel()
        assert self._heartbeat is not None
        await self._heartbeat.stop()
        try:
            await self._backend.leave()
        except Exception as error:  # noqa: BLE001 - told; whoever sweeps does it for us
            self.events.tell_failure("leave", error)
        finally:
            await self._backend.close()

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None]) -> None:
        """Wait for work with the database; if it does not answer in time, cut the connections, which ends the work."""
        task = asyncio.create_task(work)
        await asyncio.wait({task}, timeout=seconds + UNWIND_SECONDS)
        if not task.done():
            self._backend.sever()
            await asyncio.wait({task}, timeout=UNWIND_SECONDS)
