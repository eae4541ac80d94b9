"""A stop with full slots and a full buffer ends in time; killed at any moment of it, no job is lost or pays an attempt."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from pgqueue import JobContext, PgQueue
from tests.running.stuffed import TABLES
from tests.support import ROOT, Watch
from tests.worker.crew import MANY, lines
from tests.worker.harness import timed
from tests.worker.processes import SHORT

STUFFED = "select count(*) = 1 from public.stuffed"
HELD = "select sum(cardinality(job_ids)) = %s from pgqueue.lease"
READY = "select count(*) = %s from pgqueue.all_jobs where state = 'ready'"
DONE = "select count(*) = %s from pgqueue.job_history where state = 'succeeded'"
WAITS_FOR_A_LOCK = """
    select true from pg_stat_activity
    where datname = current_database() and application_name = any(%s) and wait_event_type = 'Lock'
"""
Stuffed = subprocess.Popen[bytes]


class Stage:
    """Jobs, and a worker that holds all of them."""

    def __init__(self, dsn: str, watch: Watch, database: psycopg.Connection, folder: Path) -> None:
        self.dsn = dsn
        self.watch = watch
        self.database = database
        self.log = folder / "log"
        self._output = (folder / "output").open("wb")
        self.worker: Stuffed | None = None
        for table in TABLES:
            database.execute(table)

    def stuff(self, running: int, buffered: int, soft_stop: float) -> tuple[Stuffed, list[int]]:
        """Start the worker; return it when it holds all, and the jobs."""
        total = running + buffered
        rows = self.database.execute(
            "select pgqueue.enqueue('wait', '{}'::jsonb) from generate_series(1, %s)", (total,)
        ).fetchall()
        arguments = [self.dsn, str(self.log), *map(str, (running, buffered, soft_stop))]
        self.worker = subprocess.Popen(
            [sys.executable, "-m", "tests.running.stuffed", *arguments], cwd=ROOT, stderr=self._output
        )
        self.watch.until(STUFFED)
        self.watch.until(HELD, total)
        return self.worker, [job for (job,) in rows]

    def started(self) -> set[int]:
        """Return the jobs whose handlers were called."""
        return {line["job"] for line in lines(self.log, "start")}

    def end(self) -> None:
        """Kill the worker if it still runs."""
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()
        self._output.close()


@pytest.fixture
def stage(dsn: str, watch: Watch, database: psycopg.Connection, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(dsn, watch, database, tmp_path)
    yield made
    made.end()


def runs(database: psycopg.Connection) -> Counter[tuple[int, str]]:
    """Count the recorded runs by attempt and outcome."""
    return Counter(database.execute("select attempt, outcome from pgqueue.all_attempts").fetchall())


def test_a_thousand_buffered_jobs_go_back_at_once_and_a_hundred_running_ones_at_the_deadline(stage: Stage) -> None:
    worker, jobs = stage.stuff(100, 1000, soft_stop=2.0)
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    stage.watch.until(READY, 1000)
    assert time.monotonic() - began < 2.0, "phase 1: before the soft deadline"
    assert worker.poll() is None, "phase 2: running jobs have their time"
    assert worker.wait(timeout=10) == 3
    assert 2.0 <= time.monotonic() - began < 2.0 + 2.0 + 2.0, "phases 3 to 5: cancelled jobs unwound at once"
    assert stage.database.execute(READY, (1100,)).fetchone() == (True,)
    paid = "select count(*) from pgqueue.job where attempt > 0 or crashes > 0"
    assert stage.database.execute(paid).fetchone() == (0,)
    assert runs(stage.database) == {(0, "release"): 100}
    for table in ("lease", "worker", "worker_idle"):
        assert stage.database.execute(f"select count(*) from pgqueue.{table}").fetchone() == (0,), table
    assert len(stage.started()) == 100
    assert len(jobs) == 1100


async def finish_and_check(pgq: PgQueue[None], stage: Stage, jobs: list[int]) -> None:
    """Let another worker finish; each job ran there once, and none paid an attempt before."""
    ran: list[int] = []

    @pgq.task(name="wait", context=True, retry=MANY)
    async def wait(ctx: JobContext[None]) -> None:
        ran.append(int(ctx.id))

    async with timed(pgq.worker(concurrency=20), **SHORT):
        await stage.watch.auntil(DONE, len(jobs), timeout=60)
    assert sorted(ran) == sorted(jobs)
    counted = runs(stage.database)
    assert counted[1, "succeeded"] == len(jobs), "each succeeded in its first attempt"
    assert {outcome for attempt, outcome in counted if attempt == 0} <= {"release", "rescued"}
    assert sum(counted.values()) == len(jobs) + sum(n for (attempt, _), n in counted.items() if attempt == 0)


def as_it_begins(stage: Stage, worker: Stuffed, keeper: psycopg.Connection) -> None:
    """When it said that it stops."""
    stage.watch.until("select count(*) = 1 from public.stops")


def while_jobs_go_back(stage: Stage, worker: Stuffed, keeper: psycopg.Connection) -> None:
    """While the buffered ones are written."""
    stage.watch.until(WAITS_FOR_A_LOCK, ["pgqueue finish"])


def after_the_cancellation(stage: Stage, worker: Stuffed, keeper: psycopg.Connection) -> None:
    """While the cancelled ones are written."""
    stage.watch.until("select count(*) = 1 from public.cancels")
    stage.watch.until(WAITS_FOR_A_LOCK, ["pgqueue finish"])


def while_it_signs_off(stage: Stage, worker: Stuffed, keeper: psycopg.Connection) -> None:
    """When all is written but that it left."""
    stage.watch.until(WAITS_FOR_A_LOCK, ["pgqueue move"])


NO_LOCK = "select"
NO_READY = "lock table pgqueue.ready in exclusive mode"
NO_ATTEMPTS = "lock table pgqueue.job_attempt in exclusive mode"
NO_LEAVING = "select from pgqueue.worker for key share"


@pytest.mark.parametrize(
    ("lock", "moment"),
    [
        (NO_LOCK, as_it_begins),
        (NO_READY, while_jobs_go_back),
        (NO_ATTEMPTS, after_the_cancellation),
        (NO_LEAVING, while_it_signs_off),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_killed_while_it_stops_no_job_is_lost_or_pays_an_attempt(
    pgq: PgQueue[None], stage: Stage, lock: str, moment: Callable[[Stage, Stuffed, psycopg.Connection], None]
) -> None:
    worker, jobs = stage.stuff(10, 50, soft_stop=0.3)
    with psycopg.connect(stage.dsn) as keeper:
        keeper.execute(lock)
        worker.send_signal(signal.SIGTERM)
        moment(stage, worker, keeper)
        worker.kill()
        worker.wait()
    await finish_and_check(pgq, stage, jobs)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("point", range(20))
async def test_killed_at_a_random_moment_of_a_stop_no_job_is_lost_or_pays_an_attempt(
    pgq: PgQueue[None], stage: Stage, point: int
) -> None:
    moment = random.Random(point).uniform(0.0, 0.8)
    worker, jobs = stage.stuff(100, 1000, soft_stop=0.3)
    worker.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        worker.wait(timeout=moment)
    worker.kill()
    worker.wait()
    print(f"killed after {moment:.3f} s, exit code {worker.returncode}")
    await finish_and_check(pgq, stage, jobs)
