"""A process of its own that enqueues a bulk from a generator and prints how far its resident memory grew, as JSON."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator

import psutil

from pgqueue import JobSpec, PgQueue, Task


def jobs(task: Task[..., None], count: int, *, fails: bool) -> Iterator[JobSpec[None]]:
    """Make jobs; fail in place of the last, if so wanted."""
    for number in range(count - fails):
        yield task.job(number, f"user{number}@example.com")
    if fails:
        raise ZeroDivisionError("in place of the last")


def main(dsn: str, count: int, *, fails: bool) -> None:
    """Enqueue and print."""
    pgq = PgQueue(dsn)

    @pgq.task(name="grow")
    def grow(user_id: int, email: str) -> None: ...

    pgq.enqueue_many(jobs(grow, 1000, fails=False), returning="count")
    gc.collect()
    process = psutil.Process()
    before = most = process.memory_info().rss
    created = failed = 0

    def look(_done: int) -> None:
        nonlocal most
        most = max(most, process.memory_info().rss)

    try:
        created = pgq.enqueue_many(jobs(grow, count, fails=fails), returning="count", progress=look)
    except ZeroDivisionError:
        failed = 1
    look(0)
    pgq.close()
    print(json.dumps({"megabytes": (most - before) / 1e6, "created": created, "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), fails=sys.argv[3:] == ["--fails"])
