"""From the end of a run to what is recorded and told of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from pgqueue.backend import Outcome, Verdict
from pgqueue.model.job import ClaimedJob
from pgqueue.model.payloads import Payloads
from pgqueue.model.traces import trace_id
from pgqueue.tasks import Declaration
from pgqueue.telemetry.events import Events
from pgqueue.worker.calls import Calls
from pgqueue.worker.finisher import Finisher
from pgqueue.worker.hooks import HookKind, HookRunner, hook_kind
from pgqueue.worker.reports import Report
from pgqueue.worker.run import Desk, uncommitted
from pgqueue.worker.slot import Slot, uncancel
from pgqueue.worker.state import WorkerState
from pgqueue.worker.verdicts import Judgement, describe, judge, summarise, unknown_task_pause

RETURN_PAUSE = 60.0
_TOLD = {
    "dead": "job.dead",
    "poison": "job.dead",
    "retry": "job.retried",
    "crashed": "job.retried",
    "release": "job.unreadable",
    "snooze": "job.snoozed",
    "cancelled": "job.cancelled",
}


class Endings:
    """Records and tells how runs ended."""

    def __init__(
        self,
        state: WorkerState,
        payloads: Payloads,
        finisher: Finisher,
        calls: Calls,
        desk: Desk,
        hooks: HookRunner,
        events: Events,
    ) -> None:
        self._state = state
        self._payloads = payloads
        self._finisher = finisher
        self._calls = calls
        self._desk = desk
        self._hooks = hooks
        self._success_hooks = hooks.of_all("success")
        self._events = events

    async def conclude(
        self, slot: Slot, job: ClaimedJob, task: Declaration, value: Any, error: BaseException | None
    ) -> None:
        """Record a run whose handler was called."""
        ended_well = error is None and slot.reason in (None, "stop")
        if ended_well and slot.reason == "stop":
            uncancel()  # it succeeded all the same
        if ended_well and isinstance(value, Report):
            await self._report(slot, job, task, value)
        elif ended_well and not (slot.run is not None and slot.run.completed):
            await self._call_hooks("success", slot, job, task, value)
            self.succeed(slot, job, task, value)
        else:
            await self._fail(slot, job, task, error)

    def unstarted(self, job: ClaimedJob, task: Declaration | None) -> None:
        """Record a job whose handler is not called: its task is unknown, or its time to start is over."""
        if task is None:
            pause = unknown_task_pause(job)
            self._finisher.add_later(Outcome(job.id, job.run, job.lease, "release", pause, None, None))
            self._events.emit("job.unknown_task", job=job.id, task=job.task, queue=job.queue, again_in=pause)
            return
        self._finisher.add(Outcome(job.id, job.run, job.lease, "expired", 0.0, None, None))
        self._events.emit("job.expired", job=job.id, task=job.task, queue=job.queue)

    async def miss(self, slot: Slot, job: ClaimedJob, task: Declaration) -> None:
        """Record a job whose deadline has passed before its handler was called: no attempt could succeed."""
        error = TimeoutError("The job's deadline had passed before the attempt began.")
        judgement = Judgement("dead", 0.0, describe(error))
        await self._hook(slot, job, task, judgement, error)
        self._record(slot, job, judgement)

    def mishap(self, job: ClaimedJob, started: float, error: Exception) -> None:
        """Hand back a job over an error of our own."""
        outcome = Outcome(job.id, job.run, job.lease, "release", RETURN_PAUSE, started, describe(error))
        self._finisher.add_later(outcome)
        self._events.tell_failure("slot", error, RETURN_PAUSE)

    def is_watched(self, task: Declaration) -> bool:
        """Whether somebody wants to know of a success."""
        return bool(self._events.successes or task.hooks.success or self._success_hooks)

    def succeed(self, slot: Slot, job: ClaimedJob, task: Declaration, value: object) -> None:
        """Record a success with its result; one that cannot be kept is said beside it, for the work is done."""
        result, unkept = None if slot.run is None else slot.run.value, None
        if value is not None:
            try:
                result = self._payloads.result(task.shape, value)
            except Exception as error:  # noqa: BLE001 - a value may be anything
                unkept = describe(error)
        if slot.run is None and not self._events.successes:  # the usual end
            self._finisher.add(Outcome(job.id, job.run, job.lease, "succeeded", 0.0, slot.started, unkept, result))
        else:
            self._record(slot, job, Judgement("succeeded", 0.0, unkept), result)

    async def _report(self, slot: Slot, job: ClaimedJob, task: Declaration, report: Report) -> None:
        """Record what a child process reports."""
        if report.verdict == "succeeded":
            value = None if report.result is None else self._payloads.open_result(json.loads(report.result))
            await self._call_hooks("success", slot, job, task, value)
        judgement = self._in_time(job, Judgement(report.verdict, report.delay, report.error))
        said = None if slot.run is None else slot.run.value
        if slot.run is None or not slot.run.completed:
            await self._hook(slot, job, task, judgement, None)
        self._record(slot, job, judgement, report.result or said)

    async def _fail(self, slot: Slot, job: ClaimedJob, task: Declaration, error: BaseException | None) -> None:
        """Record a run that did not simply succeed."""
        reason, completed = slot.reason, slot.run is not None and slot.run.completed
        if reason is not None:
            uncancel()
        elif isinstance(error, asyncio.CancelledError):
            if self._finisher.is_being_cancelled:
                raise error  # the event loop ends, and all its tasks
            uncancel()
        if reason == "lost":  # another worker has it, unless the handler's own transaction ended it
            return
        cause = self._cause(slot, job, error)
        judgement = self._in_time(job, self._judge(slot, job, task, cause))
        if judgement.mishap is not None:
            self._events.emit("service.failed", service="retry policy", error=summarise(judgement.mishap))
        if not completed:
            await self._hook(slot, job, task, judgement, cause)
        self._record(slot, job, judgement, None if slot.run is None else slot.run.value)

    def _cause(self, slot: Slot, job: ClaimedJob, error: BaseException | None) -> BaseException | None:
        """Return why a run failed; None: it did not."""
        if slot.run is not None and slot.run.completed and (error is None or slot.reason is not None):
            return uncommitted()
        if slot.reason != "timeout":
            return error
        if job.until is not None and slot.started + job.timeout_ms / 1000 > job.until:
            return TimeoutError("The attempt ran past the job's deadline.")
        return TimeoutError(f"The attempt took longer than its timeout of {job.timeout_ms / 1000:g} s.")

    def _judge(self, slot: Slot, job: ClaimedJob, task: Declaration, cause: BaseException | None) -> Judgement:
        if slot.reason == "stop":
            return Judgement("release", 0.0, None)
        if slot.reason == "cancelled":
            return Judgement("cancelled", 0.0, None)
        assert cause is not None
        return judge(cause, job, task.retry)

    def _in_time(self, job: ClaimedJob, judgement: Judgement) -> Judgement:
        """Give up on a job that would run again after its deadline."""
        if job.until is None or judgement.verdict not in ("retry", "snooze"):
            return judgement
        if self._state.clock() + judgement.delay < job.until:
            return judgement
        return judgement._replace(verdict="dead", delay=0.0)

    async def _hook(
        self, slot: Slot, job: ClaimedJob, task: Declaration, judgement: Judgement, error: BaseException | None
    ) -> None:
        kind = hook_kind(judgement.verdict)
        if kind is not None and kind != "success":
            told = error if error is not None else RuntimeError(summarise(judgement.error))
            await self._call_hooks(kind, slot, job, task, told)

    async def _call_hooks(self, kind: HookKind, slot: Slot, job: ClaimedJob, task: Declaration, told: Any) -> None:
        """Call what wants to know. A stop cuts that short; the outcome is recorded all the same."""
        if not self._hooks.wanted(kind, task):
            return
        try:
            await self._hooks.run(kind, task, self._calls.context(slot, job), told)
        except asyncio.CancelledError:
            if self._finisher.is_being_cancelled:
                raise
            uncancel()

    def _record(self, slot: Slot, job: ClaimedJob, judgement: Judgement, result: str | None = None) -> None:
        verdict, delay, error = judgement[:3]
        add = self._finisher.add_later if delay else self._finisher.add
        add(Outcome(job.id, job.run, job.lease, verdict, delay, slot.started, error, result))
        if verdict == "succeeded":
            if slot.run is not None and slot.run.kept:
                self._finisher.when_done(job, lambda: self._desk.forget(job))
            if self._events.successes:
                self._tell_success(job, self._facts(slot, job))
            return
        name, facts = self._telling(slot, job, verdict, delay, error)
        if slot.run is not None and slot.run.completed:  # the database knows which of the two it was
            success = self._facts(slot, job)
            if self._events.successes:
                self._finisher.when_settled(job, lambda: self._tell_success(job, success))
            self._finisher.when_done(job, lambda: self._events.emit(name, **facts))
        elif error is not None or verdict == "cancelled":
            self._events.emit(name, **facts)

    def _telling(
        self, slot: Slot, job: ClaimedJob, verdict: Verdict, delay: float, error: str | None
    ) -> tuple[str, dict[str, Any]]:
        """Return the event of a run that did not succeed."""
        name = _TOLD.get(verdict, "")
        facts: dict[str, Any] = {"job": job.id, "task": job.task, "attempt": job.attempt + 1, **self._facts(slot, job)}
        if error is not None:
            facts["error"] = summarise(error)
            if name == "job.unreadable" and "SignatureMismatch" in error[:100]:
                name = "job.mismatch"
            if name == "job.dead":
                facts["traceback"] = json.loads(error).get("traceback")
        if delay:
            facts["again_in"] = round(delay, 2)
        return name, facts

    def _tell_success(self, job: ClaimedJob, facts: Mapping[str, Any]) -> None:
        self._events.emit("job.succeeded", job=job.id, task=job.task, attempt=job.attempt + 1, **facts)

    def _facts(self, slot: Slot, job: ClaimedJob) -> dict[str, Any]:
        facts = {"queue": job.queue, "run": job.run, "seconds": self._state.clock() - slot.started}
        trace = trace_id(job.headers)
        return facts if trace is None else {**facts, "trace_id": trace}
