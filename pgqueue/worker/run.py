"""What a run offers its handler, and the desk that serves all runs of a worker. See ``tasks.Run``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pgqueue.backend import Completer, Ending, Progress, WorkerBackend
from pgqueue.model.conversion import short
from pgqueue.model.errors import HandleError, InvalidOption, JobLost, JobNotCommitted, PgQueueError
from pgqueue.model.job import ClaimedJob
from pgqueue.model.open_shape import OpenShape
from pgqueue.model.options import check_text
from pgqueue.model.payloads import Payloads
from pgqueue.model.traces import trace_id
from pgqueue.tasks import Handle, Registry
from pgqueue.worker.loops import is_in_a_loop
from pgqueue.worker.state import WorkerState

if TYPE_CHECKING:
    from pgqueue.worker.slot import Slot

LONGEST_NOTE = 500
LONGEST_AHEAD = 1e9  # seconds; a datetime cannot hold more
A = TypeVar("A")


ANYTHING = OpenShape("the value")  # the shape of what no annotation describes


class Desk:
    """Serves the runs of one worker; made on its event loop.

    Args:
        completer: Ends jobs in their handlers' own transactions.

    Attributes:
        noted: The last progress of each job that is not written yet.
        over: Jobs that have succeeded and had kept something.
        note: Called when there is something to write; set by whoever writes it.
    """

    def __init__(
        self, state: WorkerState, backend: WorkerBackend, registry: Registry, payloads: Payloads, completer: Completer
    ) -> None:
        self._state = state
        self._backend = backend
        self._registry = registry
        self._payloads = payloads
        self._loop: asyncio.AbstractEventLoop | None = None
        self.completer = completer
        self.noted: dict[int, Progress] = {}
        self.over: list[int] = []
        self.note: Callable[[], None] = _nothing

    def open(self) -> None:
        """Serve from this event loop."""
        self._loop = asyncio.get_running_loop()

    async def resume(self, run: HeldRun) -> None:
        """Look up what an earlier run kept."""
        for value in await self._backend.kept(run.job):
            run.kept, run.resumed = True, None if value is None else self._payloads.open_result(value)

    async def keep(self, run: HeldRun, value: Any) -> None:
        """Store where a later run may go on."""
        text = self._payloads.result(ANYTHING, value) or "null"
        if not (run.is_held and await self._backend.keep(run.job, text)):
            raise lost(run.job)
        run.kept = True

    def forget(self, job: ClaimedJob) -> None:
        """Delete what a job kept, soon: it has succeeded."""
        self.over.append(job.id)
        self.note()

    def progress(self, progress: Progress) -> None:
        """Note how far a job is, from any thread; the last word counts."""
        self.noted[progress.job] = progress
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.note)

    def result(self, job: ClaimedJob, value: Any) -> str | None:
        """Return the JSON under which a job's result is stored."""
        task = self._registry.find(job.task)
        return self._payloads.result(ANYTHING if task is None else task.shape, value)

    def ending(self, run: HeldRun, started: float, result: Any) -> Ending:
        """Return how a job ends by its handler's own hand."""
        job = run.job
        ago = self._state.clock() - started
        return Ending(job.id, job.run, job.lease, ago, self.result(job, result))

    def instant(self, second: float) -> datetime:
        """Return when a monotonic second is or was."""
        return datetime.now(UTC) + timedelta(seconds=min(second - self._state.clock(), LONGEST_AHEAD))

    def wait(self, job: ClaimedJob, work: Coroutine[Any, Any, A]) -> A:
        """Do it for a job on the worker's loop, while this thread waits."""
        if self._loop is None or is_in_a_loop():
            work.close()
            raise blocking()
        return self._send(job, work, self._loop).result()

    async def do(self, job: ClaimedJob, work: Coroutine[Any, Any, A]) -> A:
        """Do it for a job on the worker's loop, while a task waits, which may be on a loop of the handler's own."""
        if self._loop is None or self._loop is asyncio.get_running_loop():
            return await work
        return await asyncio.wrap_future(self._send(job, work, self._loop))

    def _send(self, job: ClaimedJob, work: Coroutine[Any, Any, A], loop: asyncio.AbstractEventLoop) -> Future[A]:
        try:
            return asyncio.run_coroutine_threadsafe(work, loop)
        except RuntimeError:  # the event loop is gone, and the worker with it
            work.close()
            raise lost(job) from None


