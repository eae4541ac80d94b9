"""A job's deadline: no attempt begins after it, and none is waited for that would."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from pgqueue import PgQueue, RetryPolicy
from tests.support import Watch
from tests.worker.harness import STATE, errors_of, row_of, runs_of


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_job_whose_deadline_has_passed_is_dead_and_its_handler_was_never_called(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch, kind: str
) -> None:
    called, told = list[str](), list[str]()

    async def work() -> None:
        called.append("async")

    def plain() -> None:
        called.append("plain")

    task = pgq.task(name="work")(work if kind == "async" else plain)
    pgq.on_dead(lambda ctx, error: told.append(f"{ctx.id} {type(error).__name__}"))
    job = task.using(deadline=datetime.now(UTC) - timedelta(hours=1)).enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    assert (called, told) == ([], [f"{job.id} TimeoutError"])
    assert "had passed before" in (row_of(database, job.id)["error"] or "")


async def test_a_retry_that_would_come_after_the_deadline_is_not_waited_for(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    @pgq.task(retry=RetryPolicy(delays=["1h"]))
    async def fail() -> None:
        raise ValueError("no")

    job = fail.using(deadline=datetime.now(UTC) + timedelta(minutes=5)).enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    assert runs_of(database, job.id) == [(1, 1, "dead")]
    assert errors_of(database, job.id) == [("ValueError", "no")]


async def test_a_thread_that_runs_past_the_deadline_is_left_behind_and_not_tried_again(
    pgq: PgQueue[None], database: psycopg.Connection, watch: Watch
) -> None:
    @pgq.task(retry=RetryPolicy(delays=[0]))
    def work() -> None:
        time.sleep(1.0)

    job = work.using(deadline=datetime.now(UTC) + timedelta(milliseconds=300)).enqueue()
    async with pgq.worker(concurrency=1):
        await watch.auntil(STATE, "dead", job.id)
    assert errors_of(database, job.id)[-1][0] == "TimeoutError"
