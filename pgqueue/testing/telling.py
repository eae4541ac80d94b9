"""What a failed assertion says: pure, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pgqueue.backend import JobRecord
from pgqueue.model.states import LIVE
from pgqueue.testing.matching import Wanted

MOST_LISTED = 20
LONGEST_ARGUMENTS = 80
_HEADER = ("", "id", "state", "queue", "task", "arguments", "due")


def expected(wanted: Wanted, count: int | None, found: Sequence[JobRecord], jobs: str) -> str:
    """Say that other jobs are there than were expected.

    Args:
        count: How many were expected; None is at least one.
        jobs: All jobs, listed.
    """
    what = str(wanted) or "of any task"
    if not found:
        return f"No job {what} is enqueued.\n{jobs}"
    number = len(found)
    but = "and none was expected" if count is None else f"not {count}"
    return f"{number} {_plural('job', number)} {what} {'is' if number == 1 else 'are'} enqueued, {but}.\n{jobs}"


def listed(jobs: Sequence[JobRecord], marked: Sequence[JobRecord], now: datetime) -> str:
    """List jobs, live ones first, those that match with an arrow."""
    if not jobs:
        return "There are no jobs at all."
    matching = {job.id for job in marked}
    ordered = sorted(jobs, key=lambda job: (job.id not in matching, job.state not in LIVE))
    rows = [_HEADER, *(_row(job, job.id in matching, now) for job in ordered[:MOST_LISTED])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    more = len(jobs) - MOST_LISTED
    return "\n".join(["These jobs are there:", *lines, *([f"    and {more} more"] if more > 0 else [])])


def late(length: float, jobs: Sequence[JobRecord], now: datetime, more: str = "") -> str:
    """Say that a drain took too long, and what was left."""
    return (
        f"After {length:g} s there is still something to run. Pass a longer timeout=, or look at what holds it up.\n"
        f"{listed(jobs, [job for job in jobs if job.state == 'running'], now)}{more}"
    )


def failed(jobs: Sequence[tuple[JobRecord, str]], ran: int) -> str:
    """Say which jobs failed, each with its traceback."""
    told = "\n\n".join(f"{_summary(job)}\n{reason.rstrip()}" for job, reason in jobs)
    return f"{len(jobs)} of {ran} {_plural('job', ran)} failed; drain(raises=False) lets that pass.\n\n{told}"


def unknown(task: str, known: Sequence[str]) -> str:
    """Say that the application does not declare a job's task."""
    return f"The application declares no task {task!r}, only {', '.join(sorted(known)) or 'none'}."


def ago(length: timedelta) -> str:
    """Write a length of time in its largest unit; negative is past."""
    seconds = length.total_seconds()
    if abs(seconds) < 1:
        return "now"
    unit, size = next((unit, size) for unit, size in _UNITS if abs(seconds) >= size)
    number = round(abs(seconds) / size, 1)
    return f"{number:g} {unit} ago" if seconds < 0 else f"in {number:g} {unit}"


_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def _row(job: JobRecord, is_marked: bool, now: datetime) -> tuple[str, ...]:
    due = ago(job.run_at - now) if job.state == "scheduled" else ""
    return ("->" if is_marked else "", job.id, job.state, job.queue, job.task, _arguments(job), due)


def _arguments(job: JobRecord) -> str:
    if job.args is None:
        return "(stored by a codec)"
    text = ", ".join(f"{name}={value!r}" for name, value in job.args.items()) or "-"
    return text if len(text) <= LONGEST_ARGUMENTS else text[: LONGEST_ARGUMENTS - 3] + "..."


def _summary(job: JobRecord) -> str:
    attempts = f"attempt {job.attempt} of {job.max_retries + 1}"
    return f"job {job.id} {job.task} ({_arguments(job)}) is {job.state} after {attempts}:"


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"
