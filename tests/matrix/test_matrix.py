"""What is recorded of a job, by what its handler does and where it runs. The page has the same table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from pgqueue import PgQueue
from tests.docs.pages import DOCS, table
from tests.matrix import application
from tests.matrix.application import EXECUTORS
from tests.poison.forks import Forks
from tests.queues.orders import become
from tests.support import Watch
from tests.worker.harness import STATE, timed

MODULE = "tests.matrix.application"
HEADER = "| The handler | Executor | State | Attempts | Crashes | Error |"


class Record(NamedTuple):
    """What the database says of a job."""

    state: str
    attempts: int
    crashes: int
    error: str | None


# What happens; the option of the job; what is recorded, whatever the executor.
MATRIX: dict[str, tuple[dict[str, Any], Record]] = {
    "success": ({}, Record("succeeded", 1, 0, None)),
    "error": ({}, Record("scheduled", 1, 0, "ValueError")),
    "GiveUp": ({}, Record("dead", 1, 0, "pgqueue.GiveUp")),
    "RetryAfter": ({}, Record("scheduled", 1, 0, "pgqueue.RetryAfter")),
    "Snooze": ({}, Record("scheduled", 0, 0, "pgqueue.Snooze")),
    "SystemExit": ({}, Record("scheduled", 1, 0, "SystemExit")),
    "timeout": ({"timeout": 0.2}, Record("scheduled", 1, 0, "TimeoutError")),
    "deadline": ({"deadline": 1.5}, Record("dead", 1, 0, "TimeoutError")),
    "expires_at": ({"expires_at": -1.0}, Record("expired", 0, 0, None)),
    "cancelled while waiting": ({}, Record("cancelled", 0, 0, None)),
    "cancelled while running": ({}, Record("cancelled", 1, 0, None)),
}
DEATHS = ("os._exit", "SIGSEGV")
IN_WORKER = Record("dead", 0, 3, "Poison")
IN_CHILD = Record("dead", 3, 3, "Poison")
SAID = {  # on the page
    "success": "returns",
    "error": "raises an exception",
    "GiveUp": "raises `GiveUp`",
    "RetryAfter": "raises `RetryAfter`",
    "Snooze": "raises `Snooze`",
    "SystemExit": "raises `SystemExit`",
    "timeout": "is over its timeout",
    "deadline": "is over the job's deadline",
    "expires_at": "was not called by `expires_at`",
    "cancelled while waiting": "was not called before a cancel",
    "cancelled while running": "is cancelled",
    "os._exit": "calls `os._exit`",
    "SIGSEGV": "crashes (SIGSEGV)",
}


@pytest.fixture
def tasks(worker_dsn: str) -> Iterator[PgQueue[None]]:
    """The application of the matrix on the test's database."""
    with application.pgq.working_on(worker_dsn):
        yield application.pgq
        application.pgq.close()


def enqueue(tasks: PgQueue[None], how: str, executor: str, **options: Any) -> str:
    """Enqueue a job of the matrix; instants count from now."""
    for name in {"deadline", "expires_at"} & options.keys():
        options[name] = datetime.now(UTC) + timedelta(seconds=options[name])
    return tasks.named(executor).using(max_retries=10, **options).enqueue(how=how).id


def record_of(database: psycopg.Connection, job: str) -> Record:
    """Return what the database says of a job, and the error of its last run."""
    row = database.execute(
        "select state, attempt, crashes, (select a.error_type from pgqueue.all_attempts a where a.job_id = j.id"
        " order by run desc limit 1) from pgqueue.all_jobs j where id = %s",
        (job,),
    ).fetchone()
    assert row is not None
    return Record(*row)


