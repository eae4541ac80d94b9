"""How a handler is called: on the event loop, in a thread or in a child process, with what stands around it."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pgqueue.model.job import ClaimedJob
from pgqueue.model.payloads import Payloads
from pgqueue.tasks import Declaration, JobContext, Registry, Run
from pgqueue.worker.reports import Report
from pgqueue.worker.run import Desk
from pgqueue.worker.slot import Slot
from pgqueue.worker.threads import Threads


class Processes(Protocol):
    """Child processes that run handlers."""

    async def run(self, job: ClaimedJob, task: Declaration, run: Run) -> Report:
        """Run a job's handler; when this is cancelled, its child is killed."""
        ...


class Reported(Exception):
    """A handler in a child process did not succeed."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.verdict)
        self.report = report


class Calls:
    """Calls handlers.

    Attributes:
        threads: Where plain functions run.
        children: Where process tasks run.
    """

    def __init__(self, registry: Registry, payloads: Payloads, desk: Desk, children: Processes, deps: Any) -> None:
        self.threads = Threads()
        self.children = children
        self.deps = deps
        self._payloads = payloads
        self._desk = desk
        middleware = registry.middleware
        self._around = [one for one in middleware if inspect.iscoroutinefunction(one)]
        self._inside = [one for one in middleware if not inspect.iscoroutinefunction(one)]

    async def call(self, slot: Slot, job: ClaimedJob, task: Declaration) -> tuple[Any, BaseException | None]:
        """Call the handler of a job; return what it returned, and what it raised.

        A child's report is returned as it is; whatever a handler raises becomes an outcome, so it is no error here.
        """
        if job.run > 1 and task.context and (cancelled := await self._resume(slot, job)):
            return None, cancelled
        try:
            if self._around or task.executor == "process":
                return await self._elsewhere(slot, job, task), None
            args, kwargs = self._arguments(slot, job, task)
            if task.executor == "loop":
                return await task.function(*args, **kwargs), None
            return await self._in_thread(slot, job, task, args, kwargs)
        except Reported as reported:
            return reported.report, None
        except BaseException as raised:  # noqa: BLE001 - as said
            return None, raised

    async def _resume(self, slot: Slot, job: ClaimedJob) -> BaseException | None:
        """Look up what an earlier run kept; return the cancellation if one came. Other errors are ours, not the handler's."""
        try:
            await self._desk.resume(slot.place(job))
        except asyncio.CancelledError as cancelled:
            return cancelled
        return None

    def context(self, slot: Slot, job: ClaimedJob) -> JobContext[Any]:
        """Return what the handler of a job may know."""
        return JobContext(slot.place(job), self.deps)

    def _arguments(self, slot: Slot, job: ClaimedJob, task: Declaration) -> tuple[Sequence[Any], Mapping[str, Any]]:
        args, kwargs = self._payloads.arguments(task.shape, job.payload)
        if task.raw:
            args, kwargs = (kwargs,), {}
        return ((self.context(slot, job), *args) if task.context else args), kwargs

    async def _in_thread(
        self, slot: Slot, job: ClaimedJob, task: Declaration, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, BaseException | None]:
        function = task.function
        if self._inside:
            function = surrounded(self._inside, self.context(slot, job), function)
        return await self.threads.call(function, args, kwargs)

    async def _elsewhere(self, slot: Slot, job: ClaimedJob, task: Declaration) -> Any:
        if self._around:
            return await self._wrapped(slot, job, task)
        return await self.children.run(job, task, slot.place(job))

    async def _wrapped(self, slot: Slot, job: ClaimedJob, task: Declaration) -> Any:
        """Call the handler inside all middleware of the event loop."""
        context, reports = self.context(slot, job), list[Report]()

        async def innermost() -> Any:
            if task.executor == "process":
                report = await self.children.run(job, task, slot.place(job))
                if report.verdict != "succeeded":
                    raise Reported(report)
                reports.append(report)
                return None if report.result is None else self._payloads.open_result(json.loads(report.result))
            args, kwargs = self._arguments(slot, job, task)
            if task.executor == "loop":
                return await task.function(*args, **kwargs)
            value, error = await self._in_thread(slot, job, task, args, kwargs)
            if error is not None:
                raise error
            return value

        call = innermost
        for one in reversed(self._around):
            call = _bound(one, context, call)
        value = await call()
        return reports[0] if reports else value


def surrounded(
    middleware: Sequence[Callable[..., Any]], context: Any, function: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a plain function with plain middleware around it, the first outermost."""

    def call(*args: Any, **kwargs: Any) -> Any:
        step: Callable[[], Any] = lambda: function(*args, **kwargs)  # noqa: E731 - the innermost of a chain of such
        for one in reversed(middleware):
            step = _bound(one, context, step)
        return step()

    return call


def _bound(middleware: Callable[..., Any], context: Any, call: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: middleware(context, call)
