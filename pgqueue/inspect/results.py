"""What a caller asks of its own jobs: where they stand, what they returned. The one logic for blocking and awaiting.

A wait looks again and again. The pause grows with the wait, to a tenth of it and at most a second, so that an answer is
late by a tenth at most and a thousand waiters ask for little; it needs no LISTEN, and works behind every pooler
(docs/decisions/0011-waiting-by-looking.md).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import anyio

from pgqueue.backend import AskCancel, AskEnds, AskStates, Ended, Question
from pgqueue.inspect.actor import who
from pgqueue.model.clock import Clock
from pgqueue.model.durations import Duration, seconds
from pgqueue.model.errors import JobFailed, JobNotCommitted, JobNotFound, PgQueueError, WaitTimeout
from pgqueue.model.payloads import Payloads
from pgqueue.model.plans import Plan, acarry_out, carry_out
from pgqueue.model.states import FINAL, JobState
from pgqueue.tasks import Job, Registry

SHORTEST_PAUSE = 0.01
LONGEST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Let so many seconds pass."""

    seconds: float


Step: TypeAlias = Question | Pause


class Asked(Protocol):
    """Who answers: the half of ``backend.ProducerBackend`` that is asked."""

    def ask(self, question: Question) -> Any:
        """Answer a question."""
        ...

    async def aask(self, question: Question) -> Any:
        """Answer a question without blocking the event loop."""
        ...


class Results:
    """Answers what a ``Job`` asks. See ``tasks.JobResults``.

    Args:
        registry: Where the task says of which type its result is.
        payloads: What results may be stored by.
        clock: Monotonic seconds.
    """

    def __init__(self, backend: Asked, registry: Registry, payloads: Payloads, clock: Clock) -> None:
        self._backend = backend
        self._payloads = payloads
        self._registry = registry
        self._clock = clock

    def status(self, job: Job[Any]) -> JobState:
        """Return where a job stands."""
        return carry_out(self._status(job), self._do)

    async def astatus(self, job: Job[Any]) -> JobState:
        """Return where a job stands."""
        return await acarry_out(self._status(job), self._ado)

    def wait(self, jobs: Sequence[Job[Any]], timeout: Duration | None) -> list[JobState]:
        """Wait until all have ended; return their states in order."""
        return carry_out(self._wait(jobs, timeout), self._do)

    async def await_(self, jobs: Sequence[Job[Any]], timeout: Duration | None) -> list[JobState]:
        """Wait until all have ended; return their states in order."""
        return await acarry_out(self._wait(jobs, timeout), self._ado)

    def gather(self, jobs: Sequence[Job[Any]], timeout: Duration | None) -> list[Any]:
        """Wait until all have ended; return their results in order."""
        return carry_out(self._gather(jobs, timeout), self._do)

    async def agather(self, jobs: Sequence[Job[Any]], timeout: Duration | None) -> list[Any]:
        """Wait until all have ended; return their results in order."""
        return await acarry_out(self._gather(jobs, timeout), self._ado)

    def cancel(self, job: Job[Any]) -> str:
        """Cancel a job."""
        return carry_out(self._cancel(job), self._do)

    async def acancel(self, job: Job[Any]) -> str:
        """Cancel a job."""
        return await acarry_out(self._cancel(job), self._ado)

    def _do(self, step: Step) -> Any:
        return time.sleep(step.seconds) if isinstance(step, Pause) else self._backend.ask(step)

    async def _ado(self, step: Step) -> Any:
        return await (anyio.sleep(step.seconds) if isinstance(step, Pause) else self._backend.aask(step))

    def _status(self, job: Job[Any]) -> Plan[Step, JobState]:
        return (yield from self._states([job]))[job.id]

    def _states(self, jobs: Sequence[Job[Any]]) -> Plan[Step, dict[str, JobState]]:
        answer = yield _ask(jobs)
        missing = [job for job in jobs if answer[job.id] in ("not found", "uncommitted")]
        if missing:  # it may have been committed between the two looks that make one answer
            answer = {**answer, **(yield _ask(missing))}
        for job in jobs:
            if answer[job.id] not in set(JobState):
                raise _absent(job, answer[job.id])
        return {job_id: JobState(state) for job_id, state in answer.items()}

    def _wait(self, jobs: Sequence[Job[Any]], timeout: Duration | None) -> Plan[Step, list[JobState]]:
        limit = None if timeout is None else seconds(timeout, "timeout")
        began = self._clock()
        ended: dict[str, JobState] = {}
        waiting = list(jobs)
        while waiting:
            states = yield from self._states(waiting)
            ended.update({job_id: state for job_id, state in states.items() if state in FINAL})
            waiting = [job for job in waiting if job.id not in ended]
            if not waiting:
                break
            waited = self._clock() - began
            pause = min(max(SHORTEST_PAUSE, waited / 10), LONGEST_PAUSE)
            if limit is not None and waited >= limit:
                raise _timeout(waiting[0], states[waiting[0].id], limit, len(waiting))
            yield Pause(pause if limit is None else min(pause, limit - waited))
        return [ended[job.id] for job in jobs]

    def _gather(self, jobs: Sequence[Job[Any]], timeout: Duration | None) -> Plan[Step, list[Any]]:
        limit = left = None if timeout is None else seconds(timeout, "timeout")
        began = self._clock()
        ends: dict[str, Ended] = {}
        while waiting := [job for job in jobs if job.id not in ends]:  # again, if an operator brings one back meanwhile
            yield from self._wait(waiting, left)
            ends.update((yield AskEnds([job.id for job in waiting])))
            left = None if limit is None else max(0.0, limit - (self._clock() - began))
        return [self._value(job, ends[job.id]) for job in jobs]

    def _value(self, job: Job[Any], end: Ended) -> Any:
        if end.state != JobState.SUCCEEDED or end.error_type is not None:
            raise _failed(job, end)
        task = self._registry.find(end.task)
        value = self._payloads.open_result(end.result)
        return value if task is None else task.shape.decode_result(value)

    def _cancel(self, job: Job[Any]) -> Plan[Step, str]:
        if job.origin is not None:
            yield from self._states([job])  # in another database the id is another job's
        outcome: str = yield AskCancel(job.id, who())
        if outcome == "not found":
            yield from self._states([job])  # says why
            raise _absent(job, outcome)
        return outcome


