"""A worker program for the tests that kill, stop and cut off real processes.

``python -m tests.worker.crew DSN --log FILE``. It writes each event and each handler's start and end as a JSON line to
FILE, in one write, so that the record survives the process and needs no database. ``hold`` records its starts in a table
of the test's database too, and waits until the test opens the gate: until it lets go of an advisory lock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from pgqueue import JobContext, PgQueue, RetryPolicy
from pgqueue.telemetry.events import Event
from pgqueue.worker.supervisor import Worker

GATE = 4242
TABLES = (
    "create table public.starts (job_id bigint, run int, pid int, at timestamptz default clock_timestamp())",
    "create table public.stops (pid int)",
)
MANY = RetryPolicy(max_retries=100, delays=[0.1])


class Log:
    """Lines of JSON, each appended by one write.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, kind: str, **facts: Any) -> None:
        """Append one line."""
        line = json.dumps({"kind": kind, "pid": os.getpid(), **facts}, default=str)
        os.write(self._file, line.encode() + b"\n")

    def event(self, event: Event) -> None:
        """Append an event of the worker."""
        self.write("event", name=event.name, **{f"_{name}": value for name, value in event.fields.items()})


class Gate:
    """Opens for good when the test lets go of its advisory lock.

    Args:
        dsn: The test's database.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._opened: asyncio.Task[None] | None = None

    async def pass_through(self) -> None:
        """Wait until it opens."""
        if self._opened is None:
            self._opened = asyncio.create_task(self._wait())
        await asyncio.shield(self._opened)

    async def _wait(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            await connection.execute("select pg_advisory_lock_shared(%s)", (GATE,))


def declare(pgq: PgQueue[None], dsn: str, log: Log) -> None:
    """Declare the crew's tasks."""
    gate = Gate(dsn)

    def record_start(ctx: JobContext[None]) -> None:
        log.write("start", job=int(ctx.id), run=ctx.run)
        with psycopg.connect(dsn) as connection:
            connection.execute("insert into starts values (%s, %s, %s)", (int(ctx.id), ctx.run, os.getpid()))

    def record_end(ctx: JobContext[None]) -> None:
        log.write("end", job=int(ctx.id), run=ctx.run)

    @pgq.task(name="hold", context=True, retry=MANY)
    async def hold(ctx: JobContext[None]) -> None:
        record_start(ctx)
        await gate.pass_through()
        record_end(ctx)

    @pgq.task(name="work", context=True, retry=MANY)
    async def work(ctx: JobContext[None], seconds: float) -> None:
        log.write("start", job=int(ctx.id), run=ctx.run)
        await asyncio.sleep(seconds)
        record_end(ctx)

    @pgq.task(name="block", context=True, retry=MANY)
    async def block(ctx: JobContext[None], seconds: float) -> None:
        record_start(ctx)
        time.sleep(seconds)  # noqa: ASYNC251 - what it is for: it holds up the event loop
        record_end(ctx)

    @pgq.task(name="stuck", context=True, retry=MANY)
    def stuck(ctx: JobContext[None]) -> None:
        record_start(ctx)
        threading.Event().wait()


def tell_of_a_stop(event: Event, dsn: str) -> None:
    """Let the test's database know that the worker begins to stop."""
    if event.name == "worker.stopping":
        with suppress(psycopg.Error), psycopg.connect(dsn) as connection:
            connection.execute("insert into public.stops values (%s)", (os.getpid(),))


async def run(worker: Worker) -> int:
    """Run the worker; return its exit code."""
    return await worker.run()


def main(arguments: Sequence[str]) -> int:
    """Run one worker until it is told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dsn")
    parser.add_argument("--direct", help="where the records go, past a pooler")
    parser.add_argument("--log", default=os.devnull)
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--timing", type=json.loads, default={})
    options = parser.parse_args(arguments)
    log = Log(options.log)
    pgq = PgQueue(options.dsn)
    direct = options.direct or options.dsn
    pgq.events.subscribe(log.event)
    pgq.events.subscribe(lambda event: tell_of_a_stop(event, direct))
    declare(pgq, direct, log)
    worker = pgq.worker(concurrency=options.concurrency)
    worker.state.timing = replace(worker.state.timing, **options.timing)
    return asyncio.run(run(worker))


def lines(path: Path, kind: str) -> list[dict[str, Any]]:
    """Return the lines of one kind that are in a log."""
    if not path.exists():
        return []
    return [line for text in path.read_text().splitlines() if (line := json.loads(text))["kind"] == kind]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
