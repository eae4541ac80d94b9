"""A worker program with all slots busy and as many jobs buffered as it was told, for the proofs of a stop.

``python -m tests.running.stuffed DSN LOG RUNNING BUFFERED SOFT_STOP``. Its jobs wait for ever. When all slots are busy it
inserts its process id into ``public.stuffed``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace

import psycopg

from pgqueue import JobContext, PgQueue
from pgqueue.worker import claimer, portions
from tests.worker.crew import MANY, Log, tell_of_a_stop

TABLES = (
    "create table if not exists public.stuffed (pid int)",
    "create table if not exists public.stops (pid int)",
    "create table if not exists public.cancels (pid int)",
)


def tell(dsn: str, table: str) -> None:
    """Insert this process's id."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"insert into public.{table} values (%s)", (os.getpid(),))


def main(dsn: str, path: str, running: int, buffered: int, soft_stop: float) -> int:
    """Run the worker until it is told to stop."""
    log, started, cancelled = Log(path), [0], [0]
    pgq = PgQueue(dsn)
    pgq.events.subscribe(log.event)
    pgq.events.subscribe(lambda event: tell_of_a_stop(event, dsn))

    @pgq.task(name="wait", context=True, retry=MANY)
    async def wait(ctx: JobContext[None]) -> None:
        log.write("start", job=int(ctx.id), run=ctx.run)
        started[0] += 1
        if started[0] == running:
            tell(dsn, "stuffed")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled[0] += 1
            if cancelled[0] == running:
                tell(dsn, "cancels")

    async def run() -> int:
        worker = pgq.worker(concurrency=running)
        worker.state.timing = replace(worker.state.timing, beat=0.2, lease=1.0, sweep=0.2, soft_stop=soft_stop)
        # The first claim fills the slots and the buffer, and what waits is not handed back before the stop.
        claimer.HELD_SECONDS = 3600.0
        portions.LARGEST_CLAIM = running + buffered
        keeper = worker._claimer
        keeper._portions.pace = buffered / portions.AHEAD_SECONDS
        keeper._portions.measure = lambda now: None  # type: ignore[method-assign]
        for queue in keeper._queues.values():
            queue.largest = running + buffered
        return await worker.run()

    return asyncio.run(run())


if __name__ == "__main__":
    dsn, path, running, buffered, soft_stop = sys.argv[1:]
    sys.exit(main(dsn, path, int(running), int(buffered), float(soft_stop)))