def _ask(jobs: Sequence[Job[Any]]) -> AskStates:
    return AskStates([job.id for job in jobs], [job.origin for job in jobs])


def _absent(job: Job[Any], answer: str) -> PgQueueError:
    if answer == "uncommitted":
        return JobNotCommitted(
            f"The transaction that enqueued job {job.id} is still open, so nothing can run it yet.",
            "Commit it first, then wait.",
        )
    if answer == "elsewhere" and job.origin is not None:
        return JobNotFound(
            f"Job {job.id} is in the database {job.origin.database!r}, and this application asks another one.",
            "Ask a PgQueue of that database: pgq.job(job.id).",
        )
    if answer == "rolled back":
        return JobNotFound(
            f"Job {job.id} never existed: the transaction that enqueued it was rolled back.", "Enqueue it again."
        )
    return JobNotFound(
        f"There is no job {job.id}.",
        "It is past its retention, was enqueued elsewhere, or was rolled back with a savepoint.",
    )


def _timeout(job: Job[Any], state: JobState, limit: float, others: int) -> WaitTimeout:
    more = f", nor have {others - 1} others" if others > 1 else ""
    task = f" of {job.task}" if job.task else ""
    queue = f"the queue {job.queue!r}" if job.queue else "its queue"
    return WaitTimeout(
        f"Job {job.id}{task} has not ended in {limit:g} s, it is {state}{more}.",
        f"Wait longer, or see whether {queue} is paused and a worker that knows the task serves it: pgqueue queues list",
    )


def _failed(job: Job[Any], end: Ended) -> JobFailed:
    why = f" ({end.error_type}: {(end.error or '').splitlines()[0] if end.error else ''})" if end.error_type else ""
    return JobFailed(
        f"Job {job.id} of {end.task} is {end.state} and has no result{why}.",
        f"See: pgqueue jobs show {job.id}",
        state=end.state,
        error_type=end.error_type,
        traceback=end.traceback,
    )
