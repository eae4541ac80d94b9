"""Idleness: what a worker with ten queues and nothing to do asks of the database in a minute, and the memory that it holds.

The worker is a process of its own with 256 slots. It first runs 10,000 jobs, then nothing. The server logs each statement
with the name of its connection; those of the worker are counted, half a minute after its last job, when it looks seldom.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, TASK, options, report, run_loop, say
from pgqueue import PgQueue, embedded
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.migrate import migrate
from pgqueue.worker.state import Timing

QUEUES = tuple(f"q{number}" for number in range(10))
SLOTS = 256
LOGGED = {"log_statement": "all", "log_line_prefix": "<%a>"}
STATEMENT = re.compile(r"^<pgqueue (\w+)>LOG:  (?:statement|execute [^:]+): (.*)$")


async def work(dsn: str, jobs: int) -> None:
    """Run a worker; say when it has run so many jobs, and go on until the end of standard input."""
    pgq = PgQueue(dsn)
    ran = 0
    all_ran = asyncio.Event()

    @pgq.task(name=TASK)
    async def note(number: int) -> None:
        nonlocal ran
        ran += 1
        if ran == jobs:
            all_ran.set()

    async with pgq.worker(queues=QUEUES, concurrency=SLOTS):
        await all_ran.wait()
        print("ran", flush=True)
        await asyncio.to_thread(sys.stdin.read)


def enqueue(dsn: str, jobs: int) -> None:
    """Enqueue jobs, the same number in each queue."""
    pgq = PgQueue(dsn)
    for queue in QUEUES:
        task = pgq.named(TASK).using(queue=queue)
        pgq.enqueue_many((task.job(number=number) for number in range(jobs // len(QUEUES))), returning="count")
    pgq.close()


def megabytes(pid: int) -> float:
    """Return the resident memory of a process."""
    [line] = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS")]
    return round(int(line.split()[1]) / 1024, 1)


def statements(text: str) -> Counter[str]:
    """Count what the worker's connections executed, by their purpose and the first words."""
    found = filter(None, map(STATEMENT.match, text.splitlines()))
    return Counter(f"{match[1]}: {' '.join(match[2].split()[:4])}" for match in found)


def measure(dsn: str, log: Path, jobs: int, seconds: float) -> dict[str, Any]:
    """Run the worker, then count."""
    command = [sys.executable, "-m", "benchmarks.idle", "--dsn", dsn, "--jobs", str(jobs)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        after_jobs = megabytes(worker.pid)
        settled = 10 * Timing().idle_poll + 2
        say(f"{after_jobs} MB after {jobs} jobs; {settled + seconds:g} s of idleness begin")
        time.sleep(settled)
        before = log.stat().st_size
        time.sleep(seconds)
        with log.open(encoding="utf-8", errors="replace") as file:
            file.seek(before)
            counts = statements(file.read())
        at_rest = megabytes(worker.pid)
        worker.communicate("", timeout=60)
    return {
        "statements/s": round(sum(counts.values()) / seconds, 2),
        "statements": dict(counts.most_common()),
        "MB after the jobs": after_jobs,
        "MB at rest": at_rest,
    }


def main() -> None:
    """Measure."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to count")
    parser.add_argument("--dsn", help="be the worker, on this database")
    parser.add_argument("--jobs", type=int, default=10_000, help="how many jobs to run first")
    chosen = parser.parse_args()
    if chosen.dsn:
        run_loop(work(chosen.dsn, chosen.jobs))
        return
    with embedded(version=chosen.postgres, settings=LOGGED) as running:
        migrate(Settings(running.dsn, "pgqueue"))
        enqueue(running.dsn, chosen.jobs)
        results = measure(running.dsn, running.folder / "server.log", chosen.jobs, chosen.seconds)
    report(chosen, {"queues": len(QUEUES), "slots": SLOTS, "jobs": chosen.jobs, "seconds": chosen.seconds, **results})


if __name__ == "__main__":
    main()