class HeldRun:
    """One hand-out of a job that runs in a slot. See ``tasks.Run``.

    Attributes:
        value: The JSON of a result that the handler said before its end.
        completed: Whether the handler has ended the job in a transaction of its own.
        kept: Whether something is kept that a later run could go on from.
    """

    __slots__ = ("_deadline", "_desk", "_logger", "_slot", "_started", "completed", "job", "kept", "resumed", "value")

    def __init__(self, job: ClaimedJob, slot: Slot, desk: Desk) -> None:
        self.job = job
        self._slot = slot
        self._started = slot.started  # the slot may run another job by the time that a thread asks
        self._desk = desk
        self._deadline: datetime | None = None
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None
        self.resumed: Any = None
        self.value: str | None = None
        self.completed = False
        self.kept = False

    @property
    def deadline(self) -> datetime:
        """When the time of this attempt is up."""
        if self._deadline is None:
            self._deadline = self._desk.instant(time_is_up(self.job, self._started) if self.is_held else 0.0)
        return self._deadline

    @property
    def is_held(self) -> bool:
        """Whether the slot still runs it; a thread may outlive that."""
        return self._slot.job is self.job

    @property
    def cancelled(self) -> bool:
        """Whether the handler should end."""
        return not self.is_held or self._slot.reason is not None

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records name the run."""
        if self._logger is None:
            self._logger = logger_of(self.job)
        return self._logger

    def progress(self, done: float | None, note: str | None) -> None:
        """Note how far it is; of a run that is over nobody wants to know."""
        progress = checked(self.job, done, note)
        if self.is_held:
            self._desk.progress(progress)

    def result(self, value: Any) -> None:
        """Keep a result, whatever becomes of the run."""
        self.value = self._desk.result(self.job, value)

    def checkpoint(self, value: Any) -> None:
        """Store where a later run may go on."""
        self._desk.wait(self.job, self._desk.keep(self, value))

    async def acheckpoint(self, value: Any) -> None:
        """Store where a later run may go on."""
        await self._desk.do(self.job, self._desk.keep(self, value))

    def complete(self, handle: object, bind: object, result: Any) -> None:
        """End the job in the handle's transaction."""
        ending = self._desk.ending(self, self._started, result)
        self._settle(self._desk.completer.complete(Handle(handle, bind), ending))

    async def acomplete(self, handle: object, bind: object, result: Any) -> None:
        """End the job in the handle's transaction."""
        ending = self._desk.ending(self, self._started, result)
        self._settle(await self._desk.completer.acomplete(Handle(handle, bind), ending))

    def _settle(self, done: bool) -> None:
        if not done:
            raise undone(self.job, completed=self.completed)
        self.completed = True


def checked(job: ClaimedJob, done: float | None, note: str | None) -> Progress:
    """Return the progress of a job if it is one.

    Raises:
        InvalidOption: ``done`` is not from 0 to 1, or ``note`` is no text of at most 500 characters.
    """
    if done is not None and not (isinstance(done, int | float) and 0 <= done <= 1):
        raise InvalidOption(f"done={short(done)} is not from 0 to 1.", "Pass the part that is done, such as 0.5.")
    if note is not None and (not isinstance(note, str) or len(note) > LONGEST_NOTE):
        raise InvalidOption(f"note={short(note)} is no text of at most {LONGEST_NOTE} characters.", "Pass a few words.")
    return Progress(job.id, job.run, done, None if note is None else check_text(note, "note"))


def time_is_up(job: ClaimedJob, started: float) -> float:
    """Return the monotonic second at which the time of an attempt is up, by its timeout or the job's deadline."""
    end = started + job.timeout_ms / 1000
    return end if job.until is None else min(end, job.until)


def lost(job: ClaimedJob) -> JobLost:
    """Return our error for a run that is over."""
    return JobLost(
        f"Run {job.run} of job {job.id} is over: it was cancelled, or handed to another worker.",
        "Roll back, and let the handler end.",
    )


def undone(job: ClaimedJob, *, completed: bool) -> PgQueueError:
    """Return our error for a completion that changed nothing.

    Args:
        completed: Whether this run had ended the job before.
    """
    if completed:
        return HandleError(
            f"complete() was called before in this run of job {job.id}.", "Call it once, or roll back in between."
        )
    return lost(job)


def blocking() -> HandleError:
    """Return our error for a call that waits, on an event loop."""
    return HandleError("checkpoint() would block the event loop that runs here.", "Write: await ctx.acheckpoint(...).")


def uncommitted() -> JobNotCommitted:
    """Return our error for a run that ended itself and returned: it counts only if that was not committed."""
    return JobNotCommitted(
        "ctx.complete() ended the job in a transaction that was not committed.",
        "Commit it before the handler returns, or let the handler raise.",
    )


def logger_of(job: ClaimedJob) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger whose records name the run, in ``record.fields``."""
    facts = {"job": job.id, "task": job.task, "queue": job.queue, "run": job.run, "attempt": job.attempt + 1}
    trace = trace_id(job.headers)
    fields = facts if trace is None else {**facts, "trace_id": trace}
    return logging.LoggerAdapter(logging.getLogger("pgqueue.job"), {"fields": fields})


def _nothing() -> None:
    """Nobody writes progress."""
