"""Background jobs on the PostgreSQL that your application already has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgqueue.app import PgQueue
from pgqueue.model.errors import (
    BackendUnavailable,
    ChildDied,
    ConfigurationError,
    EmbeddedUnavailable,
    GiveUp,
    HandleError,
    HandlerFailed,
    InvalidArguments,
    InvalidOption,
    InvalidPayload,
    InvalidSchedule,
    JobExists,
    JobFailed,
    JobLost,
    JobNotCommitted,
    JobNotFound,
    PayloadUnreadable,
    PgQueueError,
    RetryAfter,
    SchemaError,
    SignatureMismatch,
    Snooze,
    TaskError,
    WaitTimeout,
)
from pgqueue.model.job import JobSpec
from pgqueue.model.retry import Exponential, RetryPolicy
from pgqueue.model.states import JobState
from pgqueue.model.unique import Unique
from pgqueue.postgres.embedded import EmbeddedServer, embedded
from pgqueue.tasks import AsyncTask, Job, JobContext, SyncTask, Task, current
from pgqueue.version import __version__

if TYPE_CHECKING:
    from pgqueue.contrib.sqlalchemy import metadata

__all__ = [
    "AsyncTask",
    "BackendUnavailable",
    "ChildDied",
    "ConfigurationError",
    "EmbeddedServer",
    "EmbeddedUnavailable",
    "Exponential",
    "GiveUp",
    "HandleError",
    "HandlerFailed",
    "InvalidArguments",
    "InvalidOption",
    "InvalidPayload",
    "InvalidSchedule",
    "Job",
    "JobContext",
    "JobExists",
    "JobFailed",
    "JobLost",
    "JobNotCommitted",
    "JobNotFound",
    "JobSpec",
    "JobState",
    "PayloadUnreadable",
    "PgQueue",
    "PgQueueError",
    "RetryAfter",
    "RetryPolicy",
    "SchemaError",
    "SignatureMismatch",
    "Snooze",
    "SyncTask",
    "Task",
    "TaskError",
    "Unique",
    "WaitTimeout",
    "__version__",
    "current",
    "embedded",
    "metadata",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import SQLAlchemy only for those who ask for ``pgqueue.metadata``."""
        if name == "metadata":
            from pgqueue.contrib.sqlalchemy import metadata

            return metadata
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
