"""What a child process reports of a run."""

from __future__ import annotations

from typing import NamedTuple

from pgqueue.backend import Verdict


class Report(NamedTuple):
    """How a handler in a child process ended, judged there.

    Attributes:
        delay: Seconds until the job runs again; 0 where it does not.
        error: JSON of {type, message, traceback}, or None.
        result: JSON of what the task returned, or None.
    """

    verdict: Verdict
    delay: float
    error: str | None
    result: str | None
