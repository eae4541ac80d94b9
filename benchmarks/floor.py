"""The floor: how fast the same SQL runs in a bare loop, with nothing of a worker around it.

The project's own claim and finish through plain psycopg: batches of 500, binary, prepared, on two connections, so that
the next batch is claimed while the last one is finished. The clock stops when the last history row is durable.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from benchmarks.common import jobs_in, measured, options, report, run_loop, say, server
from pgqueue.postgres.connections import PINNED, Settings
from pgqueue.postgres.literals import numbers
from pgqueue.postgres.statements import statement
from pgqueue.postgres.store import PRIORITIES

BATCH = 500
WORKER = 1
_REGISTER = """
insert into pgqueue.worker (id, name, hostname, pid, version, queues, concurrency)
values (%s, 'floor', 'here', 1, '0', '{default}', 1)
"""
Connection = psycopg.AsyncConnection[TupleRow]
Batch = tuple[int, list[TupleRow]]


async def drain(dsn: str) -> dict[str, Any]:
    """Take all jobs from ready to history; return how many and how long it took."""
    settings = Settings(dsn, "pgqueue")
    claiming, finishing = [
        await psycopg.AsyncConnection.connect(**settings.parameters(name, PINNED)) for name in ("claim", "finish")
    ]
    async with claiming, finishing:
        await claiming.execute(_REGISTER, (WORKER,))
        jobs, emptied, after = 0, "{}", dict.fromkeys(PRIORITIES, 0)
        began, cpu = time.monotonic(), time.process_time()
        batch = await _claim(claiming, after)
        while batch[1]:
            following, _ = await asyncio.gather(_claim(claiming, after), _finish(finishing, batch, emptied))
            jobs += len(batch[1])
            emptied, batch = numbers([batch[0]]), following
        took = time.monotonic() - began
        return {"jobs": jobs, "seconds": took, "cpu": (time.process_time() - cpu) / jobs * 1e6}


async def _claim(connection: Connection, after: dict[int, int]) -> Batch:
    lease = random.getrandbits(62)
    cursor = connection.cursor(binary=True)
    await cursor.execute(
        statement("ready/claim", "pgqueue"),
        {
            "queue": "default",
            "priorities": numbers(PRIORITIES),
            "after": numbers(after[p] for p in PRIORITIES),
            "limit": BATCH,
            "worker": WORKER,
            "lease": lease,
        },
        prepare=True,
    )
    first, *jobs = await cursor.fetchall()
    after.update(dict(first[1]))
    return lease, jobs


async def _finish(connection: Connection, batch: Batch, emptied: str) -> None:
    lease, jobs = batch
    size = len(jobs)
    cursor = connection.cursor(binary=True)
    await cursor.execute(
        statement("lease/finish", "pgqueue"),
        {
            "id": numbers(row[8] for row in jobs),
            "run": numbers(row[9] for row in jobs),
            "lease": numbers([lease] * size),
            "outcome": numbers(["succeeded"] * size),
            "delay": numbers([0.0] * size),
            "ago": numbers([0.001] * size),
            "error": numbers(["NULL"] * size),
            "result": numbers(["NULL"] * size),
            "worker": WORKER,
            "empty": emptied,
        },
        prepare=True,
    )
    await cursor.fetchall()


def main() -> None:
    """Measure the floor a few times."""
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--dsn", help="measure in this process, on a database with jobs")
    chosen = parser.parse_args()
    if chosen.dsn:
        print(json.dumps(run_loop(drain(chosen.dsn))))
        return
    rates = []
    with server(chosen.postgres) as running:
        for turn in range(chosen.times):
            with jobs_in(running, f"floor_{turn}", chosen.jobs) as dsn:
                got = measured("benchmarks.floor", ["--dsn", dsn])
            assert got["jobs"] == chosen.jobs, got
            rates.append(got["jobs"] / got["seconds"])
            say(f"floor {turn + 1}/{chosen.times}: {rates[-1]:,.0f} jobs/s, {got['cpu']:.1f} µs CPU a job")
    report(
        chosen, {"jobs": chosen.jobs, "jobs/s": [round(r) for r in rates], "median": round(statistics.median(rates))}
    )


if __name__ == "__main__":
    main()
