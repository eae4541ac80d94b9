"""States of a job, and every transition with the statement that makes it."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    SCHEDULED = "scheduled"
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


LIVE = frozenset({JobState.SCHEDULED, JobState.READY, JobState.RUNNING})
FINAL = frozenset(JobState) - LIVE

# statement -> (from, to); "-" is: not yet a job. A test compares this with the headers of the SQL files.
TRANSITIONS: dict[str, frozenset[tuple[str, str]]] = {
    "jobs/enqueue": frozenset({("-", "ready"), ("-", "scheduled")}),
    "jobs/enqueue_keyed": frozenset(
        {("-", "ready"), ("-", "scheduled")} | {(a, b) for a in ("ready", "scheduled") for b in ("ready", "scheduled")}
    ),
    "jobs/copy": frozenset({("-", "ready")}),
    "ready/copy": frozenset({("-", "ready")}),
    "scheduled/promote": frozenset({("scheduled", "ready")}),
    "ready/claim": frozenset({("ready", "running")}),
    "lease/finish": frozenset(
        ("running", state) for state in ("succeeded", "dead", "cancelled", "expired", "ready", "scheduled")
    ),
    "lease/release": frozenset({("running", "ready")}),
    "worker/rescue": frozenset({("running", "ready"), ("running", "dead")}),
    "jobs/complete": frozenset({("running", "succeeded")}),
    "jobs/cancel": frozenset({("ready", "cancelled"), ("scheduled", "cancelled")}),
    "jobs/retry": frozenset({("dead", "ready"), ("cancelled", "ready"), ("expired", "ready")}),
}
