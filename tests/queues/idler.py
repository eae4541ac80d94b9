"""A worker that has run jobs and is told that this was long ago: ``python -m tests.queues.idler DSN JOBS``.

It prints a line when it has run so many jobs and has nothing to do, and goes on until the end of standard input.
"""

from __future__ import annotations

import asyncio
import sys

from pgqueue import PgQueue
from tests.queues.orders import become

QUEUES = tuple(f"q{number}" for number in range(10))
SLOTS = 256


async def work(dsn: str, jobs: int) -> None:
    """Run the jobs, then be idle."""
    pgq = PgQueue(dsn)
    ran = 0
    all_ran = asyncio.Event()

    @pgq.task(name="note")
    async def note() -> None:
        nonlocal ran
        ran += 1
        if ran == jobs:
            all_ran.set()

    worker = pgq.worker(queues=QUEUES, concurrency=SLOTS)
    async with worker:
        await all_ran.wait()
        queues = worker._claimer._queues.values()
        await become(lambda: not worker.state.holdings.open and all(known.dozing and not known.hot for known in queues))
        worker.state.woke = float("-inf")
        print("idle", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2])))
