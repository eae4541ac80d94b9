"""From what a handler did to what becomes of its job: pure, no I/O."""

from __future__ import annotations

import inspect
import json
import traceback
from typing import NamedTuple

from pgqueue.backend import Verdict
from pgqueue.model.durations import seconds
from pgqueue.model.errors import GiveUp, InvalidOption, PayloadUnreadable, RetryAfter, Snooze, TaskError, message_of
from pgqueue.model.job import ClaimedJob
from pgqueue.model.retry import RetryPolicy

LONGEST_SUMMARY = 300
LONGEST_MESSAGE = 10_000
LONGEST_TRACEBACK = 30_000
LONGEST_UNKNOWN_PAUSE = 60.0


class Judgement(NamedTuple):
    """A verdict, the seconds until the job runs again (0 where it does not), and the error as JSON."""

    verdict: Verdict
    delay: float
    error: str | None


def judge(error: BaseException, job: ClaimedJob, policy: RetryPolicy) -> Judgement:
    """Say what becomes of a job whose handler raised.

    Args:
        error: What it raised.
        policy: The task's; how often is the job's own ``max_retries``.
    """
    described = describe(error)
    if isinstance(error, PayloadUnreadable):
        return Judgement("release", unknown_task_pause(job), described)
    try:
        if isinstance(error, Snooze):
            return Judgement("snooze", seconds(error.delay, "Snooze"), described)
        asked = seconds(error.delay, "RetryAfter") if isinstance(error, RetryAfter) else None
    except InvalidOption as invalid:
        return _after_failure(describe(invalid), job, policy, None)
    if isinstance(error, (GiveUp, *policy.give_up_on)):
        return Judgement("dead", 0.0, described)
    return _after_failure(described, job, policy, asked)


def _after_failure(error: str, job: ClaimedJob, policy: RetryPolicy, asked: float | None) -> Judgement:
    if job.attempt >= job.max_retries:
        return Judgement("dead", 0.0, error)
    return Judgement("retry", policy.delay(job.attempt) if asked is None else asked, error)


def unrun(value: object) -> TaskError | None:
    """Return the error of a handler that returned what somebody would have to run; a decorator may hide that it is async."""
    if not (inspect.iscoroutine(value) or inspect.isgenerator(value) or inspect.isasyncgen(value)):
        return None
    if not inspect.isasyncgen(value):
        value.close()
    return TaskError(
        f"The handler returned a {type(value).__name__} that nothing runs, so its work was not done.",
        "Decorate an async def with decorators that are async too.",
    )


def unknown_task_pause(job: ClaimedJob) -> float:
    """Return the seconds until another worker may meet the job: 1, doubled with each hand-out, at most 60."""
    return min(LONGEST_UNKNOWN_PAUSE, 2.0 ** min(job.run - 1, 6))


def describe(error: BaseException) -> str:
    """Return an exception as JSON of type, message and traceback, made storable and of bounded size."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return json.dumps(
        {
            "type": name,
            "message": _storable(message_of(error)[:LONGEST_MESSAGE]),
            "traceback": _storable(_trace(error)[-LONGEST_TRACEBACK:]),
        }
    )


def summarise(described: str | None) -> str:
    """Return type and first line of an error that ``describe`` described."""
    error = json.loads(described or "{}")
    return f"{error.get('type')}: {error.get('message')}".split("\n", 1)[0][:LONGEST_SUMMARY]


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except BaseException as broken:  # noqa: BLE001 - a handler's exception may be anything
        return f"(no traceback: {type(broken).__name__})"


def _storable(text: str) -> str:
    """jsonb holds neither NUL nor lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
