"""One slot: what runs in it now, what its handler asked for, and why it was cancelled."""

from __future__ import annotations

import asyncio
import contextvars
import math
from typing import Literal, TypeAlias

from pgqueue.model.job import ClaimedJob
from pgqueue.worker.run import Desk, HeldRun

Reason: TypeAlias = Literal["timeout", "cancelled", "stop", "lost"]


class Slot:
    """One place to run a job.

    Attributes:
        job: What runs now.
        deadline: Monotonic second at which its time is up.
        reason: Why it was cancelled, if it was.
        run: What the handler knows of its run; None: it never asked.
    """

    __slots__ = ("_desk", "deadline", "job", "reason", "run", "started", "task")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.job: ClaimedJob | None = None
        self.started = 0.0
        self.deadline = math.inf
        self.reason: Reason | None = None
        self.task: asyncio.Task[None] | None = None
        self.run: HeldRun | None = None

    def cancel(self, reason: Reason) -> None:
        """Cancel the running handler; again, if it did not listen."""
        if self.job is not None and self.task is not None:
            self.reason = self.reason or reason
            self.task.cancel()

    def place(self, job: ClaimedJob) -> HeldRun:
        """Return the run of a job; of one that left the slot before its thread ended, a run that is over."""
        if self.job is not job:
            return HeldRun(job, self, self._desk)
        if self.run is None or self.run.job is not job:
            self.run = HeldRun(job, self, self._desk)
        return self.run


def differs(now: contextvars.Context, clean: contextvars.Context) -> bool:
    """Whether a handler left a variable set. By identity: values may be equal and not the same, or not comparable."""
    return len(now) != len(clean) or any(clean.get(variable) is not value for variable, value in now.items())


def uncancel() -> None:
    """Take back all requests to cancel this task."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