async def test_an_outcome_is_the_same_in_every_executor(
    tasks: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    jobs = {
        (how, executor): enqueue(tasks, how, executor, **options)
        for how, (options, _) in MATRIX.items()
        for executor in EXECUTORS
    }
    for executor in EXECUTORS:
        tasks.inspector.cancel(jobs["cancelled while waiting", executor])
    async with timed(tasks.worker(concurrency=40, children=3), beat=0.2):
        for executor in EXECUTORS:
            running = jobs["cancelled while running", executor]
            await watch.auntil("select exists (select from pgqueue.job_progress where job_id = %s)", running)
            tasks.inspector.cancel(running)
        for (how, _), job in jobs.items():
            await watch.auntil(STATE, MATRIX[how][1].state, job)
    recorded = {cell: record_of(database, job) for cell, job in jobs.items()}
    assert recorded == {(how, executor): MATRIX[how][1] for how, executor in jobs}


async def test_a_cancel_of_what_a_worker_holds_and_has_not_called_is_the_same_in_every_executor(
    tasks: PgQueue[None], database: psycopg.Connection, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two wait for a slot, one for a child."""
    monkeypatch.setattr("pgqueue.worker.portions.AHEAD_SECONDS", 10.0)
    monkeypatch.setattr("pgqueue.worker.claimer.HELD_SECONDS", 60.0)
    monkeypatch.setattr("pgqueue.worker.limits.WAITING_SECONDS", 60.0)
    with database.transaction(), tasks.bind(database):
        for _ in range(50):  # by these it learns how much to take ahead
            enqueue(tasks, "success", "loop", priority=9)
        running = [enqueue(tasks, "cancelled while running", "process", priority=8)]
        waiting = [enqueue(tasks, "success", "process", priority=7)]  # a slot passes it over for the next one
        running += [enqueue(tasks, "cancelled while running", "loop", priority=6)]
        waiting += [enqueue(tasks, "success", executor) for executor in ("loop", "thread")]
    worker = timed(tasks.worker(concurrency=2, children=1), beat=0.2)
    async with worker:
        for job in running:
            await watch.auntil("select exists (select from pgqueue.job_progress where job_id = %s)", job)
        await become(lambda: worker.status()["queues"]["default"]["buffered"] == len(waiting))
        for job in waiting:
            tasks.inspector.cancel(job)
        for job in waiting:
            await watch.auntil(STATE, "cancelled", job)
        assert [record_of(database, job).state for job in running] == ["running"] * 2
        for job in running:
            tasks.inspector.cancel(job)
    assert {record_of(database, job) for job in waiting} == {MATRIX["cancelled while waiting"][1]}


def test_a_handler_that_ends_its_process_is_dead_after_three_times_whatever_the_executor(
    tasks: PgQueue[None], forks: Forks, database: psycopg.Connection, watch: Watch, worker_dsn: str, tmp_path: Path
) -> None:
    member = forks.start(MODULE, worker_dsn, tmp_path, again=True, concurrency=10, children=1)
    in_child = [enqueue(tasks, how, "dying process") for how in DEATHS]
    for job in in_child:
        watch.until(STATE, "dead", job)
    assert member.codes == [], "their worker lives"
    in_worker = [enqueue(tasks, how, f"dying {executor}") for how in DEATHS for executor in ("loop", "thread")]
    for job in in_worker:
        watch.until(STATE, "dead", job, timeout=60)
    assert {record_of(database, job) for job in in_child} == {IN_CHILD}
    assert {record_of(database, job) for job in in_worker} == {IN_WORKER}
    assert set(member.codes) == {3, -11}


def test_the_page_has_the_same_table() -> None:
    rows = [[SAID[how], "all", *cells(record)] for how, (_, record) in MATRIX.items()]
    for how in DEATHS:
        rows.append([SAID[how], "loop, thread", *cells(IN_WORKER)])
        rows.append([SAID[how], "process", *cells(IN_CHILD)])
    assert table(DOCS / "executors.md", HEADER) == rows


def cells(record: Record) -> list[str]:
    """Return a record as the page shows it."""
    error = f"`{record.error.removeprefix('pgqueue.')}`" if record.error else ""
    return [record.state, str(record.attempts), str(record.crashes), error]
