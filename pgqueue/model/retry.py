"""When a failed job runs again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pgqueue.model.durations import Duration, seconds
from pgqueue.model.errors import TaskError
from pgqueue.model.options import check_max_retries


def asynq_delay(retried: int) -> float:
    """Return seconds until the next attempt: n⁴ + 15 + random 0..29 × (n + 1).

    Args:
        retried: Retries so far.

    Source: Asynq's default retry delay, which credits Sidekiq. 25 retries take about 20 days.
    """
    return retried**4 + 15 + random.randint(0, 29) * (retried + 1)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a failing task is tried again, and when.

    Args:
        max_retries: Retries after the first attempt; None leaves the default of 25.
        give_up_on: Exceptions that end the job at once.
        delays: Time before the first, second, ... retry; the last one repeats. None uses Asynq's formula.

    Raises:
        InvalidOption: A number or a length of time is out of range.
        TaskError: delays is empty, or give_up_on holds something that is no exception class.
    """

    max_retries: int | None = None
    give_up_on: Sequence[type[BaseException]] = ()
    delays: Sequence[Duration] | None = None

    def __post_init__(self) -> None:
        if self.max_retries is not None:
            check_max_retries(self.max_retries)
        if self.delays is not None and not (isinstance(self.delays, list | tuple) and self.delays):
            raise TaskError(
                f"delays={self.delays!r} is not a list of lengths of time.", 'Pass at least one, as in ["10s", "1m"].'
            )
        if not isinstance(self.give_up_on, list | tuple):
            raise TaskError(
                f"give_up_on={self.give_up_on!r} is not a list of exception classes.", "Pass some, as in [ValueError]."
            )
        for kind in self.give_up_on:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise TaskError(f"give_up_on holds {kind!r}, which is no exception class.", "Pass exception classes.")
        for delay in self.delays or ():
            seconds(delay, "delays")

    def delay(self, retried: int) -> float:
        """Return seconds until the next attempt, after ``retried`` retries."""
        if self.delays is None:
            return asynq_delay(retried)
        return seconds(self.delays[min(retried, len(self.delays) - 1)], "delays")
