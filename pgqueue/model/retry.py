"""When a failed job runs again, and which errors end it."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pgqueue.model.conversion import short
from pgqueue.model.durations import Duration, seconds
from pgqueue.model.errors import GiveUp, InvalidOption, RetryAfter, Snooze, TaskError
from pgqueue.model.options import check_max_retries

ErrorClasses: TypeAlias = Sequence[type[BaseException]]
Classes: TypeAlias = tuple[type[BaseException], ...]
DelayFunction: TypeAlias = Callable[[int, BaseException], Duration]
Treatment: TypeAlias = Literal["give up", "retry", "retry uncounted"]

LARGEST_FACTOR = 1000.0
_ASKED: Classes = (RetryAfter, Snooze)  # in a group of several: failures that are tried again


def asynq_delay(retried: int) -> float:
    """Return seconds until the next attempt: n⁴ + 15 + random 0..29 × (n + 1).

    Args:
        retried: Retries so far.

    Source: Asynq's default retry delay, which credits Sidekiq. 25 retries take about 20 days.
    """
    return retried**4 + 15 + random.randint(0, 29) * (retried + 1)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Pauses that grow by a factor up to a longest one.

    Args:
        first: The pause before the first retry.
        factor: By which each pause is longer than the one before, 1 to 1000.
        most: The longest pause.
        jitter: Share of each pause, 0 to 1, of which a random part is taken off, so that jobs that failed together do
            not come back together.

    Raises:
        InvalidOption: A number or a length of time is out of range.
    """

    first: Duration
    factor: float = 2.0
    most: Duration = "1h"
    jitter: float = 0.1

    def __post_init__(self) -> None:
        if seconds(self.first, "first") > seconds(self.most, "most"):
            raise InvalidOption(
                f"first={short(self.first)} is longer than most={short(self.most)}.", "Pass a longer most=."
            )
        if not _is_between(self.factor, 1, LARGEST_FACTOR):
            raise InvalidOption(
                f"factor={short(self.factor)} is not a number from 1 to {LARGEST_FACTOR:g}.", "2 doubles each pause."
            )
        _check_jitter(self.jitter)

    def pause(self, retried: int) -> float:
        """Return seconds until the next attempt, after ``retried`` retries."""
        first, most = seconds(self.first, "first"), seconds(self.most, "most")
        try:
            return _jittered(min(most, first * float(self.factor) ** retried), self.jitter)
        except OverflowError:  # beyond what a float holds
            return _jittered(most if first else 0.0, self.jitter)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a failing task is tried again, and when.

    Args:
        max_retries: Retries after the first attempt; None leaves the default of 25.
        give_up_on: Exceptions that end the job at once.
        delays: Time before the first, second, ... retry; the last one repeats.
        retry_on: Only these are tried again, any other ends the job at once; None: all. ``give_up_on`` wins.
        uncounted: Tried again without using up an attempt, however often. Source of the rule: Asynq's IsFailure.
        backoff: Pauses that grow.
        delay: Called with the retries so far and the error; returns the pause. Must be quick: it runs on the event loop.
        jitter: Share of a pause of ``delays`` or ``delay``, 0 to 1, of which a random part is taken off.

    At most one of ``delays``, ``backoff`` and ``delay``; without any, Asynq's formula. A group of exceptions is judged
    by the worst in it.

    Raises:
        InvalidOption: A number or a length of time is out of range.
        TaskError: A list holds something else than exception classes or times, or two say when.
    """

    max_retries: int | None = None
    give_up_on: ErrorClasses = ()
    delays: Sequence[Duration] | None = None
    retry_on: ErrorClasses | None = None
    uncounted: ErrorClasses = ()
    backoff: Exponential | None = None
    delay: DelayFunction | None = None
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if self.max_retries is not None:
            check_max_retries(self.max_retries)
        _check_classes("give_up_on", self.give_up_on)
        _check_classes("uncounted", self.uncounted)
        if self.retry_on is not None:
            _check_classes("retry_on", self.retry_on)
        _check_delays(self.delays)
        _check_backoff(self.backoff)
        _check_function(self.delay)
        _check_jitter(self.jitter)
        self._check_together()

    def _check_together(self) -> None:
        given = [name for name in ("delays", "backoff", "delay") if getattr(self, name) is not None]
        if len(given) > 1:
            raise TaskError(f"{' and '.join(given)} both say when a job runs again.", "Pass one of them.")
        if self.jitter and given not in (["delays"], ["delay"]):
            raise TaskError(
                f"jitter={self.jitter!r} goes with delays= or delay=, and neither is given.",
                "Write backoff=Exponential(..., jitter=...); without any of them, Asynq's formula has its own.",
            )

    def treatment(self, error: BaseException) -> Treatment:
        """Say what this policy does with an error, whatever the retries left; of a group, with the worst in it."""
        inside = list(leaves(error))
        give_up: Classes = (GiveUp, *self.give_up_on)
        if any(isinstance(one, give_up) for one in (error, *inside)):
            return "give up"
        uncounted = tuple(self.uncounted)
        if _is_all(error, inside, uncounted):
            return "retry uncounted"
        retried: Classes | None = None if self.retry_on is None else (*self.retry_on, *uncounted, *_ASKED)
        return "retry" if retried is None or _is_all(error, inside, retried) else "give up"

    def pause(self, retried: int, error: BaseException) -> float:
        """Return seconds until the next attempt, after ``retried`` retries.

        Raises:
            InvalidOption: ``delay`` returned no length of time.
            BaseException: Whatever ``delay`` raises.
        """
        if self.backoff is not None:
            return self.backoff.pause(retried)
        if self.delay is not None:
            return _jittered(seconds(self.delay(retried, error), "What delay returned"), self.jitter)
        if self.delays is not None:
            return _jittered(seconds(self.delays[min(retried, len(self.delays) - 1)], "delays"), self.jitter)
        return asynq_delay(retried)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in a group and in its groups, or the one that is none; no depth of groups is too deep."""
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(reversed(one.exceptions))
        else:
            yield one


