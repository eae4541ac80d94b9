"""Each query of docs/audit.md gives the right rows of jobs that real workers ran."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import DictRow, dict_row

from pgqueue import EmbeddedServer, Job, PgQueue, RetryPolicy, Task
from pgqueue.backend import Outcome
from pgqueue.model.clock import monotonic
from pgqueue.postgres.connections import Settings
from pgqueue.postgres.store import PostgresWorker
from pgqueue.worker.state import describe_worker, random_id
from tests.conftest import TEMPLATE
from tests.docs.pages import DOCS, blocks
from tests.support import Watch

DATABASE = "audited"
DEAD = 42  # the job that the page asks for
QUERIES = [block.text for block in blocks(DOCS / "audit.md", "sql")]
ONCE_MORE = RetryPolicy(max_retries=1, delays=[0])
NOW = timedelta(0)


class Seeded(NamedTuple):
    """A database in which jobs were run.

    Attributes:
        ids: Jobs by what became of them.
        worker: The worker that ran them.
        crashed: The worker that claimed one and was never heard of again.
    """

    dsn: str
    ids: dict[str, int]
    worker: int
    crashed: int

    def ask(self, number: int, *columns: str) -> list[tuple[Any, ...]]:
        """Return these columns of the answer to a numbered question."""
        return [tuple(row[name] for name in columns) for row in self.rows(number)]

    def rows(self, number: int) -> list[DictRow]:
        """Return the answer to a numbered question."""
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            return connection.execute(QUERIES[number - 1].encode()).fetchall()


@pytest.fixture(scope="module")
def seeded(server: EmbeddedServer) -> Iterator[Seeded]:
    """Jobs of every fate: succeeded, dead, retried, cancelled, brought back, rescued, stuck."""
    name, dsn = sql.Identifier(DATABASE), server.dsn_of(DATABASE)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(name, sql.Identifier(TEMPLATE))
        )
        with psycopg.connect(dsn, autocommit=True) as fresh:
            fresh.execute("select pgqueue.adopt()")
            fresh.execute(f"alter table pgqueue.job alter column id restart with {DEAD}")
        yield asyncio.run(_seed(dsn))
        connection.execute(sql.SQL("drop database {} with (force)").format(name))


async def _seed(dsn: str) -> Seeded:
    pgq = PgQueue(dsn)
    charge, fetch = _declare(pgq)
    settings, operator = Settings(dsn, "pgqueue"), pgq.inspector
    dead = charge.enqueue("stolen")
    rescued = charge.using(queue="crash").enqueue("in a crash")
    crashed = await _hold(settings, "crash", leave=True)
    jobs = {
        "dead": dead,
        "rescued": rescued,
        "retried": fetch.enqueue("https://example.com"),
        "tagged": charge.using(tags=["billing", "eu"]).enqueue("good"),
        "untagged": charge.using(tags=["shipping"]).enqueue("good"),
        "cancelled": charge.using(delay="1h").enqueue("late"),
        "back": charge.using(delay="1h").enqueue("late as well"),
        "waiting": charge.using(delay="2h", tags=["billing"]).enqueue("later"),
    }
    operator.cancel(jobs["cancelled"].id)
    operator.cancel(jobs["back"].id)
    operator.retry(jobs["back"].id)
    worker = pgq.worker(queues=["default", "crash"], concurrency=2)
    with Watch(dsn) as watch:
        async with worker:
            await watch.auntil("select count(*) = 7 from pgqueue.job_history")
    jobs |= await _leave_stuck(settings, pgq, charge)
    pgq.close()
    return Seeded(dsn, {fate: int(job.id) for fate, job in jobs.items()}, worker.state.info.id, crashed)


def _declare(pgq: PgQueue[None]) -> tuple[Task[[str], None], Task[[str], None]]:
    seen: set[str] = set()

    @pgq.task(name="charge", retry=ONCE_MORE)
    async def charge(card: str) -> None:
        if card == "stolen":
            raise ValueError("refused")

    @pgq.task(name="fetch", retry=ONCE_MORE)
    async def fetch(url: str) -> None:
        if url not in seen:
            seen.add(url)
            raise ConnectionError("reset by peer")

    return charge, fetch


async def _hold(settings: Settings, queue: str, *, leave: bool) -> int:
    """Claim a job of a queue as a worker that dies, or that says no more."""
    worker = describe_worker({queue: 1}, 1, "test")
    backend = PostgresWorker(settings, monotonic)
    await backend.register(worker)
    assert len((await backend.claim(queue, random_id(), 1)).jobs) == 1
    if leave:
        await backend.leave()
    await backend.close()
    return worker.id


async def _hand_back(settings: Settings, queue: str) -> None:
    """Hand a job back as a worker that does not know its task."""
    backend = PostgresWorker(settings, monotonic)
    await backend.register(describe_worker({queue: 1}, 1, "test"))
    (job,) = (await backend.claim(queue, random_id(), 1)).jobs
    assert await backend.finish([Outcome(job.id, job.run, job.lease, "release", 60.0, None, None)], [], 0.0) == ["done"]
    await backend.leave()
    await backend.close()


async def _leave_stuck(settings: Settings, pgq: PgQueue[None], charge: Task[[str], None]) -> dict[str, Job[None]]:
    """Leave one job for each reason to be stuck; nobody is there to help them."""
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    jobs = {queue: charge.using(queue=queue).enqueue("held") for queue in ("gone", "silent")}
    jobs |= {queue: charge.using(queue=queue, run_at=long_ago).enqueue("due") for queue in ("paused", "unserved")}
    jobs["slow"] = charge.using(queue="slow", timeout=0.001).enqueue("held")
    await _hold(settings, "gone", leave=True)
    silent = await _hold(settings, "silent", leave=False)
    await _hold(settings, "slow", leave=False)
    jobs["unknown"] = charge.using(queue="unknown").enqueue("held")
    await _hand_back(settings, "unknown")
    pgq.inspector.pause("paused")
    with psycopg.connect(settings.dsn, autocommit=True) as connection:
        connection.execute("update pgqueue.worker set beat_at = beat_at - interval '1 minute' where id = %s", (silent,))
    return jobs


def test_every_question_has_one_query() -> None:
    asked = [block.heading for block in blocks(DOCS / "audit.md", "sql")]
    assert [heading.split(".")[0] for heading in asked[:10]] == [str(number) for number in range(1, 11)]
    assert len(asked) == 12


def test_what_failed_and_why(seeded: Seeded) -> None:
    answer = seeded.ask(1, "id", "queue", "task", "attempt", "max_retries", "error_type", "error")
    assert answer == [(DEAD, "default", "charge", 2, 1, "ValueError", "refused")]


def test_what_happened_to_a_job(seeded: Seeded) -> None:
    answer = seeded.ask(2, "run", "attempt", "outcome", "worker_id", "error_type", "error")
    assert answer == [
        (1, 1, "retry", seeded.worker, "ValueError", "refused"),
        (2, 2, "dead", seeded.worker, "ValueError", "refused"),
    ]
    assert all(row["took"] >= NOW for row in seeded.rows(2))


def test_who_cancelled_or_retried_what(seeded: Seeded) -> None:
    ids, actor = seeded.ids, seeded.rows(3)[0]["actor"]
    assert "@" in actor
    assert seeded.ask(3, "actor", "action", "outcome", "job_id", "task", "queue") == [
        (actor, "cancel", "cancelled", ids["cancelled"], "charge", "default"),
        (actor, "cancel", "cancelled", ids["back"], "charge", "default"),
        (actor, "retry", "retried", ids["back"], "charge", "default"),
    ]


def test_which_jobs_were_rescued(seeded: Seeded) -> None:
    answer = seeded.ask(4, "job_id", "task", "state_now", "run", "worker_id", "crashes")
    assert answer == [(seeded.ids["rescued"], "charge", "succeeded", 1, seeded.crashed, 1)]
    assert all(row["claimed_at"] <= row["rescued_at"] for row in seeded.rows(4))


def test_which_tasks_are_slow(seeded: Seeded) -> None:
    assert sorted(seeded.ask(5, "task", "jobs")) == [("charge", 5), ("fetch", 1)]
    for p50_took, p95_took, p50_waited, p95_waited in seeded.ask(5, "p50_took", "p95_took", "p50_waited", "p95_waited"):
        assert NOW <= p50_took <= p95_took
        assert NOW <= p50_waited <= p95_waited
    slowest = [row["p95_took"] for row in seeded.rows(5)]
    assert slowest == sorted(slowest, reverse=True)


def test_how_many_runs_ended_per_minute(seeded: Seeded) -> None:
    minutes = seeded.ask(6, "runs", "succeeded", "failed_and_retried", "dead")
    assert [sum(column) for column in zip(*minutes, strict=True)] == [9, 5, 2, 1]
    assert all(row["minute"].second == 0 for row in seeded.rows(6))


def test_which_worker_ran_which_jobs(seeded: Seeded) -> None:
    ids, worker = seeded.ids, seeded.worker
    assert set(seeded.ask(7, "worker_id", "job_id", "run", "task", "outcome")) == {
        (seeded.crashed, ids["rescued"], 1, "charge", "rescued"),
        (worker, ids["rescued"], 2, "charge", "succeeded"),
        (worker, DEAD, 1, "charge", "retry"),
        (worker, DEAD, 2, "charge", "dead"),
        (worker, ids["retried"], 1, "fetch", "retry"),
        (worker, ids["retried"], 2, "fetch", "succeeded"),
        (worker, ids["tagged"], 1, "charge", "succeeded"),
        (worker, ids["untagged"], 1, "charge", "succeeded"),
        (worker, ids["back"], 2, "charge", "succeeded"),
    }
    assert all(name for (name,) in seeded.ask(7, "name")), "also of workers that have left"


def test_which_jobs_carry_a_tag(seeded: Seeded) -> None:
    assert seeded.ask(8, "id", "state", "tags") == [
        (seeded.ids["tagged"], "succeeded", ["billing", "eu"]),
        (seeded.ids["waiting"], "scheduled", ["billing"]),
    ]


def test_how_many_retries_each_task_uses(seeded: Seeded) -> None:
    answer = [
        (*row[:3], float(row[3]), row[4])
        for row in seeded.ask(9, "task", "jobs", "retries", "retries_per_job", "allowed")
    ]
    assert answer == [("charge", 5, 1, 0.2, 1), ("fetch", 1, 1, 1.0, 1)]


def test_what_is_stuck_right_now(seeded: Seeded) -> None:
    ids = seeded.ids
    assert set(seeded.ask(10, "id", "state", "why")) == {
        (ids["gone"], "running", "its worker is gone"),
        (ids["silent"], "running", "its worker is silent"),
        (ids["slow"], "running", "runs longer than its timeout"),
        (ids["paused"], "ready", "its queue is paused"),
        (ids["unserved"], "ready", "nobody takes it"),
        (ids["unknown"], "scheduled", "no worker knows its task"),
    }
    late = {row["id"]: row["late"] for row in seeded.rows(10)}
    assert late[ids["gone"]] < NOW < late[ids["slow"]] < timedelta(minutes=10) < late[ids["unserved"]]


def test_how_deep_the_queues_are(seeded: Seeded) -> None:
    depths = {row[0]: row[1:] for row in seeded.ask(11, "queue", "paused", "ready", "scheduled", "running")}
    assert depths == {
        "crash": (False, 0, 0, 0),
        "default": (False, 0, 1, 0),
        "gone": (False, 0, 0, 1),
        "paused": (True, 1, 0, 0),
        "silent": (False, 0, 0, 1),
        "slow": (False, 0, 0, 1),
        "unknown": (False, 0, 1, 0),
        "unserved": (False, 1, 0, 0),
    }


def test_no_job_is_misplaced(seeded: Seeded) -> None:
    assert seeded.rows(12) == []
