"""Latency: from the call of enqueue to the first line of the handler, with one worker, at 20 and at 200 jobs a second.

Enqueuer and worker are two processes; both read the machine's one monotonic clock, whose value travels in the payload.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import time

from benchmarks.common import ROOT, TASK, jobs_in, options, report, run_loop, say, server
from pgqueue import PgQueue

RATES = (20, 200)
SEED = 20


async def work(dsn: str, jobs: int) -> list[float]:
    """Run a worker until so many jobs have started; return each one's latency."""
    pgq = PgQueue(dsn)
    latencies: list[float] = []
    all_started = asyncio.Event()

    @pgq.task(name=TASK)
    async def probe(sent: float) -> None:
        latencies.append(time.monotonic() - sent)
        if len(latencies) == jobs:
            all_started.set()

    async with pgq.worker():
        print("started", flush=True)
        await all_started.wait()
    return latencies


def enqueue(dsn: str, rate: int, jobs: int) -> None:
    """Enqueue jobs one by one at random moments, so many a second on average."""
    pgq, rng = PgQueue(dsn), random.Random(SEED)

    @pgq.task(name=TASK)
    async def probe(sent: float) -> None: ...

    due = time.monotonic() + 1  # the worker has gone to sleep by then
    for _ in range(jobs):
        due += rng.expovariate(rate)
        time.sleep(max(0.0, due - time.monotonic()))
        probe.enqueue(time.monotonic())
    pgq.close()


def measure(dsn: str, rate: int, jobs: int) -> dict[str, float]:
    """Return the latencies at a rate in milliseconds."""
    command = [sys.executable, "-m", "benchmarks.latency", "--dsn", dsn, "--jobs", str(jobs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        enqueue(dsn, rate, jobs)
        latencies = [1000 * seconds for seconds in json.loads(worker.stdout.readline())]
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
    return {
        "p50 ms": round(percentiles[49], 2),
        "p99 ms": round(percentiles[98], 2),
        "max ms": round(max(latencies), 2),
    }


def main() -> None:
    """Measure both rates."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="how long to enqueue at each rate")
    parser.add_argument("--dsn", help="be the worker, on this database")
    parser.add_argument("--jobs", type=int, help="with --dsn: how many jobs to wait for")
    chosen = parser.parse_args()
    if chosen.dsn:
        print(json.dumps(run_loop(work(chosen.dsn, chosen.jobs))))
        return
    results: dict[str, object] = {"seconds": chosen.seconds}
    with server(chosen.postgres) as running:
        for rate in RATES:
            with jobs_in(running, f"latency_{rate}", 0) as dsn:
                results[f"{rate} jobs/s"] = measure(dsn, rate, rate * chosen.seconds)
            say(f"{rate} jobs/s: {results[f'{rate} jobs/s']}")
    report(chosen, results)


if __name__ == "__main__":
    main()
