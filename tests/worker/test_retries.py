"""What becomes of a job whose handler raised."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import psycopg
import pytest

from pgqueue import GiveUp, JobContext, PgQueue, RetryAfter, RetryPolicy, Snooze
from tests.support import Watch
from tests.worker.harness import STATE, Heard, errors_of, row_of, runs_of


async def test_a_failing_job_is_tried_again_by_its_policy_and_then_dies(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    attempts: list[tuple[int, int]] = []

    @pgq.task(context=True, retry=RetryPolicy(max_retries=2, delays=[0.05, 0.15]))
    async def fail(ctx: JobContext[None]) -> None:
        attempts.append((ctx.run, ctx.attempt))
        raise ValueError(f"attempt {ctx.attempt}")

    heard = Heard(pgq.events)
    job = fail.enqueue()
    async with pgq.worker(concurrency=2):
        await watch.auntil(STATE, "dead", job.id)
    assert attempts == [(1, 1), (2, 2), (3, 3)]
    assert runs_of(database, job.id) == [(1, 1, "retry"), (2, 2, "retry"), (3, 3, "dead")]
    assert errors_of(database, job.id) == [("ValueError", f"attempt {n}") for n in (1, 2, 3)]
    row = row_of(database, job.id)
    assert (row["attempt"], row["max_retries"], row["crashes"]) == (3, 2, 0)
    assert "ValueError: attempt 3" in row["traceback"]
    assert [event["again_in"] for event in heard.named("job.retried")] == [0.05, 0.15]
    assert len(heard.named("job.dead")) == 1


async def test_a_retry_starts_no_sooner_than_its_delay(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(retry=RetryPolicy(max_retries=2, delays=[0.2]))
    async def fail() -> None:
        raise ValueError

    job = fail.enqueue()
    async with pgq.worker(concurrency=2):
        await watch.auntil(STATE, "dead", job.id)
    gaps = database.execute(
        """
        select extract(epoch from lead(started_at) over w - ended_at)::float8
        from pgqueue.all_attempts where job_id = %s window w as (order by run)
        """,
        (job.id,),
    ).fetchall()
    assert all(0.2 <= gap < 1.2 for (gap,) in gaps[:-1]), gaps


async def test_a_job_that_succeeds_after_a_retry_shows_both_attempts(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(context=True, retry=RetryPolicy(max_retries=1, delays=[0]))
    async def flaky(ctx: JobContext[None]) -> None:
        if ctx.attempt == 1:
            raise OSError("away")

    job = flaky.enqueue()
    async with pgq.worker(concurrency=2):
        await watch.auntil(STATE, "succeeded", job.id)
    assert runs_of(database, job.id) == [(1, 1, "retry"), (2, 2, "succeeded")]
    assert errors_of(database, job.id) == [("OSError", "away"), (None, None)]


async def test_without_retries_the_first_failure_is_the_end(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task
    async def fail() -> None:
        raise ValueError

    job = fail.using(max_retries=0).enqueue()
    async with pgq.worker(concurrency=2):
        await watch.auntil(STATE, "dead", job.id)
    assert runs_of(database, job.id) == [(1, 1, "dead")]


async def test_retry_after_costs_an_attempt_and_snooze_does_not(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(context=True, retry=RetryPolicy(max_retries=1, delays=["1h"]))
    async def later(ctx: JobContext[None]) -> None:
        if ctx.run <= 2:
            raise Snooze(0.05, "not yet")
        if ctx.run == 3:
            raise RetryAfter("50ms", "busy")
        if ctx.run == 4:
            raise Snooze(0)
        raise RetryAfter(0.05)

    job = later.enqueue()
    async with pgq.worker(concurrency=2):
        await watch.auntil(STATE, "dead", job.id)
    assert runs_of(database, job.id) == [
        (1, 0, "snooze"),
        (2, 0, "snooze"),
        (3, 1, "retry"),
        (4, 1, "snooze"),
        (5, 2, "dead"),
    ]
    assert [message for _, message in errors_of(database, job.id)][:3] == ["not yet", "not yet", "busy"]


class BadAddress(Exception):
    """An error that no retry mends."""


class WorseAddress(BadAddress):
    """One of its kind."""


@pytest.mark.parametrize(
    "error", [lambda: GiveUp("hopeless"), lambda: BadAddress("hopeless"), lambda: WorseAddress("hopeless")]
)
async def test_give_up_and_give_up_on_end_a_job_at_once(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection, error: Callable[[], Exception]
) -> None:
    @pgq.task(retry=RetryPolicy(give_up_on=(BadAddress,), delays=[0]))
    def fail() -> None:
        raise error()

    job = fail.enqueue()
    async with pgq.worker(concurrency=2):
        await watch.auntil(STATE, "dead", job.id)
    assert runs_of(database, job.id) == [(1, 1, "dead")]
    assert row_of(database, job.id)["error"] == "hopeless"


async def test_a_delay_that_cannot_be_read_fails_the_attempt(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(context=True, retry=RetryPolicy(max_retries=1, delays=[0]))
    async def odd(ctx: JobContext[None]) -> None:
        raise Snooze("soon") if ctx.run == 1 else RetryAfter(float("nan"))

    job = odd.enqueue()
    async with pgq.worker(concurrency=2):
        await watch.auntil(STATE, "dead", job.id)
    assert runs_of(database, job.id) == [(1, 1, "retry"), (2, 2, "dead")]
    assert all(kind == "pgqueue.InvalidOption" for kind, _ in errors_of(database, job.id))


async def test_a_stored_value_that_is_not_as_annotated_fails_the_attempt(
    pgq: PgQueue[None], watch: Watch, database: psycopg.Connection
) -> None:
    @pgq.task(name="strict")
    async def strict(day: date) -> None:
        raise AssertionError(f"called with {day!r}")

    job = database.execute("select pgqueue.enqueue('strict', '{\"day\": 1}', max_retries => 0)").fetchone()
    assert job is not None
    async with pgq.worker(concurrency=2):
        await watch.auntil(STATE, "dead", job[0])
    assert runs_of(database, job[0]) == [(1, 1, "dead")]
    assert "the stored day=1" in errors_of(database, job[0])[0][1]
