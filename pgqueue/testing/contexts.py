"""A JobContext for tests that call a handler themselves, without a worker."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from typing_extensions import TypeVar

from pgqueue.model.durations import Duration, seconds
from pgqueue.model.job import ClaimedJob
from pgqueue.model.payloads import Payloads
from pgqueue.tasks import JobContext, Run
from pgqueue.worker.run import ANYTHING, checked, logger_of

D = TypeVar("D", default=None)


@dataclass(slots=True)
class Said:
    """What a handler said through its context.

    Attributes:
        progress: (done, note) of each call.
        results: What it kept with ``result``.
        checkpoints: What it kept with ``checkpoint``.
        completed: The handles on which it ended the job, each with the result.
    """

    progress: list[tuple[float | None, str | None]] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)
    completed: list[tuple[object, Any]] = field(default_factory=list)


_PAYLOADS = Payloads(None, ())


class _NotedRun:
    """Notes what is said. See ``tasks.Run``."""

    def __init__(self, job: ClaimedJob, deadline: datetime, resumed: Any, *, cancelled: bool) -> None:
        self.job = job
        self.deadline = deadline
        self.resumed = resumed
        self.cancelled = cancelled
        self.said = Said()

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        return logger_of(self.job)

    def progress(self, done: float | None, note: str | None) -> None:
        checked(self.job, done, note)
        self.said.progress.append((done, note))

    def result(self, value: Any) -> None:
        _PAYLOADS.result(ANYTHING, value)
        self.said.results.append(value)

    def checkpoint(self, value: Any) -> None:
        _PAYLOADS.result(ANYTHING, value)
        self.said.checkpoints.append(value)

    async def acheckpoint(self, value: Any) -> None:
        self.checkpoint(value)

    def complete(self, handle: object, bind: object, result: Any) -> None:
        self.said.completed.append((handle, result))

    async def acomplete(self, handle: object, bind: object, result: Any) -> None:
        self.complete(handle, bind, result)


class TestContext(JobContext[D]):
    """A context that notes what the handler says.

    Attributes:
        said: What it said.
    """

    __test__ = False  # no class of tests

    def __init__(self, run: Run, said: Said, deps: Any = None) -> None:
        super().__init__(run, deps)
        self.said = said


def job_context(
    *,
    id: int = 1,
    task: str = "task",
    queue: str = "default",
    run: int = 1,
    attempt: int = 1,
    max_retries: int = 25,
    headers: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    timeout: Duration = "30m",
    resumed: Any = None,
    cancelled: bool = False,
    deps: Any = None,
) -> TestContext[Any]:
    """Return a context to call a handler with: ``task.declaration.function(job_context(deps=...), ...)``.

    Args:
        attempt: Counting from 1.
        timeout: How far away its deadline is.
        resumed: What an earlier run kept.
        cancelled: Whether the handler should end.
    """
    now = datetime.now(UTC)
    job = ClaimedJob(
        id=id,
        run=run,
        attempt=attempt - 1,
        crashes=0,
        max_retries=max_retries,
        timeout_ms=int(seconds(timeout, "timeout") * 1000),
        task=task,
        payload="{}",
        headers=headers,
        tags=list(tags),
        enqueued_at=now,
        has_key=False,
        expires=None,
        until=None,
        lease=0,
        queue=queue,
    )
    noted = _NotedRun(job, now + timedelta(seconds=seconds(timeout, "timeout")), resumed, cancelled=cancelled)
    return TestContext(noted, noted.said, deps)
