"""A process of its own that enqueues a bulk from a generator and prints how far its peak of memory grew, as JSON."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from resource import RUSAGE_SELF, getrusage

from pgqueue import JobSpec, PgQueue, Task

HEADER = 250_000  # characters; 256 KiB are allowed
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in which the system counts


def peak() -> int:
    """Return the most bytes that were resident in this process so far, also within a chunk."""
    return getrusage(RUSAGE_SELF).ru_maxrss * UNIT


def jobs(task: Task[..., None], count: int, *, fails: bool) -> Iterator[JobSpec[None]]:
    """Make jobs; fail in place of the last, if so wanted."""
    for number in range(count - fails):
        yield task.job(number, f"user{number}@example.com")
    if fails:
        raise ZeroDivisionError("in place of the last")


def with_headers(task: Task[..., None], count: int) -> Iterator[JobSpec[None]]:
    """Make jobs that are large by their headers alone."""
    for number in range(count):
        text = f"{number:010}" * (HEADER // 10)
        yield task.using(headers={"trace": text}).job(number, "nobody@example.com")


def main(dsn: str, count: int, *, fails: bool, headers: bool) -> None:
    """Enqueue and print."""
    pgq = PgQueue(dsn)

    @pgq.task(name="grow")
    def grow(user_id: int, email: str) -> None: ...

    pgq.enqueue_many(jobs(grow, 1000, fails=False), returning="count")
    gc.collect()
    before = peak()
    created = failed = 0
    try:
        made = with_headers(grow, count) if headers else jobs(grow, count, fails=fails)
        created = pgq.enqueue_many(made, returning="count")
    except ZeroDivisionError:
        failed = 1
    after = peak()
    pgq.close()
    print(
        json.dumps({"before": before / 1e6, "megabytes": (after - before) / 1e6, "created": created, "failed": failed})
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), fails="--fails" in sys.argv, headers="--headers" in sys.argv)
