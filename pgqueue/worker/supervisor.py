"""The worker as a whole: starts its services and stops them in stated phases.

Stop: no more claims, and what no slot has taken goes back -> running jobs may end until the soft deadline -> the others are
cancelled and go back, at no cost to their attempts -> outcomes are written -> the worker signs off.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any

from pgqueue.backend import Completer, WorkerBackend
from pgqueue.model.clock import Clock, monotonic
from pgqueue.model.errors import ConfigurationError
from pgqueue.model.payloads import Payloads
from pgqueue.tasks import Registry
from pgqueue.telemetry.events import Events
from pgqueue.worker.addresses import check_not_importing
from pgqueue.worker.assembly import Assembly, Plan
from pgqueue.worker.beacon import Beacon
from pgqueue.worker.ending import Ending
from pgqueue.worker.observed import Follower
from pgqueue.worker.outlook import Outlook
from pgqueue.worker.shutdown import UNWIND_SECONDS, Shutdown
from pgqueue.worker.signals import Signals

EXIT_CLEAN = 0
EXIT_FORCED = 3
EXIT_EXHAUSTED = 5


class Worker:
    """Runs jobs. ``async with pgq.worker(): ...`` inside an application, ``await worker.run()`` as a program.

    Args:
        plan: What it is to do.
        completer: Ends jobs in their handlers' own transactions.
        payloads: How arguments are read and results stored.
        deps: Handed to handlers as ``ctx.deps``.

    Attributes:
        outlook: How it is, for those who watch it.
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
        self.state, self.slots, self._claimer = parts.state, parts.slots, parts.claimer
        self.outlook = Outlook(parts.state, parts.buffers, parts.slots)
        self._shutdown = Shutdown(parts, backend, self.events)
        self._ending = Ending(parts, self.request_stop, self.events)
        self._beacon = Beacon(self.outlook, self.events)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told, self._stopped = asyncio.Event(), asyncio.Event()
        self._code = EXIT_CLEAN
        self._forced = 0

    async def start(self) -> None:
        """Register, then take jobs.

        Raises:
            BackendUnavailable: The database cannot be reached.
            SchemaError: It is not migrated.
            ConfigurationError: It is a copy that nobody adopted, or this worker was started before.
            TaskError: A child process is importing the application, and started this.
        """
        if self.outlook.heartbeat is not None:
            raise ConfigurationError("This worker was started before.", "Make another with pgq.worker().")
        check_not_importing()
        self._loop, began = asyncio.get_running_loop(), self.state.clock()
        try:
            await self._register()
            heartbeat = self.outlook.heartbeat = self._parts.heartbeat()
            heartbeat.start()
            await self._parts.children.start(self._registry)
        except BaseException:
            await self._undo_start()
            raise
        self.slots.start()
        self.outlook.services = [self._parts.finisher, self._claimer, *self._parts.services(heartbeat)]
        if self._ending.is_wanted:
            self.outlook.services.append(self._ending)
        for service in (*self.outlook.services, self._beacon):
            service.start()
        self.state.turned = self.state.clock()
        self.outlook.stage = "started"
        self._tell_of_the_start(self.state.turned - began)

    async def run(self) -> int:
        """Run until TERM or INT, or until it ends by itself; stop in phases; return the exit code.

        A second signal cancels what runs, a third one ends the process at once. TSTP makes it quiet, CONT ends that. In
        another thread than the main one, signals are left alone.

        Raises:
            BackendUnavailable, SchemaError, ConfigurationError: As for ``start``.
        """
        self._loop = asyncio.get_running_loop()
        with Signals((self.request_stop, self.hurry), self.quiet, self.resume):
            if not await self._starts_unless_told():
                return self._code
            return await self._stop_when_told()

    async def drain(self) -> int:
        """Work until nothing is ready or due in the queues that it serves, then stop; return the exit code.

        Jobs for later do not hold it up, nor do those that other workers run, nor paused queues. Starts it, if need be.

        Raises:
            BackendUnavailable, SchemaError, ConfigurationError: As for ``start``.
        """
        self.state.draining = True
        if self.outlook.heartbeat is None:
            await self.start()
        elif self._ending not in self.outlook.services:
            self.outlook.services.append(self._ending)
            self._ending.start()
        return await self._stop_when_told()

    def request_stop(self, code: int = EXIT_CLEAN) -> None:
        """Take no more jobs, and let ``run`` stop and return this code; from any thread.

        Args:
            code: 0: as the stop goes, 0 or 3.
        """
        if self._loop is None:
            self._note_stop(code)
        else:
            with suppress(RuntimeError):  # the event loop is gone, and the worker with it
                self._loop.call_soon_threadsafe(self._note_stop, code)

    def quiet(self) -> None:
        """Take no more jobs and hand back those that wait; running ones go on. ``resume`` ends it, or a stop."""
        if self.state.claiming:
            self._shutdown.take_no_more()
            self.events.emit("worker.quiet", worker=self.state.info.name, running=len(self.slots.running))
            self._beacon.wake()

    def resume(self) -> None:
        """Take jobs again after ``quiet``."""
        if not (self.state.claiming or self._told.is_set()):
            self.state.claiming = True
            self._claimer.notify()
            self.events.emit("worker.resumed", worker=self.state.info.name)
            self._beacon.wake()

    def hurry(self) -> None:
        """End the soft phase of a stop now."""
        self._shutdown.hurry()

    async def stop(self) -> int:
        """Stop in phases; return 0 when every job ended by itself, 3 when some had to be cancelled.

        A second call waits for the first one.
        """
        self._note_stop(EXIT_CLEAN)
        if self.outlook.stage == "started":
            self.outlook.stage = "stopping"
            try:
                await self._stop()
            finally:
                self.outlook.stage = "stopped"
                self._stopped.set()
        elif self.outlook.stage == "stopping":
            await self._stopped.wait()
        return EXIT_FORCED if self._forced or self._shutdown.unwritten else EXIT_CLEAN

    def follow_with(self, follower: Follower, every: float | None = None) -> None:
        """Tell a follower how this worker is, each second and when something changes.

        Args:
            every: Seconds, where a second is too long.
        """
        self._beacon.add(follower, every)

    def status(self) -> dict[str, Any]:
        """Say all that is known of it, in values that JSON has; from any thread."""
        return self.outlook.status()

    async def __aenter__(self) -> Worker:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _exhausted(self) -> None:
        """Too many threads are left behind: make room for a fresh process."""
        self.request_stop(EXIT_EXHAUSTED)

    def _tell_of_the_start(self, seconds: float) -> None:
        info = self.state.info
        self.events.emit(
            "worker.started", worker=info.name, id=info.id, queues=",".join(info.queues), concurrency=info.concurrency
        )
        for queue in info.queues:
            if queue not in self._registry.queues():
                self.events.emit("queue.no_task", queue=queue, hint="no task names this queue; is it spelled right?")
        self.events.emit("worker.ready", worker=info.name, seconds=round(seconds, 3))

    async def _register(self) -> None:
        """Register. A stop lets what was sent be answered: nobody would take a row off the list that nobody knows of."""
        registering = asyncio.create_task(self._parts.identity.register(self.state.info))
        try:
            await asyncio.shield(registering)
        except asyncio.CancelledError:
            await asyncio.wait({registering}, timeout=UNWIND_SECONDS)
            registering.cancel()
            await asyncio.gather(registering, return_exceptions=True)
            raise

    async def _undo_start(self) -> None:
        """Leave nothing behind of a start that was cut short."""
        if not self.state.lease_until:  # it did not even register
            await self._backend.close()
            return
        self._note_stop(EXIT_CLEAN)
        self.outlook.stage = "stopping"
        try:
            await self._shutdown.sign_off([], self.outlook.heartbeat)
        finally:
            self.outlook.stage = "stopped"
            self._stopped.set()

    async def _starts_unless_told(self) -> bool:
        """Start; False when a stop was asked for before that was done."""
        starting, told = asyncio.create_task(self.start()), asyncio.create_task(self._told.wait())
        try:
            await asyncio.wait({starting, told}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            starting.cancel()  # nothing, if it is done
            await asyncio.wait({starting})
        if starting.cancelled():
            return False
        starting.result()
        return True

    async def _stop_when_told(self) -> int:
        """Wait until a stop is asked for. Who cancels this waits until the worker has stopped: jobs run in it."""
        try:
            await self._told.wait()
        except asyncio.CancelledError:
            await self.stop()
            raise
        code = await self.stop()
        return self._code or code

    def _note_stop(self, code: int) -> None:
        self._code = self._code or code
        self._shutdown.take_no_more()
        self._told.set()

    async def _stop(self) -> None:
        heartbeat = self.outlook.heartbeat
        assert heartbeat is not None
        self.events.emit("worker.stopping", worker=self.state.info.name, running=len(self.slots.running))
        self._beacon.tell()
        await self._shutdown.end_claims()
        self._forced = await self._shutdown.end_jobs()
        await self._shutdown.sign_off(self.outlook.services, heartbeat)
        await self._beacon.cancel()
        self.events.emit("worker.stopped", worker=self.state.info.name, released=self._forced)
