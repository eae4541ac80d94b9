"""Operators' verbs against running workers: what they leave behind, and that nothing escapes the record."""

from __future__ import annotations

import psycopg
import pytest

from pgqueue import PgQueue
from pgqueue.model.errors import JobNotFound
from pgqueue.model.job import ClaimedJob
from pgqueue.postgres.connections import Settings
from tests.storage.hands import Hands, ask, enqueue, hands, ids, rows, transaction

ACTIONS = "select action, job_id, queue, outcome from pgqueue.operator_action where action <> 'adopt' order by id"
ATTEMPTS = "select run, outcome from pgqueue.all_attempts order by run, ended_at"


async def _cancelled_in_flight(worker: Hands, database: psycopg.Connection) -> list[ClaimedJob]:
    """Return a job whose claim was not yet committed when an operator cancelled it."""
    (job_id,) = enqueue(database)
    async with worker.transaction("claiming"):
        held = (await worker.claim()).jobs
        assert ask(database, "select pgqueue.cancel(%s)", job_id) == "cancelled"
    return held


async def test_a_cancel_while_the_claim_is_in_flight_leaves_the_run_in_all_attempts(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        held = await _cancelled_in_flight(worker, database)
        assert worker.beat().cancelled == {(held[0].id, 1)}, "the worker is told"
        assert await worker.finish(held) == ["lost"]
        assert await worker.settle(held) == set()
        assert rows(database, ATTEMPTS) == [(1, "succeeded")]
        assert ask(database, "select state from pgqueue.all_jobs") == "cancelled"


async def test_a_settle_that_is_asked_again_records_the_run_once(
    settings: Settings, database: psycopg.Connection
) -> None:
    """The answer to the first may be lost with its connection."""
    async with hands(settings) as worker:
        held = await _cancelled_in_flight(worker, database)
        assert await worker.finish(held) == ["lost"]
        await worker.settle(held)
        await worker.settle(held)
        assert rows(database, ATTEMPTS) == [(1, "succeeded")]


async def test_an_operators_retry_between_the_cancel_and_the_lost_finish_does_not_hide_the_run(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        held = await _cancelled_in_flight(worker, database)
        assert ask(database, "select pgqueue.retry(%s)", held[0].id) == "retried"
        assert await worker.finish(held) == ["lost"]
        await worker.settle(held)
        again = await worker.take()
        assert [job.run for job in again] == [2]
        assert await worker.finish(again) == ["done"]
        assert rows(database, ATTEMPTS) == [(1, "succeeded"), (2, "succeeded")]


async def test_a_cancel_of_a_running_job_tells_its_worker_and_ends_nothing(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        (job_id,) = enqueue(database)
        held = (await worker.claim()).jobs
        assert ask(database, "select pgqueue.cancel(%s)", job_id) == "signalled"
        assert worker.beat().cancelled == {(job_id, 1)}
        assert await worker.finish(held, "cancelled") == ["done"]
        assert rows(database, ATTEMPTS) == [(1, "cancelled")]


async def test_a_signal_of_one_run_does_not_cancel_the_next(settings: Settings, database: psycopg.Connection) -> None:
    async with hands(settings) as worker:
        (job_id,) = enqueue(database)
        held = (await worker.claim()).jobs
        assert ask(database, "select pgqueue.cancel(%s)", job_id) == "signalled"
        assert await worker.finish(held, "retry") == ["done"]
        assert [job.run for job in await worker.take()] == [2]
        assert (job_id, 2) not in worker.beat().cancelled


def test_a_cancel_of_a_scheduled_job_takes_its_entry_away(database: psycopg.Connection) -> None:
    (job_id,) = enqueue(database, delay="30 days")
    assert ask(database, "select pgqueue.cancel(%s)", job_id) == "cancelled"
    assert ask(database, "select count(*) from pgqueue.scheduled") == 0


async def test_a_cancel_of_a_job_that_waits_for_its_retry_takes_its_entry_away(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        (job_id,) = enqueue(database, delay="1 hour")
        database.execute("update pgqueue.scheduled set due_at = now() - interval '1 s'")
        await worker.store.promote("default", 10)
        await worker.finish(await worker.take(), "retry", delay=3600)
    assert ask(database, "select pgqueue.cancel(%s)", job_id) == "cancelled"
    assert ask(database, "select count(*) from pgqueue.scheduled") == 0


@pytest.mark.parametrize("first", ["the finish", "the cancel"])
async def test_a_cancel_and_a_finish_that_meet_leave_one_end(
    settings: Settings, database: psycopg.Connection, first: str
) -> None:
    async with hands(settings) as worker:
        (job_id,) = enqueue(database)
        held = (await worker.claim()).jobs
        if first == "the cancel":
            with transaction(settings.dsn) as operator:
                assert ask(operator, "select pgqueue.cancel(%s)", job_id) == "signalled"
                assert await worker.finish(held) == ["locked"], "a finisher does not wait for an operator"
                operator.commit()
            assert await worker.finish(held) == ["done"]
        else:
            assert await worker.finish(held) == ["done"]
            assert ask(database, "select pgqueue.cancel(%s)", job_id) == "succeeded", "the state that forbids it"
        assert rows(database, "select state from pgqueue.all_jobs") == [("succeeded",)]
        assert rows(database, ATTEMPTS) == [(1, "succeeded")]


async def test_a_retry_brings_a_dead_job_back_under_its_id_with_a_fresh_budget(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        (job_id,) = enqueue(database, priority=4)
        assert await worker.finish(await worker.take(), "retry") == ["done"]
        assert await worker.finish(await worker.take(), "dead") == ["done"]
        assert ask(database, "select pgqueue.retry(%s)", job_id) == "retried"
        again = await worker.take()
        assert [(job.id, job.run, job.attempt) for job in again] == [(job_id, 3, 0)]
        assert await worker.finish(again) == ["done"]
        assert ask(database, "select pgqueue.retry(%s)", job_id) == "succeeded"
        assert rows(database, ATTEMPTS) == [(1, "retry"), (2, "dead"), (3, "succeeded")]


async def test_two_operators_who_retry_at_once_bring_the_job_back_once(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        (job_id,) = enqueue(database)
        assert ask(database, "select pgqueue.cancel(%s)", job_id) == "cancelled"
        with transaction(settings.dsn) as operator:
            assert ask(operator, "select pgqueue.retry(%s)", job_id) == "retried"
            database.execute("set lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                database.execute("select pgqueue.retry(%s)", (job_id,))
            operator.commit()
        assert ask(database, "select pgqueue.retry(%s)", job_id) == "ready"
        assert ask(database, "select count(*) from pgqueue.job") == 1
        assert [job.run for job in await worker.take()] == [2]


async def test_a_paused_queue_gives_nothing_and_a_resumed_one_all(
    settings: Settings, database: psycopg.Connection
) -> None:
    async with hands(settings) as worker:
        wanted = enqueue(database, 2)
        database.execute("select pgqueue.pause('default')")
        claim = await worker.claim()
        assert (claim.jobs, claim.more) == ([], False)
        assert (await worker.store.look(["default"])).ready == frozenset()
        database.execute("select pgqueue.resume('default')")
        assert (await worker.store.look(["default"])).ready == {"default"}
        assert ids(await worker.take()) == wanted


def test_every_act_of_an_operator_is_recorded(pgq: PgQueue[None], database: psycopg.Connection) -> None:
    (job_id,) = enqueue(database)
    pgq.inspector.pause("default")
    pgq.inspector.cancel(str(job_id))
    pgq.inspector.retry(str(job_id))
    pgq.inspector.retry(str(job_id))
    with pytest.raises(JobNotFound):
        pgq.inspector.cancel("4711")
    pgq.inspector.resume("default")
    recorded = rows(
        database,
        "select action, job_id, queue, outcome from pgqueue.operator_action where action <> 'adopt' order by id",
    )
    assert recorded == [
        ("pause", None, "default", "paused"),
        ("cancel", job_id, None, "cancelled"),
        ("retry", job_id, "default", "retried"),
        ("retry", job_id, None, "refused: ready"),
        ("cancel", 4711, None, "not found"),
        ("resume", None, "default", "resumed"),
    ]
    assert ask(database, "select count(*) from pgqueue.operator_action where actor like '%%@%%'") == 6


def test_an_act_in_plain_sql_is_recorded_under_the_database_role(database: psycopg.Connection) -> None:
    database.execute("select pgqueue.pause('default')")
    assert rows(database, "select actor from pgqueue.operator_action where action = 'pause'") == [("postgres",)]
