"""A clock that the test moves, and jobs and states made of nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from pgqueue.backend import Outcome, Verdict, WorkerInfo
from pgqueue.model.job import ClaimedJob
from pgqueue.worker.state import Timing, WorkerState

OWN = 1


class Hands:
    """A clock: call it for the time, set ``now`` to move it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def state_of(clock: Hands, weights: Mapping[str, int] | None = None, timing: Timing | None = None) -> WorkerState:
    """Return the state of a worker that holds its lease."""
    chosen = weights or {"default": 1}
    info = WorkerInfo(OWN, "here:1", "here", 1, "0", tuple(chosen), 10)
    return WorkerState(info, clock, timing or Timing(), chosen, lease_until=float("inf"))


def job_of(
    number: int, queue: str = "default", *, lease: int = 7, run: int = 1, attempt: int = 0, max_retries: int = 25
) -> ClaimedJob:
    """Return a claimed job."""
    enqueued = datetime.now(UTC)
    head = (number, run, attempt, 0, max_retries, 1000, "note", "{}")
    return ClaimedJob(*head, None, None, enqueued, False, None, None, lease, queue)


def outcome_of(number: int, lease: int = 7, verdict: Verdict = "succeeded") -> Outcome:
    """Return an outcome."""
    return Outcome(number, 1, lease, verdict, 0.0, 0.0, None)
