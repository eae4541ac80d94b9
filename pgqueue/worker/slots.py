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

from pgqueue.backend import Outcome
from pgqueue.model.job import ClaimedJob
from pgqueue.model.payloads import Payloads
from pgqueue.tasks import CURRENT, Declaration, JobContext, Registry
from pgqueue.telemetry.events import Events
from pgqueue.worker.buffers import Buffers
from pgqueue.worker.finisher import Finisher
from pgqueue.worker.slot import Reason, Slot, differs, uncancel
from pgqueue.worker.state import WorkerState
from pgqueue.worker.threads import Threads
from pgqueue.worker.verdicts import Judgement, describe, judge, summarise, unknown_task_pause, unrun

RETURN_PAUSE = 60.0
TURNS = 50  # jobs whose handlers may never wait, before the event loop has its turn


class Slots:
    """Takes jobs from the buffers, runs them, hands their outcomes to the finisher.

    Attributes:
        free: How many slots wait for a job.
        low_water: How many buffered jobs are left when ``hungry`` is called.
        hungry: Called when more jobs are wanted; set by whoever provides them.
    """

    def __init__(
        self,
        state: WorkerState,
        buffers: Buffers,
        registry: Registry,
        finisher: Finisher,
        events: Events,
        payloads: Payloads,
        deps: Any = None,
    ) -> None:
        self.threads = Threads()
        self.low_water = 0
        self._state = state
        self._buffers = buffers
        self._registry = registry
        self._finisher = finisher
        self._events = events
        self._payloads = payloads
        self._deps = deps
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._slots = [Slot() for _ in range(state.info.concurrency)]
        self._context = contextvars.Context()
        self._stopping = False
        self.hungry: Callable[[], None] = lambda: None

    @property
    def free(self) -> int:
        """How many slots wait for a job."""
        return len(self._waiting)

    @property
    def running(self) -> list[Slot]:
        """The slots that run a job."""
        return [slot for slot in self._slots if slot.job is not None]

    def start(self) -> None:
        """Open the slots."""
        self._context = contextvars.copy_context()
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
        self.threads.stop()

    def _open(self, slot: Slot) -> None:
        slot.task = asyncio.get_running_loop().create_task(self._serve(slot), context=self._context.copy())

    async def _serve(self, slot: Slot) -> None:
        """Run jobs one after the other; whatever ends this but a stop, the slot is opened again."""
        try:
            await self._run_jobs(slot)
        except asyncio.CancelledError:  # a handler may have asked for its task to be cancelled later
            if self._stopping or self._finisher.is_being_cancelled:
                raise
        slot.job = None
        if not self._stopping:
            self._open(slot)

    async def _run_jobs(self, slot: Slot) -> None:
        clean = contextvars.copy_context()
        clock, buffers, state, this = self._state.clock, self._buffers, self._state, asyncio.current_task()
        turns = 0
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
            except Exception as error:  # noqa: BLE001 - such as a retry policy that raises: the job must not hang
                self._return(job, now, error)
            slot.job = None
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
        if task is None:
            self._put_off(job)
            return
        slot.deadline = started + job.timeout_ms / 1000
        token = CURRENT.set(job)
        error: BaseException | None = None
        value: Any = None
        try:
            args, kwargs = self._payloads.arguments(task.shape, job.payload)
            if task.context:
                args = (JobContext.of(job, self._deps), *args)
            if task.executor == "loop":
                value = await task.function(*args, **kwargs)
            else:
                value, error = await self.threads.call(task.function, args, kwargs)
        except BaseException as raised:  # noqa: BLE001 - whatever a handler raises becomes an outcome
            error = raised
        finally:
            slot.deadline = math.inf
            CURRENT.reset(token)
        if value is not None and error is None:
            error = unrun(value)
        if error is None and slot.reason is None:
            self._succeed(job, task, started, value)
        else:
            self._conclude(slot, job, task, started, error)

    def _succeed(self, job: ClaimedJob, task: Declaration, started: float, value: object) -> None:
        """Record a success with its result; one that cannot be kept is said beside it, for the work is done."""
        result = unkept = None
        if value is not None:
            try:
                result = self._payloads.result(task.shape, value)
            except Exception as error:  # noqa: BLE001 - a value may be anything
                unkept = describe(error)
        self._finisher.add(Outcome(job.id, job.run, job.lease, "succeeded", 0.0, started, unkept, result))

    def _conclude(
        self, slot: Slot, job: ClaimedJob, task: Declaration, started: float, error: BaseException | None
    ) -> None:
        """Record a run that did not simply succeed."""
        reason, slot.reason = slot.reason, None
        if reason is not None:
            uncancel()
        elif isinstance(error, asyncio.CancelledError):
            if self._finisher.is_being_cancelled:
                raise error  # the event loop ends, and all its tasks
            uncancel()
        judgement = self._judge(reason, job, task, error)
        if judgement is None:
            return
        verdict, delay, described, mishap = judgement
        if mishap is not None:
            self._events.emit("job.delay_failed", job=job.id, task=job.task, error=summarise(mishap))
        add = self._finisher.add_later if delay else self._finisher.add
        add(Outcome(job.id, job.run, job.lease, verdict, delay, started, described))
        facts = {"job": job.id, "task": job.task, "attempt": job.attempt + 1, "error": summarise(described)}
        if verdict == "dead":
            self._events.emit("job.dead", **facts)
        elif verdict == "retry":
            self._events.emit("job.retried", **facts, again_in=round(delay, 2))
        elif verdict == "release" and error is not None:
            self._events.emit("job.unreadable", **facts, again_in=round(delay, 2))

    def _judge(
        self, reason: Reason | None, job: ClaimedJob, task: Declaration, error: BaseException | None
    ) -> Judgement | None:
        if reason == "lost":
            return None
        if reason == "stop":
            return Judgement("succeeded" if error is None else "release", 0.0, None)
        if reason == "cancelled":
            return Judgement("cancelled", 0.0, None)
        if reason == "timeout":
            error = TimeoutError(f"The attempt took longer than its timeout of {job.timeout_ms / 1000:g} s.")
        assert error is not None
        return judge(error, job, task.retry)

    def _return(self, job: ClaimedJob, started: float, error: Exception) -> None:
        self._finisher.add_later(Outcome(job.id, job.run, job.lease, "release", RETURN_PAUSE, started, describe(error)))
        self._events.tell_failure("slot", error, RETURN_PAUSE)

    def _put_off(self, job: ClaimedJob) -> None:
        pause = unknown_task_pause(job)
        self._finisher.add_later(Outcome(job.id, job.run, job.lease, "release", pause, None, None))
        self._events.emit("job.unknown_task", job=job.id, task=job.task, queue=job.queue, again_in=pause)
