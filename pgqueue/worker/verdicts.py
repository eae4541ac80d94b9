"""From what a handler did to what becomes of its job: pure, no I/O."""

from __future__ import annotations

import inspect
import json
import traceback
from contextlib import suppress
from typing import NamedTuple

from pgqueue.backend import Verdict
from pgqueue.model.durations import seconds
from pgqueue.model.errors import (
    InvalidOption,
    PayloadUnreadable,
    RetryAfter,
    SignatureMismatch,
    Snooze,
    TaskError,
    message_of,
)
from pgqueue.model.job import ClaimedJob
from pgqueue.model.retry import RetryPolicy, asynq_delay, leaves

LONGEST_SUMMARY = 300
LONGEST_NAME = 300
LONGEST_MESSAGE = 10_000
LONGEST_TRACEBACK = 30_000
DEEPEST_TRACEBACK = 300  # frames of one exception, the last ones; reading the lines of 100,000 would take seconds
MOST_LEAVES = 5  # exceptions of a group that its message tells
LONGEST_UNKNOWN_PAUSE = 60.0
LAST_MISMATCH = 60  # hand-outs until stored arguments that no version takes count as an error; about an hour


class Judgement(NamedTuple):
    """What becomes of a job, and why.

    Attributes:
        delay: Seconds until the job runs again; 0 where it does not.
        error: The handler's, as JSON.
        mishap: What the policy's own delay function raised, as JSON; the default formula stood in.
    """

    verdict: Verdict
    delay: float
    error: str | None
    mishap: str | None = None


def judge(error: BaseException, job: ClaimedJob, policy: RetryPolicy) -> Judgement:
    """Say what becomes of a job whose handler raised.

    What a handler asks for (``RetryAfter``, ``Snooze``, ``GiveUp``) goes before the classes of the policy. Only what is
    raised counts, not its causes; a group of one, as a TaskGroup makes it, counts as that one.

    Args:
        error: What it raised.
        policy: The task's; how often is the job's own ``max_retries``.
    """
    described = describe(error)
    error = _sole(error)
    if isinstance(error, PayloadUnreadable) or (isinstance(error, SignatureMismatch) and job.run < LAST_MISMATCH):
        return Judgement("release", unknown_task_pause(job), described)
    if isinstance(error, (RetryAfter, Snooze)):
        return _as_asked(error, described, job, policy)
    treatment = policy.treatment(error)
    if treatment == "give up" or (treatment == "retry" and _is_spent(job)):
        return Judgement("dead", 0.0, described)
    return _again("retry" if treatment == "retry" else "snooze", error, described, job, policy)


def _as_asked(error: RetryAfter | Snooze, described: str, job: ClaimedJob, policy: RetryPolicy) -> Judgement:
    """Judge a handler that says itself when its job is to run again; a time that cannot be read is a failure of its own."""
    asked: Verdict = "snooze" if isinstance(error, Snooze) else "retry"
    try:
        judgement = Judgement(asked, seconds(error.delay, "Snooze" if asked == "snooze" else "RetryAfter"), described)
    except InvalidOption as invalid:
        asked, judgement = "retry", _again("retry", invalid, describe(invalid), job, policy)
    return judgement._replace(verdict="dead", delay=0.0) if asked == "retry" and _is_spent(job) else judgement


def _again(verdict: Verdict, error: BaseException, described: str, job: ClaimedJob, policy: RetryPolicy) -> Judgement:
    """Let the policy say when; its function is the user's, and whatever it raises must not cost the job."""
    try:
        return Judgement(verdict, policy.pause(job.attempt, error), described)
    except BaseException as mishap:  # noqa: BLE001 - as said
        return Judgement(verdict, asynq_delay(job.attempt), described, describe(mishap))


def _is_spent(job: ClaimedJob) -> bool:
    return job.attempt >= job.max_retries


def _sole(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


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
    name, message, trace = "(its class has no name)", "(it cannot be described)", _trace(error)
    with suppress(BaseException):  # a handler's exception may be anything
        name = _name(type(error))
        message = _told(error)
    return json.dumps(
        {
            "type": _storable(name[:LONGEST_NAME]),
            "message": _storable(message),
            "traceback": _storable(_ends(trace, LONGEST_TRACEBACK)),
        }
    )


def summarise(described: str | None) -> str:
    """Return type and first line of an error that ``describe`` described."""
    error = json.loads(described or "{}")
    return f"{error.get('type')}: {error.get('message')}".split("\n", 1)[0][:LONGEST_SUMMARY]


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _told(error: BaseException) -> str:
    """Return the message; that of a group says only how many they are, so they follow."""
    message = _beginning(error)
    if not isinstance(error, BaseExceptionGroup):
        return message
    inside = list(leaves(error))
    told = [f"{_name(type(one))}: {_beginning(one)}" for one in inside[:MOST_LEAVES]]
    if len(inside) > MOST_LEAVES:
        told.append(f"and {len(inside) - MOST_LEAVES} more")
    return f"{message}: {'; '.join(told)}"[:LONGEST_MESSAGE]


def _beginning(error: BaseException) -> str:
    return str.__getitem__(message_of(error), slice(LONGEST_MESSAGE))  # a subclass of str may do anything


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error, limit=-DEEPEST_TRACEBACK))
    except BaseException as broken:  # noqa: BLE001 - a handler's exception may be anything
        return f"(no traceback: {type(broken).__name__})"


def _ends(text: str, longest: int) -> str:
    """Return a text, or where it is too long both of its ends: where it began, and what was raised."""
    if len(text) <= longest:
        return text
    gap = f"\n… {len(text) - longest} characters left out …\n"
    half = (longest - len(gap)) // 2
    return text[:half] + gap + text[half + len(gap) - longest :]


def _storable(text: str) -> str:
    """jsonb holds neither NUL nor lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
