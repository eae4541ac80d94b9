"""A bulk of jobs from a generator beside a raw COPY of the same rows, and the memory that a million takes.

Two raw sides copy the same columns of the same rows into job and ready in one transaction: "raw" from lines that were
written before the clock starts, beside which ours reads jobs that were made before; "raw by rows" from arguments row by
row, beside which ours makes its jobs as it goes.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from unittest import mock

import psutil
import psycopg

from benchmarks.common import PAYLOAD, TASK, options, report, say, server
from pgqueue import EmbeddedServer, JobSpec, PgQueue, Task
from pgqueue.postgres import copying
from pgqueue.postgres.copying import Lines
from pgqueue.postgres.statements import statement

CHUNK = 20_000
STAMP = "2026-01-01T00:00:00+00"
EMPTY = "alter table pgqueue.{0} disable trigger all; truncate pgqueue.{0}; alter table pgqueue.{0} enable trigger all"


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=200_000, help="jobs in each run of a pair")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs")
    parser.add_argument(
        "--memory", type=int, default=1_000_000, help="jobs of the run whose memory is measured; 0: none"
    )
    chosen = parser.parse_args()
    with server(chosen.postgres) as running:
        pgq = PgQueue(running.dsn)
        task = declare(pgq)
        results: dict[str, Any] = {}
        if chosen.memory:
            results |= memory(running, pgq, task, chosen.memory)
        results |= speed(running, pgq, task, chosen.jobs, chosen.pairs)
        results |= crossover(running, pgq, task)
        pgq.close()
    report(chosen, results)


def declare(pgq: PgQueue[None]) -> Task[..., None]:
    """Return the task whose jobs are written."""

    @pgq.task(name=TASK)
    def benchmark(user_id: int, email: str) -> None: ...

    return benchmark


def stream(task: Task[..., None], count: int) -> Iterator[JobSpec[None]]:
    """Make jobs one by one."""
    return (task.job(**PAYLOAD) for _ in range(count))


def memory(running: EmbeddedServer, pgq: PgQueue[None], task: Task[..., None], count: int) -> dict[str, Any]:
    """Return how far resident memory grew over a bulk, by what it returns."""
    empty(running)
    counted = Growth()
    created = pgq.enqueue_many(stream(task, count), returning="count", progress=counted.look)
    empty(running)
    listed = Growth()
    ids = pgq.enqueue_many(stream(task, count), returning="ids", progress=listed.look)
    in_order = all(int(a) < int(b) for a, b in pairwise(ids))
    return {
        'memory, returning="count"': f"{counted.megabytes:.1f} MB more for {created:,} jobs",
        'memory, returning="ids"': f"{listed.megabytes:.1f} MB more for {len(ids):,} jobs; ids in order: {in_order}",
    }


class Growth:
    """How far this process's resident memory grew since."""

    def __init__(self) -> None:
        gc.collect()
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self.megabytes = 0.0

    def look(self, done: int) -> None:
        """Look at it now, and tell now and then."""
        self.megabytes = max(self.megabytes, (self._process.memory_info().rss - self._before) / 1e6)
        if done % 250_000 == 0:
            say(f"{done:,} jobs, {self.megabytes:.1f} MB more")


