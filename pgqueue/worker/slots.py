"""The slots: N long-lived coroutines, each runs one job at a time.

A job costs no task, no timer and no cancel scope of its own; the watchdog cancels a slot whose job is over its time. A
handler that leaves a context variable set would leak it into the slot's next job, so such a slot is replaced.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from pgqueue.model.job import ClaimedJob
from pgqueue.tasks import CURRENT, Registry
from pgqueue.worker.buffers import Buffers
from pgqueue.worker.calls import Calls
from pgqueue.worker.endings import Endings
from pgqueue.worker.finisher import Finisher
from pgqueue.worker.reports import Report
from pgqueue.worker.run import Desk, time_is_up
from pgqueue.worker.slot import Slot, differs
from pgqueue.worker.state import WorkerState
from pgqueue.worker.threads import Threads
from pgqueue.worker.verdicts import unrun

TURNS = 50  # jobs whose handlers may never wait, before the event loop has its turn


class Slots:
    """Takes jobs from the buffers, runs them, hands their outcomes on.

    Attributes:
        free: How many slots wait for a job.
        low_water: How many buffered jobs are left when ``hungry`` is called.
        hungry: Called when more jobs are wanted; set by whoever provides them.
        suspect_ended: Called with a job that is a suspect when it runs no more; set by whoever lets them run.
    """

    def __init__(
        self,
        state: WorkerState,
        buffers: Buffers,
        registry: Registry,
        finisher: Finisher,
        calls: Calls,
        endings: Endings,
        desk: Desk,
    ) -> None:
        self.low_water = 0
        self._state = state
        self._buffers = buffers
        self._registry = registry
        self._finisher = finisher
        self._calls = calls
        self._endings = endings
        self._desk = desk
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._slots = [Slot(desk) for _ in range(state.info.concurrency)]
        self._context = contextvars.Context()
        self._stopping = False
        self.hungry: Callable[[], None] = lambda: None
        self.suspect_ended: Callable[[ClaimedJob], None] = lambda job: None

    @property
    def free(self) -> int:
        """How many slots wait for a job."""
        return len(self._waiting)

    @property
    def running(self) -> list[Slot]:
        """The slots that run a job."""
        return [slot for slot in self._slots if slot.job is not None]

    @property
    def threads(self) -> Threads:
        """Where plain functions run."""
        return self._calls.threads

    def start(self) -> None:
        """Open the slots."""
        self._context = contextvars.copy_context()
        self._desk.open()
        for slot in self._slots:
            self._open(slot)

    def rouse(self, jobs: int) -> None:
        """Wake as many slots as there are new jobs."""
        while jobs > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                jobs -= 1

    async def stop(self) -> None:
        """Let each slot finish its job and end."""
        self._stopping = True
        self.rouse(len(self._waiting))
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        if tasks:
            await asyncio.wait(tasks)
        self._calls.threads.stop()

    def _open(self, slot: Slot) -> None:
        slot.task = asyncio.get_running_loop().create_task(self._serve(slot), context=self._context.copy())

    async def _serve(self, slot: Slot) -> None:
        """Run jobs one after the other; whatever ends this but a stop, the slot is opened again."""
        try:
            await self._run_jobs(slot)
        except asyncio.CancelledError:  # a handler may have asked for its task to be cancelled later
            if self._stopping or self._finisher.is_being_cancelled:
                raise
        if not self._stopping:
            self._open(slot)

    async def _run_jobs(self, slot: Slot) -> None:
        clean = contextvars.copy_context()
        clock, buffers, state, this = self._state.clock, self._buffers, self._state, asyncio.current_task()
        turns, limited = 0, buffers.is_limited
        while not self._stopping:
            now = clock()
            job = buffers.take() if now < state.lease_until else None
            if job is None:
                await self._wait()
                continue
            if buffers.size == self.low_water:
                self.hungry()
            slot.job = job
            try:
                await self._run(slot, job, now)
            except Exception as error:  # noqa: BLE001 - a defect of ours: the job must not hang
                self._endings.mishap(job, now, error)
            finally:
                slot.job = slot.reason = slot.run = None
                if limited:
                    buffers.ended(job)
                if job.crashes:
                    self.suspect_ended(job)
            if differs(contextvars.copy_context(), clean) or (this is not None and this.cancelling()):
                return
            turns += 1
            if not turns % TURNS:
                await asyncio.sleep(0)

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self.hungry()
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            raise

    async def _run(self, slot: Slot, job: ClaimedJob, started: float) -> None:
        task = self._registry.find(job.task)
        if task is None or (job.expires is not None and job.expires <= started):
            self._endings.unstarted(job, task)
            return
        slot.started = started
        if job.until is not None and job.until <= started:
            await self._endings.miss(slot, job, task)
            return
        slot.deadline = time_is_up(job, started)
        token = CURRENT.set((job, slot.place))
        value: Any = None
        error: BaseException | None = None
        try:
            if task.executor != "loop" or task.context or self._calls.around:
                value, error = await self._calls.call(slot, job, task)
            else:  # the most common kind, at the cost of one coroutine less
                try:
                    args, kwargs = self._calls.payloads.arguments(task.shape, job.payload)
                    value = await task.function(*args, **kwargs)
                except BaseException as raised:  # noqa: BLE001 - whatever a handler raises becomes an outcome
                    error = raised
        finally:
            slot.deadline = math.inf
            CURRENT.reset(token)
        if value is not None and error is None:
            error = unrun(value)
        plain = error is None and slot.reason is None and slot.run is None and type(value) is not Report
        if plain and not self._endings.is_watched(task):
            self._endings.succeed(slot, job, task, value)
        else:
            await self._endings.conclude(slot, job, task, value, error)
