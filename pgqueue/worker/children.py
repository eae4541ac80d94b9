"""The child processes of a worker: as many as are needed, warm, and replaced when they are worn or have died."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime

from pgqueue.model.errors import ChildDied
from pgqueue.model.job import ClaimedJob
from pgqueue.model.poison import MOST_CRASHES
from pgqueue.tasks import Declaration, Run
from pgqueue.telemetry.events import Events
from pgqueue.worker.addresses import Module, address_of, modules_of
from pgqueue.worker.guard import Guard
from pgqueue.worker.process import Answer, Ended, Process
from pgqueue.worker.reports import Report
from pgqueue.worker.service import back_off
from pgqueue.worker.verdicts import describe, judge, summarise, unknown_task_pause

RECYCLE_JOBS = 1000
START_SECONDS = 60.0  # in which a child has to import the application
WARM_SECONDS = 10.0  # for which a worker waits at its start until the first has
GRACE_SECONDS = 1.5  # from the notice of a cancel or a stop to the kill; within what a worker waits when it stops


class Children:
    """Runs handlers in child processes.

    Args:
        most: How many run at the same time.
        recycle_jobs: After so many jobs a child is replaced.
        recycle_megabytes: A child that holds more after a job is replaced; None: never.
    """

    def __init__(
        self,
        *,
        most: int,
        events: Events,
        recycle_jobs: int = RECYCLE_JOBS,
        recycle_megabytes: float | None = None,
    ) -> None:
        self._most = most
        self._events = events
        self._recycle_jobs = recycle_jobs
        self._recycle_megabytes = recycle_megabytes
        self._modules: list[Module] = []
        self._places = asyncio.Semaphore(most)
        self._busy = 0
        self._idle: list[Process] = []
        self._all: set[Process] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._parting: set[asyncio.Task[None]] = set()
        self._waiting: deque[asyncio.Future[Process | BaseException]] = deque()
        self._guard = Guard()
        self._failures = 0
        self._closed_until = 0.0
        self._stopping = False

    @property
    def free(self) -> int:
        """How many more jobs could run now, in children that are there or could be started."""
        return max(self._most - self._busy, 0)

    async def start(self, tasks: Iterable[Declaration]) -> None:
        """Start one child and wait until it has imported the application; nothing when no task wants children."""
        chosen = list(tasks)
        if not any(task.executor == "process" for task in chosen):
            return
        self._modules = modules_of(task for task in chosen if task.executor == "process")
        self._start_one()
        await asyncio.wait(set(self._starting), timeout=WARM_SECONDS)

    async def run(self, job: ClaimedJob, task: Declaration, run: Run) -> Report:
        """Run a job's handler in a child. When this is cancelled the handler is told, then its child is killed."""
        self._busy += 1
        try:
            async with self._places:
                child = await self._take()
                if isinstance(child, BaseException):
                    return Report("release", unknown_task_pause(job), describe(child), None)
                return await self._run_in(child, task, run)
        finally:
            self._busy -= 1

    async def stop(self) -> None:
        """End all children; those that are busy are killed."""
        self._stopping = True
        for starting in self._starting:
            starting.cancel()
        for child in self._all - set(self._idle):
            child.leaving = True
            child.kill()
        endings = [asyncio.create_task(child.part()) for child in self._all]
        if endings or self._starting or self._parting:
            await asyncio.wait({*endings, *self._starting, *self._parting})
        self._guard.stop()

    async def _run_in(self, child: Process, task: Declaration, run: Run) -> Report:
        ended = child.hand(address_of(task), run)
        if child.jobs >= self._recycle_jobs:
            self._keep_warm()  # its successor is ready when it goes
        try:
            await asyncio.wait({ended})
        except asyncio.CancelledError:
            if not await self._ends_well(child, ended, run):
                raise
        finally:
            self._give_back(child)
        return self._report(child, ended.result(), task, run)

    async def _ends_well(self, child: Process, ended: asyncio.Future[Ended], run: Run) -> bool:
        """Tell a handler to end, and kill its child if it does not; return whether it has succeeded all the same.

        One whose time is over, or that is told a second time, has no grace.
        """
        child.tell_to_end()
        grace = run.deadline > datetime.now(UTC)
        while not ended.done():
            if not grace:
                child.leaving = True
                child.kill()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({ended}, timeout=GRACE_SECONDS)
            grace = False
        how = ended.result()
        if child.leaving:
            self._events.emit("child.recycled", pid=child.pid, jobs=child.jobs, reason="its handler had to be ended")
        return isinstance(how, Answer) and how.report.verdict == "succeeded"

    def _report(self, child: Process, how: Ended, task: Declaration, run: Run) -> Report:
        if isinstance(how, ChildDied):
            if child.leaving:  # the worker stops
                return Report("release", 0.0, None, None)
            self._events.emit("child.died", pid=child.pid, task=task.name, job=run.job.id, reason=how.problem)
            return crashed(how, run.job, task)
        if how.mishap is not None:
            self._events.emit("service.failed", service="retry policy", error=summarise(how.mishap))
        return how.report

    async def _take(self) -> Process | BaseException:
        """Return an idle child, or a fresh one; or why there is none."""
        if self._idle:
            return self._idle.pop()
        turn: asyncio.Future[Process | BaseException] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if len(self._waiting) > len(self._starting):
            self._start_one()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.cancelled():
                self._offer(turn.result())
            raise

    def _offer(self, child: Process | BaseException) -> None:
        """Give a child to who waits longest, or keep it; a failure only to who waits."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(child)
                return
        if isinstance(child, Process):
            self._idle.append(child)

    def _give_back(self, child: Process) -> None:
        if child.is_dead or child.leaving:
            self._keep_warm()
        elif (why := self._why_replaced(child)) is None:
            self._offer(child)
        else:
            self._events.emit("child.recycled", pid=child.pid, jobs=child.jobs, reason=why)
            self._part_with(child)
            self._keep_warm()

    def _why_replaced(self, child: Process) -> str | None:
        if child.jobs >= self._recycle_jobs:
            return f"it has run {child.jobs} jobs"
        if self._recycle_megabytes is not None and child.megabytes > self._recycle_megabytes:
            return f"it holds {child.megabytes:.0f} MB"
        return "a handler left a task that cannot be cancelled" if child.worn else None

    def _part_with(self, child: Process) -> None:
        child.leaving = True
        parting = asyncio.create_task(child.part(), name="pgqueue child ends")
        self._parting.add(parting)
        parting.add_done_callback(self._parting.discard)

    def _keep_warm(self) -> None:
        """Start a child if none is there for the next job."""
        if not self._idle and not self._starting and not self._stopping:
            self._start_one()

    def _start_one(self) -> None:
        starting = asyncio.create_task(self._start(), name="pgqueue child starts")
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._closed_until - loop.time())
            child = await self._started()
        except Exception as error:  # noqa: BLE001 - whatever keeps a child from starting, those that wait are told
            self._failures += 1
            pause = back_off(self._failures)
            self._closed_until = loop.time() + pause
            self._events.tell_failure("child process", error, pause)
            self._offer(error)
            return
        self._failures = 0
        self._offer(child)

    async def _started(self) -> Process:
        """Start a child, and wait until it has imported the application."""
        child = await Process.start(self._modules, self._lose)
        self._all.add(child)
        try:
            self._guard.watch(one.pid for one in self._all)
            async with asyncio.timeout(START_SECONDS):
                failures = await child.ready()
        except BaseException:
            child.leaving = True
            child.kill()
            raise
        for failure in failures:
            self._events.emit("service.failed", service="import in a child process", error=failure)
        return child

    def _lose(self, child: Process, error: ChildDied) -> None:
        """A child has died; one that was idle is told of here, for no job is concerned."""
        self._all.discard(child)
        self._guard.watch(one.pid for one in self._all)
        if child in self._idle:
            self._idle.remove(child)
            if not child.leaving:
                self._events.emit("child.died", pid=child.pid, reason=error.problem)


def crashed(error: ChildDied, job: ClaimedJob, task: Declaration) -> Report:
    """Say what becomes of a job whose child died of it."""
    if job.crashes + 1 >= MOST_CRASHES:
        message = f"{error.problem} With it, {MOST_CRASHES} processes have died of this job, or while they held it."
        return Report("poison", 0.0, json.dumps({"type": "Poison", "message": message}), None)
    judgement = judge(error, job, task.retry)
    ends = judgement.verdict == "dead"
    return Report("dead" if ends else "crashed", judgement.delay, judgement.error, None)