def speed(running: EmbeddedServer, pgq: PgQueue[None], task: Task[..., None], count: int, pairs: int) -> dict[str, Any]:
    """Return the ratios of interleaved pairs to the raw COPY."""
    specs = list(stream(task, count))
    lines = raw_lines(specs)
    sides: dict[str, Callable[[], object]] = {
        "raw": lambda: raw_copy(running, lines),
        "prepared": lambda: pgq.enqueue_many(specs, returning="count"),
        "raw by rows": lambda: raw_rows(running, count),
        "generator": lambda: pgq.enqueue_many(stream(task, count), returning="count"),
        "in a transaction": lambda: in_transaction(running, pgq, specs),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for pair in range(pairs + 1):  # the first warms up
        for name, run in sides.items():
            empty(running)
            started = time.perf_counter()
            run()
            if pair:
                seconds[name].append(time.perf_counter() - started)
        if pair:
            say(" ".join(f"{name} {count / each[-1]:,.0f}/s" for name, each in seconds.items()))
    found: dict[str, Any] = {f"{name}: jobs/s": f"{count / statistics.median(s):,.0f}" for name, s in seconds.items()}
    for name, beside in (("prepared", "raw"), ("in a transaction", "raw"), ("generator", "raw by rows")):
        ratios = sorted(raw / ours for raw, ours in zip(seconds[beside], seconds[name], strict=True))
        found[f"{name}: of {beside}"] = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    return found


def crossover(running: EmbeddedServer, pgq: PgQueue[None], task: Task[..., None]) -> dict[str, Any]:
    """Return what a job costs by arrays and by COPY, for bulks of some sizes; it says from where on COPY pays."""
    found: dict[str, Any] = {}
    for size in (250, 500, 1000, 2000):
        specs = list(stream(task, size))
        taken: dict[str, list[float]] = {"arrays": [], "COPY": []}
        with psycopg.connect(running.dsn) as connection:
            for _ in range(15):
                for way, least in (("arrays", size + 1), ("COPY", size)):
                    with mock.patch.object(copying, "LEAST", least):
                        started = time.perf_counter()
                        pgq.using(connection).enqueue_many(specs, returning="count")
                        connection.commit()
                        taken[way].append(time.perf_counter() - started)
        each = {way: f"{statistics.median(times) / size * 1e6:.1f} us" for way, times in taken.items()}
        found[f"a bulk of {size}, us a job"] = ", ".join(f"{way} {cost}" for way, cost in each.items())
    return found


def in_transaction(running: EmbeddedServer, pgq: PgQueue[None], specs: list[JobSpec[None]]) -> None:
    """Enqueue in a caller's transaction."""
    with psycopg.connect(running.dsn) as connection:
        pgq.using(connection).enqueue_many(specs, returning="count")


def raw_lines(specs: list[JobSpec[None]]) -> list[tuple[str, str]]:
    """Return the text of both COPYs, in pieces of the size that ours has."""
    pieces = []
    for start in range(0, len(specs), CHUNK):
        chunk = specs[start : start + CHUNK]
        ids = [str(number) for number in range(10**9 + start, 10**9 + start + len(chunk))]
        lines = Lines(chunk, ids, STAMP, None)
        pieces.append(("".join(lines.jobs()), "".join(lines.places())))
    return pieces


def raw_copy(running: EmbeddedServer, lines: list[tuple[str, str]]) -> None:
    """Copy the rows in: all facts, then all places."""
    with psycopg.connect(running.dsn) as connection, connection.cursor() as cursor:
        for number, name in enumerate(("jobs/copy", "ready/copy")):
            with cursor.copy(statement(name, "pgqueue")) as copy:
                for piece in lines:
                    copy.write(piece[number])


def raw_rows(running: EmbeddedServer, count: int) -> None:
    """Copy the rows in as an application would write it: from a generator of arguments, row by row."""
    payloads = (json.dumps(PAYLOAD) for _ in range(count))
    with psycopg.connect(running.dsn) as connection, connection.cursor() as cursor:
        with cursor.copy(statement("jobs/copy", "pgqueue")) as copy:
            for number, payload in enumerate(payloads, 10**9):
                row = (number, STAMP, STAMP, 1800000, 25, 0, "default", TASK, payload, None, None, None, None)
                copy.write_row(row)
        with cursor.copy(statement("ready/copy", "pgqueue")) as copy:
            for number in range(10**9, 10**9 + count):
                copy.write_row(("default", 0, number, 1))


def empty(running: EmbeddedServer) -> None:
    """Empty the lanes, and let the server write out what it holds, so that no run pays for another."""
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        for table in ("job", "ready"):
            connection.execute(EMPTY.format(table).encode())
        connection.execute("checkpoint")
    os.sync()


if __name__ == "__main__":
    main()
