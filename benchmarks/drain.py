"""The drain: how fast one worker process takes no-op jobs from ready to history, beside the floor.

Floor and worker take turns, each on a fresh database with the same jobs; the ratio of each pair is what counts. The clock
runs from the worker's first claim until the last history row is durable.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import statistics
import sys
import time
from typing import Any

import psycopg

from benchmarks.common import (
    TASK,
    jobs_in,
    measured,
    options,
    report,
    run_loop,
    say,
    server,
    wal_position,
)
from pgqueue import EmbeddedServer, PgQueue

CONCURRENCY = 256
LAST = 1000  # the jobs whose history rows are waited for, longer than what a worker writes at once
_RECORDED = "select count(*) from pgqueue.job_history where id > %s"
_ALL = "select count(*) from pgqueue.job_history where state = 'succeeded'"


async def drain(dsn: str, jobs: int, profile: cProfile.Profile | None) -> dict[str, Any]:
    """Run a worker until all jobs are history; return what it took."""
    pgq = PgQueue(dsn)
    ran, all_ran = 0, asyncio.Event()

    @pgq.task(name=TASK)
    async def nothing(user_id: int, email: str) -> None:
        nonlocal ran
        ran += 1
        if ran == jobs:
            all_ran.set()

    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as asking:
        with psycopg.connect(dsn, autocommit=True) as blocking:
            written = wal_position(blocking)
            async with pgq.worker(concurrency=CONCURRENCY):
                began, cpu = time.monotonic(), time.process_time()
                if profile is not None:
                    profile.enable()
                await all_ran.wait()
                while await _count(asking, _RECORDED, jobs - LAST) < LAST:  # noqa: ASYNC110 - the worker is not to know
                    await asyncio.sleep(0.001)
                if profile is not None:
                    profile.disable()
                took, worked = time.monotonic() - began, time.process_time() - cpu
                written = wal_position(blocking) - written
        assert await _count(asking, _ALL) == jobs
    return {"jobs": jobs, "seconds": took, "cpu": worked / jobs * 1e6, "wal": written / jobs}


async def _count(connection: psycopg.AsyncConnection[Any], question: str, *parameters: int) -> int:
    row = await (await connection.execute(question, parameters)).fetchone()
    assert row is not None
    return int(row[0])


def _one(chosen: argparse.Namespace) -> None:
    profile = cProfile.Profile() if chosen.profile else None
    print(json.dumps(run_loop(drain(chosen.dsn, chosen.jobs, profile))))
    if profile is not None:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(30)


def _pair(running: EmbeddedServer, turn: int, chosen: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    with jobs_in(running, f"floor_{turn}", chosen.jobs) as dsn:
        floor = measured("benchmarks.floor", ["--dsn", dsn])
    with jobs_in(running, f"drain_{turn}", chosen.jobs) as dsn:
        arguments = ["--dsn", dsn, "--jobs", chosen.jobs, *(["--profile"] if chosen.profile else [])]
        worker = measured("benchmarks.drain", arguments)
    say(
        f"pair {turn + 1}/{chosen.pairs}: floor {_rate(floor):,} jobs/s, worker {_rate(worker):,} jobs/s, "
        f"{worker['cpu']:.1f} µs CPU and {worker['wal']:.0f} B of WAL a job"
    )
    return floor, worker


def _rate(run: dict[str, Any]) -> int:
    return int(run["jobs"] / run["seconds"])


def main() -> None:
    """Measure pairs of floor and worker."""
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument(
        "--profile", action="store_true", help="show where the worker's time goes; it costs much time itself"
    )
    parser.add_argument("--dsn", help="measure in this process, on a database with jobs")
    chosen = parser.parse_args()
    if chosen.dsn:
        _one(chosen)
        return
    with server(chosen.postgres) as running:
        pairs = [_pair(running, turn, chosen) for turn in range(chosen.pairs)]
    report(
        chosen,
        {
            "jobs": chosen.jobs,
            "concurrency": CONCURRENCY,
            "floor, jobs/s": [_rate(floor) for floor, _ in pairs],
            "worker, jobs/s": [_rate(worker) for _, worker in pairs],
            "worker / floor, median": round(statistics.median(_rate(w) / _rate(f) for f, w in pairs), 3),
            "worker's CPU, µs a job": round(statistics.median(w["cpu"] for _, w in pairs), 1),
            "WAL, B a job": round(statistics.median(w["wal"] for _, w in pairs)),
        },
    )


if __name__ == "__main__":
    main()
