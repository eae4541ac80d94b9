"""How a handler is called: on the event loop, in a thread or in a child process, with what stands around it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pgqueue.model.errors import HandlerFailed, InvalidPayload
from pgqueue.model.job import ClaimedJob
from pgqueue.model.payloads import Payloads
from pgqueue.model.retry import leaves
from pgqueue.tasks import Declaration, JobContext, Registry
from pgqueue.worker.children import Children
from pgqueue.worker.reports import Report
from pgqueue.worker.run import Desk
from pgqueue.worker.slot import Slot
from pgqueue.worker.threads import Threads
from pgqueue.worker.verdicts import summarise


class Calls:
    """Calls handlers.

    Attributes:
        threads: Where plain functions run.
        children: Where process tasks run.
        payloads: How arguments are read.
        around: The middleware of the event loop, the first outermost.
    """

    def __init__(self, registry: Registry, payloads: Payloads, desk: Desk, children: Children, deps: Any) -> None:
        self.threads = Threads()
        self.children = children
        self.deps = deps
        self.payloads = payloads
        self._desk = desk
        self.around, self._inside = registry.around, registry.inside

    async def call(self, slot: Slot, job: ClaimedJob, task: Declaration) -> tuple[Any, BaseException | None]:
        """Call the handler of a job; return what it returned, and what it raised.

        A child's report is returned as it is, unless middleware made something else of it; whatever a handler raises
        becomes an outcome, so it is no error here.
        """
        if job.run > 1 and task.context and (cancelled := await self._resume(slot, job)):
            return None, cancelled
        try:
            if self.around:
                return await self._wrapped(slot, job, task)
            if task.executor == "process":
                return await self.children.run(job, task, slot.place(job)), None
            args, kwargs = self._arguments(slot, job, task)
            if task.executor == "loop":
                return await task.function(*args, **kwargs), None
            return await self._in_thread(slot, job, task, args, kwargs)
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
        args, kwargs = self.payloads.arguments(task.shape, job.payload)
        return ((self.context(slot, job), *args) if task.context else args), kwargs

    async def _in_thread(
        self, slot: Slot, job: ClaimedJob, task: Declaration, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, BaseException | None]:
        function = task.function
        if self._inside:
            function = surrounded(self._inside, self.context(slot, job), function)
        return await self.threads.call(function, args, kwargs)

    async def _wrapped(self, slot: Slot, job: ClaimedJob, task: Declaration) -> tuple[Any, BaseException | None]:
        """Call the handler inside all middleware of the event loop; what the outermost returns is what it returned."""
        context, child = self.context(slot, job), InChild(self.payloads, task)

        async def innermost() -> Any:
            if task.executor == "process":
                return child.open(await self.children.run(job, task, slot.place(job)))
            args, kwargs = self._arguments(slot, job, task)
            if task.executor == "loop":
                return await task.function(*args, **kwargs)
            value, error = await self._in_thread(slot, job, task, args, kwargs)
            if error is not None:
                raise error
            return value

        call = innermost
        for one in reversed(self.around):
            call = _bound(one, context, call)
        try:
            value = await call()
        except BaseException as raised:
            if (report := child.report_of(raised)) is None:
                raise
            return report, None
        return (child.nothing if value is None and child.nothing else value), None


class InChild:
    """What middleware in the worker sees of a handler in a child process: a value or an exception, as of any handler.

    Attributes:
        nothing: The last report of a handler that has left no result.
    """

    def __init__(self, payloads: Payloads, task: Declaration) -> None:
        self.nothing: Report | None = None
        self.payloads = payloads
        self._task = task
        self._failures: dict[HandlerFailed, Report] = {}

    def open(self, report: Report) -> Any:
        """Return what the handler returned.

        Raises:
            HandlerFailed: It did not succeed.
        """
        self.nothing = None
        if report.verdict != "succeeded":
            failure = _failure(report)
            self._failures[failure] = report
            raise failure
        if report.result is None:
            self.nothing = report
            return None
        stored = self.payloads.open_result(json.loads(report.result))
        try:
            return self._task.shape.decode_result(stored)
        except InvalidPayload:  # the work is done, so what was written is shown as it is
            return stored

    def report_of(self, raised: BaseException) -> Report | None:
        """Return the report of a failure that middleware let pass, also in a group of one, as a TaskGroup makes it."""
        inside = list(leaves(raised))
        return self._failures.get(inside[0]) if len(inside) == 1 and isinstance(inside[0], HandlerFailed) else None


def _failure(report: Report) -> HandlerFailed:
    """Return the exception that stands in the worker for what a handler in a child process raised."""
    error: Mapping[str, str] = json.loads(report.error or "{}")
    if not error:
        problem = f"The handler was ended in its child process ({report.verdict})."
    else:
        problem = f"The handler failed in its child process with {summarise(report.error)}."
    return HandlerFailed(
        problem,
        "Let it pass, and the outcome is as without middleware; or raise or return what is to count instead.",
        error_type=error.get("type"),
        error=error.get("message"),
        traceback=error.get("traceback"),
    )


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
