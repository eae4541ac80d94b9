"""Every error that a caller may meet. Each message names the value, the rule and the remedy."""

from __future__ import annotations

__all__ = [
    "BackendUnavailable",
    "ChildDied",
    "ConfigurationError",
    "EmbeddedUnavailable",
    "GiveUp",
    "HandleError",
    "HandlerFailed",
    "InvalidArguments",
    "InvalidOption",
    "InvalidPayload",
    "InvalidSchedule",
    "JobExists",
    "JobFailed",
    "JobLost",
    "JobNotCommitted",
    "JobNotFound",
    "PayloadUnreadable",
    "PgQueueError",
    "RetryAfter",
    "SchemaError",
    "SignatureMismatch",
    "Snooze",
    "TaskError",
    "WaitTimeout",
]


class PgQueueError(Exception):
    """Base of all errors of this package.

    Args:
        problem: One sentence with the value and the rule that it breaks.
        remedy: One sentence that says what to do.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem
        self.remedy = remedy


class ConfigurationError(PgQueueError):
    """The application is set up in a way that cannot work."""


class TaskError(PgQueueError, ValueError):
    """A task is declared in a way that cannot work."""


class InvalidOption(PgQueueError, ValueError):
    """An option of a job is outside its range."""


class InvalidSchedule(PgQueueError, ValueError):
    """A schedule's expression, or an option of it, names no time or cannot be read."""


class InvalidArguments(PgQueueError, TypeError):
    """The arguments do not fit the task's signature."""


class InvalidPayload(PgQueueError, ValueError):
    """The arguments cannot be stored as JSON in PostgreSQL."""


class PayloadUnreadable(InvalidPayload):
    """A codec's payload cannot be opened here: the codec or its key is missing, or the payload was changed."""


class HandleError(PgQueueError, TypeError):
    """The connection or session given to ``using`` cannot carry the job."""


class BackendUnavailable(PgQueueError):
    """The database cannot be reached, or the connection broke; the same call may work later."""


class SchemaError(PgQueueError):
    """The database lacks pgqueue's schema, or holds another version of it."""


class JobNotFound(PgQueueError, LookupError):
    """No job has this id, or it is past its retention."""


class JobExists(PgQueueError):
    """Another job holds the key, and the caller asked to be told.

    Attributes:
        job_id: The job that holds it; None: another one of the same bulk. Nothing was written.
    """

    def __init__(self, problem: str, remedy: str, job_id: str | None) -> None:
        super().__init__(problem, remedy)
        self.job_id = job_id


class JobFailed(PgQueueError):
    """The job has no result, for it did not succeed.

    Attributes:
        state: dead, cancelled or expired.
        error_type: Class of the exception that ended it.
        traceback: Its traceback.
    """

    def __init__(self, problem: str, remedy: str, *, state: str, error_type: str | None, traceback: str | None) -> None:
        super().__init__(problem, remedy)
        self.state = state
        self.error_type = error_type
        self.traceback = traceback


class JobLost(PgQueueError):
    """The job is not this run's any more: cancelled, or handed to another worker. Undo what this transaction did."""


class JobNotCommitted(PgQueueError):
    """The transaction that enqueued the job is still open, so nothing can run it yet."""


class SignatureMismatch(PgQueueError, TypeError):
    """The stored arguments are not those that the task takes in this version of the application."""


class ChildDied(PgQueueError):
    """The child process that ran the handler ended before the handler did."""


class HandlerFailed(PgQueueError):
    """A handler in a child process did not succeed; what async middleware around it meets. Raised on, the outcome is as without.

    Attributes:
        error_type: Class of what the handler raised, as it is stored; None: it was handed back.
        error: Its message.
        traceback: Its traceback.
    """

    def __init__(
        self, problem: str, remedy: str, *, error_type: str | None, error: str | None, traceback: str | None
    ) -> None:
        super().__init__(problem, remedy)
        self.error_type = error_type
        self.error = error
        self.traceback = traceback


class WaitTimeout(PgQueueError, TimeoutError):
    """The job has not ended in the time that the caller would wait."""


class EmbeddedUnavailable(PgQueueError):
    """The embedded PostgreSQL cannot run on this machine or with these settings."""


class RetryAfter(Exception):
    """Raise in a handler: run the job again after this time. Costs an attempt.

    Args:
        delay: "30s", seconds, or a timedelta.
        reason: Stored with the attempt.
    """

    def __init__(self, delay: object, reason: str = "") -> None:
        super().__init__(reason or f"retry after {delay}")
        self.delay = delay


class Snooze(Exception):
    """Raise in a handler: run the job again after this time. Costs no attempt.

    Args:
        delay: "30s", seconds, or a timedelta.
        reason: Stored with the run.
    """

    def __init__(self, delay: object, reason: str = "") -> None:
        super().__init__(reason or f"snooze for {delay}")
        self.delay = delay


class GiveUp(Exception):
    """Raise in a handler: the job is dead, whatever its retry budget.

    Args:
        reason: Stored as the job's error.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


def message_of(error: BaseException) -> str:
    """Return an exception's message; those of handlers may be anything, also unable to say it."""
    try:
        return str(error)
    except BaseException as broken:  # noqa: BLE001 - as said
        return f"(its message cannot be shown: {type(broken).__name__})"


for _name in __all__:  # tracebacks, logs and the views show the address that users import
    globals()[_name].__module__ = "pgqueue"
