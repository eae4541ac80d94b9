"""One slot: what runs in it now, and why it was cancelled."""

from __future__ import annotations

import asyncio
import contextvars
import math
from typing import Literal, TypeAlias

from pgqueue.model.job import ClaimedJob

Reason: TypeAlias = Literal["timeout", "cancelled", "stop", "lost"]


class Slot:
    """One place to run a job.

    Attributes:
        job: What runs now.
        deadline: Monotonic second at which its time is up.
        reason: Why it was cancelled, if it was.
    """

    __slots__ = ("deadline", "job", "reason", "task")

    def __init__(self) -> None:
        self.job: ClaimedJob | None = None
        self.deadline = math.inf
        self.reason: Reason | None = None
        self.task: asyncio.Task[None] | None = None

    def cancel(self, reason: Reason) -> None:
        """Cancel the running handler; again, if it did not listen."""
        if self.job is not None and self.task is not None:
            self.reason = self.reason or reason
            self.task.cancel()


def differs(now: contextvars.Context, clean: contextvars.Context) -> bool:
    """Whether a handler left a variable set. By identity: values may be equal and not the same, or not comparable."""
    return len(now) != len(clean) or any(clean.get(variable) is not value for variable, value in now.items())


def uncancel() -> None:
    """Take back all requests to cancel this task."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
