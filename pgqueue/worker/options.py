"""What a worker is told, checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from pgqueue.model.durations import Duration, seconds
from pgqueue.model.errors import InvalidOption
from pgqueue.model.options import check_queue, check_whole_number, is_whole_number
from pgqueue.worker.state import Timing

MOST_SLOTS = 10_000
MOST_WEIGHT = 1000


def check_weights(
    queues: Sequence[str] | None, weights: Mapping[str, int] | None, known: Sequence[str]
) -> dict[str, int]:
    """Return the queues to serve with their weights.

    Args:
        known: What is served when neither ``queues`` nor ``weights`` says.

    Raises:
        InvalidOption: Both are given, one is empty, a name is no queue name, or a weight is out of range.
    """
    if queues is not None and weights is not None:
        raise InvalidOption("queues and weights exclude each other.", "Name each queue once, in weights.")
    if queues is not None and (isinstance(queues, str) or not isinstance(queues, Iterable)):
        raise InvalidOption(f"queues={queues!r} is not a list of names.", 'Pass a list, as in ["images"].')
    if weights is not None and not isinstance(weights, Mapping):
        raise InvalidOption(f"weights={weights!r} is not a mapping.", 'Pass a dict, as in {"images": 4}.')
    chosen = dict(weights) if weights is not None else dict.fromkeys(known if queues is None else queues, 1)
    if not chosen:
        raise InvalidOption("A worker without a queue has nothing to do.", "Name a queue, or leave the option out.")
    for queue, weight in chosen.items():
        check_queue(queue)
        if not is_whole_number(weight, 1, MOST_WEIGHT):
            raise InvalidOption(
                f"The weight {weight!r} of {queue!r} is not from 1 to {MOST_WEIGHT}.", "Leave the queue out to skip it."
            )
    return chosen


def check_concurrency(value: object) -> int:
    """Return a number of slots if it is one.

    Raises:
        InvalidOption: It is no whole number from 1 to 10,000.
    """
    return check_whole_number(value, "concurrency", 1, MOST_SLOTS, "Leave it out for 100.")


def check_children(value: object) -> int:
    """Return a number of child processes; None: one a core.

    Raises:
        InvalidOption: It is no whole number from 1 to 1,000.
    """
    if value is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return check_whole_number(value, "children", 1, 1000, "Leave it out for one a core.")


def check_child_jobs(value: object) -> int:
    """Return after how many jobs a child process is replaced.

    Raises:
        InvalidOption: It is no positive whole number.
    """
    return check_whole_number(value, "child_jobs", 1, 10**9, "Leave it out for 1,000.")


def check_child_megabytes(value: object) -> int | None:
    """Return how much a child process may hold after a job; None: as much as it likes.

    Raises:
        InvalidOption: It is no positive whole number.
    """
    return (
        None if value is None else check_whole_number(value, "child_megabytes", 1, 10**6, "Leave it out for no bound.")
    )


def check_most_jobs(value: object) -> int | None:
    """Return after how many jobs a worker ends; None: never.

    Raises:
        InvalidOption: It is no positive whole number.
    """
    return None if value is None else check_whole_number(value, "max_jobs", 1, 10**12, "Leave it out for no end.")


def check_limits(limits: Mapping[str, int] | None, served: Mapping[str, int]) -> dict[str, int]:
    """Return how many jobs of a queue may run at the same time.

    Raises:
        InvalidOption: A queue is not served, or a number is out of range.
    """
    if limits is not None and not isinstance(limits, Mapping):
        raise InvalidOption(f"limits={limits!r} is not a mapping.", 'Pass a dict, as in {"images": 4}.')
    chosen = dict(limits or {})
    for queue, most in chosen.items():
        if queue not in served:
            raise InvalidOption(
                f"limits names {queue!r}, which this worker does not serve.", "Serve it, or leave it out."
            )
        check_whole_number(most, f"limits[{queue!r}]", 1, MOST_SLOTS, "Leave it out for no limit.")
    return chosen


def check_strict(strict: object, weights: Mapping[str, int] | None) -> bool:
    """Return whether queues are served strictly in their order.

    Raises:
        InvalidOption: It is not True or False, or weights are given beside it.
    """
    if not isinstance(strict, bool):
        raise InvalidOption(f"strict={strict!r} is not True or False.", "Pass queues in their order, and strict=True.")
    if strict and weights is not None:
        raise InvalidOption("strict and weights exclude each other.", "Pass queues=[...] in their order.")
    return strict


def timing_of(stop_timeout: Duration) -> Timing:
    """Return the timing of a worker that waits so long for running jobs when it stops."""
    return Timing(soft_stop=seconds(stop_timeout, "stop_timeout"))