def _is_all(error: BaseException, inside: Sequence[BaseException], classes: Classes) -> bool:
    return isinstance(error, classes) or all(isinstance(one, classes) for one in inside)


def _jittered(pause: float, jitter: float) -> float:
    return pause * (1.0 - jitter * random.random()) if jitter else pause


def _is_between(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _check_jitter(value: object) -> None:
    if not _is_between(value, 0, 1):
        raise InvalidOption(f"jitter={short(value)} is not a number from 0 to 1.", "0.1 takes off up to a tenth.")


def _check_classes(option: str, classes: object) -> None:
    if not isinstance(classes, list | tuple):
        raise TaskError(
            f"{option}={short(classes)} is not a list of exception classes.", "Pass some, as in [ValueError]."
        )
    for kind in classes:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TaskError(f"{option} holds {short(kind)}, which is no exception class.", "Pass exception classes.")


def _check_delays(delays: object) -> None:
    if delays is None:
        return
    if not (isinstance(delays, list | tuple) and delays):
        raise TaskError(
            f"delays={short(delays)} is not a list of lengths of time.", 'Pass at least one, as in ["10s", "1m"].'
        )
    for delay in delays:
        seconds(delay, "delays")


def _check_backoff(backoff: object) -> None:
    if backoff is not None and not isinstance(backoff, Exponential):
        raise TaskError(f"backoff={short(backoff)} is not an Exponential.", 'Write backoff=Exponential("2s").')


def _check_function(delay: object) -> None:
    if delay is None:
        return
    if not callable(delay):
        raise TaskError(
            f"delay={short(delay)} is not a function of the retries so far and the error.",
            'Write delays=["10s"] for a fixed time, or delay=lambda retried, error: 10 * (retried + 1).',
        )
    if inspect.iscoroutinefunction(delay) or inspect.isgeneratorfunction(delay):
        raise TaskError(f"delay={short(delay)} returns no length of time when it is called.", "Pass a plain def.")
    try:
        inspect.signature(delay).bind(0, Exception())
    except TypeError as error:
        raise TaskError(
            f"delay={short(delay)} cannot be called with the retries so far and the error ({error}).",
            "Give it these two parameters.",
        ) from None
    except ValueError:  # written in C, and it does not say what it takes
        return
